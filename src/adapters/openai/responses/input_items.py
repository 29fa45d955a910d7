"""From the messages of chat completions to the input of a response.

What neither form knows stays where it is, so that the server refuses it by name.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from domain.answer import JsonObject
from domain.messages import Message, objects_in

Item = dict[str, Any]

_CARRIED = ("role", "content", "refusal", "tool_calls", "function_call", "tool_call_id")


def input_of(messages: Sequence[Message]) -> list[Item]:
    """Return the items of a conversation, in its order."""
    custom: set[object] = set()
    return [item for message in messages for item in _items(message, custom)]


def _items(message: Message, custom: set[object]) -> Iterator[Item]:
    """`custom`: the ids of the calls of custom tools so far. Their results have a type of their
    own."""
    role, content = message.get("role"), message.get("content")
    rest = {name: value for name, value in message.items() if name not in _CARRIED}
    match role:
        case "assistant":
            yield from _assistant_items(message, rest, custom)
        case "tool" | "function":  # as tools were called before, by name
            call_id = message.get("tool_call_id" if role == "tool" else "name")
            rest = rest if role == "tool" else {}
            kind = "custom_tool_call_output" if call_id in custom else "function_call_output"
            output = content if isinstance(content, str) else _parts(content, "input")
            yield {"type": kind, "call_id": call_id, "output": output, **rest}
        case _:
            said = content if isinstance(content, str) else _parts(content, "input")
            yield {"role": role, "content": said, **rest}


def _assistant_items(message: Message, rest: JsonObject, custom: set[object]) -> Iterator[Item]:
    content = message.get("content")
    refusal = message.get("refusal")
    calls = objects_in(message.get("tool_calls"))
    if isinstance(function := message.get("function_call"), dict):
        calls.append({"id": function.get("name"), "function": function})
    if isinstance(refusal, str) and refusal:
        text = [{"type": "text", "text": content}] if isinstance(content, str) and content else []
        content = [*text, *objects_in(content), {"type": "refusal", "refusal": refusal}]
    said = content if isinstance(content, str) else _parts(content, "output")
    if said or not calls:
        yield {"role": "assistant", "content": said, **rest}
    for call in calls:
        if isinstance(inner := call.get("custom"), dict):
            custom.add(call.get("id"))
            known = {"name": inner.get("name"), "input": inner.get("input") or ""}
            yield {"type": "custom_tool_call", "call_id": call.get("id"), **known}
        else:
            inner = call.get("function")
            inner = inner if isinstance(inner, dict) else {}
            known = {"name": inner.get("name"), "arguments": inner.get("arguments") or "{}"}
            yield {"type": "function_call", "call_id": call.get("id"), **known}


def _parts(content: object, side: str) -> list[Item]:
    """`side`: "input" of what was asked, "output" of what the model has said."""
    return [_part(each, side) for each in objects_in(content)]


def _part(part: JsonObject, side: str) -> Item:
    kind = part.get("type")
    inner = part.get(str(kind))
    rest = {name: value for name, value in part.items() if name not in ("type", kind)}
    match kind:
        case "text":
            return {**part, "type": f"{side}_text"}
        case "image_url":
            image = dict(inner) if isinstance(inner, dict) else {"url": inner}
            url = image.pop("url", None)
            return {**rest, "type": "input_image", "image_url": url, **image}
        case "file" if isinstance(inner, dict):
            return {**rest, "type": "input_file", **inner}
    return dict(part)
