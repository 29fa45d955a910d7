"""Tools, the choice among them and the format of the text: flat in the Responses API, nested in
chat completions, but for hosted tools."""

from collections.abc import Mapping
from typing import Any, TypeVar

from domain.messages import objects_in
from domain.options import is_hosted_tool
from entrypoints.http.fields import Fields
from entrypoints.http.openai.hosted_tools import NAMES, hosted_tool, told_of_hosted

CHOICES = ("auto", "none", "required")
_FORMATS = ("text", "json_object", "json_schema")
_NO_HOSTED_TOOLS = (
    'must be "function": neither this service nor the API by which it asks the model runs tools'
)
_NO_SUCH_TOOL = f'must be "function" or a tool of the model\'s server: {NAMES}'

Json = dict[str, Any]
T = TypeVar("T")


def nested_tools(body: Fields, *, hosted: bool) -> list[Json]:
    """Return the tools of a response for chat completions. `hosted`: whether the model's server
    runs some itself. They have the same form in both."""
    return [_nested_tool(each, hosted=hosted) for each in body.objects("tools")]


def nested_choice(body: Fields, *, hosted: bool) -> str | Json | None:
    """Return the choice of a tool for chat completions, or None if none is made."""
    wanted = body.value("tool_choice")
    choice = body.inner("tool_choice") if isinstance(wanted, dict) else None
    if choice is None:
        return body.choice("tool_choice", CHOICES)
    if hosted and is_hosted_tool(choice.given()):
        return choice.given()
    match choice.value("type"):
        case "function":
            return _nested_name(choice, hosted=hosted)
        case "allowed_tools":
            mode = choice.choice("mode", ("auto", "required")) or "auto"
            tools = [_nested_name(each, hosted=hosted) for each in choice.objects("tools")]
            return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}
    choice.refuse("type", f'must be "function", "allowed_tools"{f", {NAMES}" if hosted else ""}')
    return None


def nested_format(text: Fields) -> Json | None:
    """Return the format of the text for chat completions, or None for plain text."""
    if (wanted := text.inner("format")) is None:
        return None
    if wanted.value("type") is None:
        wanted.refuse("type", "is required")
    match wanted.choice("type", _FORMATS):
        case "json_object":
            return {"type": "json_object"}
        case "json_schema":
            schema = {
                "name": wanted.required_text("name"),
                "description": wanted.text("description"),
                "strict": wanted.flag("strict"),
                "schema": wanted.value("schema"),
            }
            if wanted.value("schema") is None:
                wanted.refuse("schema", "is required")
            wanted.inner("schema")
            return {"type": "json_schema", "json_schema": {**_given(schema), **wanted.unread()}}
    return None


def _nested_tool(tool: Fields, *, hosted: bool) -> Json:
    if hosted and is_hosted_tool(tool.given()):
        return hosted_tool(tool)
    if (kind := tool.value("type")) != "function":
        words = _NO_SUCH_TOOL if hosted else _NO_HOSTED_TOOLS
        tool.refuse("type", "is required" if kind is None else words)
        return {}
    function = {
        "name": tool.required_text("name"),
        "description": tool.text("description"),
        "parameters": tool.value("parameters"),
        "strict": tool.flag("strict"),
    }
    tool.inner("parameters")
    tool.ignore("output_schema")  # what the client's function returns to other tools
    for name in ("defer_loading", "async"):
        if tool.flag(name):
            tool.refuse(name, "is not accepted: chat completions have no such tools")
    callers = tool.array("allowed_callers")
    if callers is not None and "direct" not in callers:
        tool.refuse("allowed_callers", 'must hold "direct": nothing but the model calls tools')
    return {"type": "function", "function": _given(function), **tool.unread()}


def _nested_name(choice: Fields, *, hosted: bool) -> Json:
    if hosted and is_hosted_tool(choice.given()):
        return choice.given()
    if choice.value("type") != "function":
        choice.refuse("type", _NO_SUCH_TOOL if hosted else _NO_HOSTED_TOOLS)
    return {"type": "function", "function": {"name": choice.required_text("name")}}


def _given(values: Mapping[str, Any]) -> Json:
    return {name: value for name, value in values.items() if value is not None}


def flat_tools(tools: object) -> list[Json]:
    """Return the functions and the hosted tools among the tools of a request, as a response has
    them."""
    told = []
    for tool in objects_in(tools):
        function = of_type(tool.get("function"), dict) or {}
        if is_hosted_tool(tool):
            told.append(told_of_hosted(tool))
        elif isinstance(function.get("name"), str):
            told.append(
                {
                    "type": "function",
                    "name": function["name"],
                    "description": of_type(function.get("description"), str),
                    "parameters": of_type(function.get("parameters"), dict),
                    "strict": of_type(function.get("strict"), bool),
                }
            )
    return told


def flat_choice(choice: object) -> str | Json:
    """Return the choice of a tool as a response has it. What it cannot have is `auto`."""
    if isinstance(choice, str) and choice in CHOICES:
        return choice
    if isinstance(choice, dict) and is_hosted_tool(choice):
        return choice
    if (name := _name(choice)) is not None:
        return {"type": "function", "name": name}
    allowed = choice.get("allowed_tools") if isinstance(choice, dict) else None
    if isinstance(allowed, dict) and isinstance(allowed.get("tools"), list):
        chosen = [(each, _name(each)) for each in objects_in(allowed["tools"])]
        tools = [
            each if name is None else {"type": "function", "name": name}
            for each, name in chosen
            if name is not None or is_hosted_tool(each)
        ]
        mode = "required" if allowed.get("mode") == "required" else "auto"
        return {"type": "allowed_tools", "mode": mode, "tools": tools}
    return "auto"


def flat_format(wanted: object) -> Json:
    """Return the format of the text as a response has it."""
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    schema = wanted.get("json_schema") if isinstance(wanted, dict) else None
    if kind == "json_object":
        return {"type": "json_object"}
    if kind != "json_schema" or not isinstance(schema, dict):
        return {"type": "text"}
    return {
        "type": "json_schema",
        "name": of_type(schema.get("name"), str) or "",
        "schema": of_type(schema.get("schema"), dict) or {},
        "description": of_type(schema.get("description"), str),
        "strict": of_type(schema.get("strict"), bool),
    }


def of_type(value: object, kind: type[T]) -> T | None:
    """Return a value if it has a type, else None."""
    return value if isinstance(value, kind) else None


def _name(choice: object) -> str | None:
    """The name of the function that is chosen."""
    function = choice.get("function") if isinstance(choice, dict) else None
    return of_type(function.get("name"), str) if isinstance(function, dict) else None
