"""From the request of a task to the body of `POST /responses`."""

from collections.abc import Mapping
from typing import Any

from adapters.openai.responses.input_items import input_of
from domain.messages import objects_in
from domain.options import ACCEPTED_VALUES
from domain.request import TaskRequest

Json = dict[str, Any]

REPLACEABLE = ("temperature",)
"""What is left out for a model that refuses it: models that reason have none."""
_MOVED = {
    "reasoning_effort": ("reasoning", "effort"),
    "response_format": ("text", "format"),
    "verbosity": ("text", "verbosity"),
}
"""Options of chat completions: where a response has them."""


def is_kept(request: TaskRequest) -> bool:
    """Whether the server may keep the answer. What is not stored cannot go on without us."""
    return not (request.options.get("store") is False or request.echo.get("store") is False)


def body_of(request: TaskRequest, refused: frozenset[str] = frozenset()) -> Json:
    """Return the JSON body of a call, without the parameters that the model refuses. What is ours
    stands before an option of the same name, and what has no place in a response is left as it is:
    the server refuses it by name."""
    kept = is_kept(request)
    parameters: Json = {
        "model": request.model,
        "input": input_of(request.conversation()),
        "stream": True,
        "store": kept,
        "background": True if kept else None,
        "max_output_tokens": request.max_tokens,
        "temperature": request.temperature,
    }
    given = {
        name: value
        for name, value in parameters.items()
        if value is not None and name not in refused
    }
    return {**_options(request), **given}


def _options(request: TaskRequest) -> Json:
    options: Json = {
        name: value
        for name, value in request.options.items()
        # What asks for nothing that a response would not do by itself, under names that it does
        # not know.
        if name not in ACCEPTED_VALUES and name != "background"
    }
    for name, (place, field) in _MOVED.items():
        if (value := options.pop(name, None)) is not None:
            flat = _flat_format(value) if name == "response_format" else value
            options[place] = {**_object(options.get(place)), field: flat}
    if (summary := request.echo.get("summary")) is not None:
        options["reasoning"] = {"summary": summary, **_object(options.get("reasoning"))}
    if isinstance(tools := options.get("tools"), list):
        options["tools"] = [_flat(each) if isinstance(each, dict) else each for each in tools]
    if isinstance(choice := options.get("tool_choice"), dict):
        options["tool_choice"] = _flat_choice(choice)
    return options


def _flat(tool: Mapping[str, Any]) -> Json:
    """Return a tool, or the choice of one, without the object that chat completions put it in."""
    inner = tool.get(str(tool.get("type")))
    if tool.get("type") not in ("function", "custom") or not isinstance(inner, dict):
        return dict(tool)  # a tool of the server's own
    rest = {name: value for name, value in tool.items() if name != tool["type"]}
    if isinstance(form := inner.get("format"), dict) and form.get("type") == "grammar":
        grammar = _object(form.get("grammar"))
        inner = {**inner, "format": {"type": "grammar", **grammar}}
    return {**inner, **rest}


def _flat_choice(choice: Mapping[str, Any]) -> Json:
    allowed = choice.get("allowed_tools")
    if choice.get("type") != "allowed_tools" or not isinstance(allowed, dict):
        return _flat(choice)
    tools = [_flat(each) for each in objects_in(allowed.get("tools"))]
    return {"type": "allowed_tools", **allowed, "tools": tools}


def _flat_format(wanted: object) -> object:
    schema = wanted.get("json_schema") if isinstance(wanted, dict) else None
    if not isinstance(wanted, dict) or not isinstance(schema, dict):
        return wanted
    return {"type": wanted.get("type"), **schema}


def _object(value: object) -> Json:
    return dict(value) if isinstance(value, Mapping) else {}
