"""From the body of `POST /v1/responses` to the request of a task.

What changes nothing is left out, what a model's server may understand is passed on, and what would
change the answer and cannot be done is refused: no client believes that it was.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from domain.errors import Fault
from domain.messages import Message
from domain.request import DEFAULT_BOUNDS, RequestBounds, TaskRequest
from entrypoints.http.fields import UNSUPPORTED, Fields, refuse_if
from entrypoints.http.openai.hosted_tools import included
from entrypoints.http.openai.ids import task_of_response
from entrypoints.http.openai.input_messages import InputMessages, Origin, read_items
from entrypoints.http.openai.tools import nested_choice, nested_format, nested_tools
from entrypoints.http.request_defaults import RequestDefaults

UNSTORED_TTL = 900
"""Seconds for which a response with `store: false` is kept once it has ended: for as long as an SDK
may ask for it again by itself."""
SUMMARIES = ("auto", "concise", "detailed")

_REFUSED = {
    "access_programs": "is not accepted: only OpenAI has such programs",
    "context_management": "is not accepted: a conversation is never shortened",
    "conversation": "is not accepted: use previous_response_id, or send the whole conversation",
    "image": "is not accepted: chat completions have no such options",
    "moderation": "is not accepted: the result of a moderation is not carried",
    "prompt": "is not accepted: use instructions and input",
    **UNSUPPORTED,
}
_OTHER_NAMES = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "maxTokens": "max_output_tokens",
    "previousTaskId": "previous_response_id",
    "reasoning_effort": "reasoning.effort",
    "response_format": "text.format",
    "system": "instructions",
    "verbosity": "text.verbosity",
}
"""What chat completions or the native API call what a response has under another name."""
_OPTION_TEXTS = (
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "user",
)
_PARAMS = {
    "prompt": "input",
    "system": "instructions",
    "max_tokens": "max_output_tokens",
    "options": "body",
    "options.reasoning_effort": "reasoning.effort",
    "options.response_format": "text.format",
    "options.verbosity": "text.verbosity",
}
"""What a response calls the fields of a task's request."""
_IN_MESSAGE = re.compile(r"messages\[(\d+)\](.*)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseRequest:
    """What a client asks for with a body."""

    request: TaskRequest
    background: bool
    stream: bool
    origins: tuple[Origin, ...] = ()
    """Of the messages of the request, one for each."""

    def param_of(self, field: str) -> str:
        """Return what the client wrote for a field of the request, for faults that are found
        later."""
        if (found := _IN_MESSAGE.fullmatch(field)) and int(found[1]) < len(self.origins):
            index = int(found[1])
            role = self.request.messages[index].get("role")
            return self.origins[index].param_of(found[2], role)
        if field.startswith("messages"):
            return "input"
        return _PARAMS.get(field, field.removeprefix("options."))


def read_response_request(
    body: Mapping[str, Any],
    defaults: RequestDefaults,
    resolved: Mapping[str, Message | None] | None = None,
    bounds: RequestBounds = DEFAULT_BOUNDS,
) -> ResponseRequest:
    """Read a body. `resolved`: what each id of `references_of` stands for, None for nothing.

    Raises a problem (400) with every fault, the broken `bounds` included, if the body has not the
    shape that it should have. If it has, the bounds are for the use case to check.
    """
    faults: list[Fault] = []
    fields = Fields(body, "", faults)
    background = fields.flag("background") or False
    stream = fields.flag("stream") or False
    _refuse_unsupported(fields, stream)
    hosted = bounds.hosted_tools
    if not hosted and fields.value("max_tool_calls"):
        words = "is not accepted: it counts calls of hosted tools, and there are none"
        fields.refuse("max_tool_calls", words)
    prompt, given = _read_input(fields, resolved or {}, faults)
    echo = _read_echo(fields, background)
    options = _read_options(fields, echo, hosted=hosted)
    request = defaults.request(
        model=fields.text("model"),
        max_tokens=fields.whole("max_output_tokens"),
        temperature=fields.number("temperature"),
        prompt=prompt,
        messages=tuple(given.messages),
        system=fields.text("instructions"),
        metadata=fields.texts("metadata"),
        previous_task_id=_read_previous(fields),
        echo=echo,
        # Last, since what nothing has read is a vendor's own.
        options={**options, **fields.unread()},
        ttl=_read_ttl(fields, echo, bounds),
    )
    asked = ResponseRequest(
        request=request, background=background, stream=stream, origins=tuple(given.origins)
    )
    refuse_if(faults, request, bounds, asked.param_of)
    return asked


def _refuse_unsupported(fields: Fields, stream: bool) -> None:
    for name, message in _REFUSED.items():
        if fields.value(name):  # an empty one asks for nothing
            fields.refuse(name, message)
    for name, other in _OTHER_NAMES.items():
        if fields.value(name) is not None:
            fields.refuse(name, f"is not accepted: use {other}")
    if fields.text("truncation") not in (None, "disabled"):
        fields.refuse("truncation", 'must be "disabled": a conversation is never shortened')
    if fields.whole("top_logprobs"):
        fields.refuse("top_logprobs", "must be 0: log probabilities are not carried")
    if "message.output_text.logprobs" in (fields.array("include") or ()):
        fields.refuse("include", "must not name logprobs: log probabilities are not carried")
    fields.inner("stream_options")
    if (options := fields.inner("background_options")) is not None:
        if options.text("completion_window") not in (None, "soonest"):
            options.refuse("completion_window", 'must be "soonest"')
        if stream:
            fields.refuse("background_options", "is not accepted together with stream")


def _read_input(
    fields: Fields, resolved: Mapping[str, Message | None], faults: list[Fault]
) -> tuple[str | None, InputMessages]:
    given = fields.value("input")
    if isinstance(given, str):
        return given, InputMessages()
    known = len(faults)
    read = read_items(given, resolved, faults) if isinstance(given, list) else InputMessages()
    if given is None:
        fields.refuse("input", "is required")
    elif not isinstance(given, list):
        fields.refuse("input", "must be a string or an array")
    elif not read.messages and len(faults) == known:
        fields.refuse("input", "must hold a message that says something")
    return None, read


def _read_ttl(fields: Fields, echo: Mapping[str, Any], bounds: RequestBounds) -> int | None:
    ttl = fields.whole("ttl")
    if ttl is None and echo.get("store") is False:
        return min(UNSTORED_TTL, bounds.max_ttl)
    return ttl


def _read_previous(fields: Fields) -> str | None:
    response = fields.text("previous_response_id")
    task_id = None if response is None else task_of_response(response)
    if response is not None and task_id is None:
        fields.refuse("previous_response_id", "must be the id of a response")
        return "unknown"  # which it would continue: a result may belong to a call of that one
    return task_id


def _read_echo(fields: Fields, background: bool) -> dict[str, Any]:
    echo: dict[str, Any] = {"api": "responses"}
    if background:
        echo["background"] = True
    if fields.flag("store") is False:
        echo["store"] = False
    return echo


def _read_options(fields: Fields, echo: dict[str, Any], *, hosted: bool) -> dict[str, Any]:
    """Return the options of chat completions. What is told again but is no option is added to the
    echo."""
    options: dict[str, Any] = {name: fields.text(name) for name in _OPTION_TEXTS}
    options["top_p"] = fields.number("top_p")
    if (reasoning := fields.inner("reasoning")) is not None:
        options["reasoning_effort"] = reasoning.text("effort")
        summaries = [reasoning.choice(name, SUMMARIES) for name in ("summary", "generate_summary")]
        if (summary := summaries[0] or summaries[1]) is not None:
            echo["summary"] = summary
        for name, usual in (("context", "auto"), ("mode", "standard")):
            if reasoning.text(name) not in (None, usual):
                reasoning.refuse(name, f'must be "{usual}": chat completions have no other')
        reasoning.refuse_unread()
    if (text := fields.inner("text")) is not None:
        options["response_format"] = nested_format(text)
        options["verbosity"] = text.text("verbosity")
        text.refuse_unread()
    options.update(_read_tools(fields, echo, hosted=hosted))
    if hosted:
        options.update(include=included(fields), max_tool_calls=fields.whole("max_tool_calls"))
    return {name: value for name, value in options.items() if value is not None}


def _read_tools(fields: Fields, echo: dict[str, Any], *, hosted: bool) -> dict[str, Any]:
    """Chat completions refuse what concerns tools where there are none."""
    tools, choice = nested_tools(fields, hosted=hosted), nested_choice(fields, hosted=hosted)
    concerning = {"tool_choice": choice, "parallel_tool_calls": fields.flag("parallel_tool_calls")}
    if tools:
        return {"tools": tools, **concerning}
    if choice not in (None, "auto", "none") and not fields.value("tools"):
        fields.refuse("tool_choice", 'must be "auto" or "none" where there are no tools')
    if choice == "none":
        echo["tool_choice"] = "none"
    if concerning["parallel_tool_calls"] is False:
        echo["parallel_tool_calls"] = False
    return {}
