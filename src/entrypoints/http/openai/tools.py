"""Tools, the choice among them and the format of the text: flat in the Responses API, nested in
chat completions."""

from collections.abc import Mapping
from typing import Any, TypeVar

from domain.messages import objects_in
from entrypoints.http.fields import Fields

CHOICES = ("auto", "none", "required")
_FORMATS = ("text", "json_object", "json_schema")
_NO_HOSTED_TOOLS = 'must be "function": this service runs no tools itself'

Json = dict[str, Any]
T = TypeVar("T")


def nested_tools(body: Fields) -> list[Json]:
    """Return the tools of a response for chat completions."""
    return [_nested_tool(each) for each in body.objects("tools")]


def nested_choice(body: Fields) -> str | Json | None:
    """Return the choice of a tool for chat completions, or None if none is made."""
    wanted = body.value("tool_choice")
    choice = body.inner("tool_choice") if isinstance(wanted, dict) else None
    if choice is None:
        return body.choice("tool_choice", CHOICES)
    match choice.value("type"):
        case "function":
            return _nested_name(choice)
        case "allowed_tools":
            mode = choice.choice("mode", ("auto", "required")) or "auto"
            tools = [_nested_name(each) for each in choice.objects("tools")]
            return {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": tools}}
    choice.refuse("type", 'must be "function" or "allowed_tools": this service runs no tools')
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


def _nested_tool(tool: Fields) -> Json:
    if (kind := tool.value("type")) != "function":
        tool.refuse("type", "is required" if kind is None else _NO_HOSTED_TOOLS)
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


def _nested_name(choice: Fields) -> Json:
    if choice.value("type") != "function":
        choice.refuse("type", _NO_HOSTED_TOOLS)
    return {"type": "function", "function": {"name": choice.required_text("name")}}


def _given(values: Mapping[str, Any]) -> Json:
    return {name: value for name, value in values.items() if value is not None}


def flat_tools(tools: object) -> list[Json]:
    """Return the functions among the tools of chat completions, as a response has them."""
    functions = (of_type(each.get("function"), dict) or {} for each in objects_in(tools))
    return [
        {
            "type": "function",
            "name": each["name"],
            "description": of_type(each.get("description"), str),
            "parameters": of_type(each.get("parameters"), dict),
            "strict": of_type(each.get("strict"), bool),
        }
        for each in functions
        if isinstance(each.get("name"), str)
    ]


def flat_choice(choice: object) -> str | Json:
    """Return the choice of a tool as a response has it. What it cannot have is `auto`."""
    if isinstance(choice, str) and choice in CHOICES:
        return choice
    if (name := _name(choice)) is not None:
        return {"type": "function", "name": name}
    allowed = choice.get("allowed_tools") if isinstance(choice, dict) else None
    if isinstance(allowed, dict) and isinstance(allowed.get("tools"), list):
        names = [_name(each) for each in allowed["tools"]]
        tools = [{"type": "function", "name": each} for each in names if each is not None]
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
