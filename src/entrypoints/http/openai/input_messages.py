"""From the items of a response's input to the messages of chat completions.

A message of the assistant and the calls of functions beside it become one message, as the model has
said them. Reasoning is left out, since most servers refuse to be sent it, and so is a message of
the assistant that says nothing. What hosted tools did has no place in messages, and is left out:
what the model said of it goes on. A reference stands for the message that it was resolved to, or
for nothing.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from domain.errors import Fault
from domain.messages import Message, tool_call
from entrypoints.http.fields import Fields
from entrypoints.http.openai.content_parts import chat_content

_ROLES = ("user", "assistant", "system", "developer")
_KINDS = ("message", "function_call", "function_call_output", "reasoning", "item_reference")
HOSTED = (
    "web_search_call",
    "file_search_call",
    "code_interpreter_call",
    "image_generation_call",
    "mcp_list_tools",
    "mcp_call",
)
"""The output items of tools that the upstream runs. Clients send them back as they came."""
_RESERVED = ("tool_calls", "tool_call_id", "function_call", "refusal", "audio")
"""What a message of chat completions has in other places than an item."""
_CALL = re.compile(r"\.tool_calls\[(\d+)\]")


@dataclass(slots=True)
class Origin:
    """Where the client wrote what is a message now."""

    item: str
    calls: list[str] = field(default_factory=list)
    """The items of its calls."""

    def param_of(self, place: str, role: object) -> str:
        """Return what the client wrote for a place in the message, such as `.content[0]`."""
        if (call := _CALL.match(place)) and int(call[1]) < len(self.calls):
            return f"{self.calls[int(call[1])]}.call_id"
        if role == "tool":
            place = re.sub(r"^\.content", ".output", place)
        place = place.replace(".tool_call_id", ".call_id", 1)
        place = re.sub(r"^(\.\w+\[\d+\]\.image_url)\.url$", r"\1", place)
        place = re.sub(r"^(\.\w+\[\d+\])\.file\.", r"\1.", place)
        return self.item + place


@dataclass(slots=True)
class InputMessages:
    """The messages so far, each with its origin."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    origins: list[Origin] = field(default_factory=list)

    def add(self, message: Message, item: str) -> None:
        calls = [item for _ in message.get("tool_calls") or ()]
        # Its lists are copied, since they may grow.
        own = {key: each[:] if isinstance(each, list) else each for key, each in message.items()}
        self.messages.append(own)
        self.origins.append(Origin(item, calls))

    def answer(self, message: Message, item: str) -> None:
        """Add a message of the assistant. Where it or the last one has calls, the two are one: the
        results must follow at once."""
        last = self.messages[-1] if self.messages else {}
        before, calls = last.get("tool_calls") or [], message.get("tool_calls") or ()
        if last.get("role") != "assistant" or not (before or calls):
            self.add(message, item)
            return
        before.extend(calls)
        content = _joined(last.get("content"), message.get("content"))
        last.update({**message, "content": content, "tool_calls": before})
        self.origins[-1].calls.extend(item for _ in calls)


def references_of(body: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the ids of the items that the input refers to, in their order."""
    items = body.get("input")
    return tuple(
        each["id"]
        for each in (items if isinstance(items, list) else ())
        if isinstance(each, dict)
        and each.get("type") == "item_reference"
        and isinstance(each.get("id"), str)
    )


def read_items(
    items: Sequence[Any], resolved: Mapping[str, Message | None], faults: list[Fault]
) -> InputMessages:
    """Return the messages of the items. `resolved`: what the referred items stand for."""
    read = InputMessages()
    for index, item in enumerate(items):
        path = f"input[{index}]"
        fields = Fields(item if isinstance(item, dict) else {}, path, faults)
        if not isinstance(item, dict):
            fields.refuse("", "must be an object")
            continue
        match fields.value("type") or ("message" if "role" in item else None):
            case "message":
                _read_message(fields, path, read)
            case "function_call":
                read.answer(_call_message(fields), path)
            case "function_call_output":
                read.add(_result_message(fields), path)
            case "item_reference":
                _read_reference(fields, path, resolved, read)
            case "reasoning":
                pass
            case str(kind) if kind in HOSTED:
                pass
            case None:
                fields.refuse("type", "is required")
            case _:
                words = ", ".join(f'"{each}"' for each in _KINDS)
                fields.refuse("type", f"must be one of {words}: nothing else can be passed on")
    return read


def _read_message(fields: Fields, path: str, read: InputMessages) -> None:
    fields.ignore("id", "status", "phase")
    if fields.value("role") is None:
        fields.refuse("role", "is required")
    role = fields.choice("role", _ROLES)
    content = chat_content(fields, "content", answered=role == "assistant")
    for name in _RESERVED:
        if fields.value(name) is not None:
            fields.refuse(name, "is not known in a message of the input")
    message = {"role": role, "content": content, **fields.unread()}
    if role != "assistant":
        read.add(message, path)
    elif content and not _is_empty(content):
        read.answer(message, path)


def _call_message(fields: Fields) -> Message:
    fields.ignore("id", "status", "caller", "async", "created_by")
    if fields.value("namespace") is not None:
        fields.refuse("namespace", "is not accepted: chat completions have no namespaces")
    name = fields.required_text("name")
    arguments = fields.required_text("arguments") or "{}"
    call = tool_call(fields.required_text("call_id"), name, arguments)
    return {"role": "assistant", "content": None, "tool_calls": [{**call, **fields.unread()}]}


def _result_message(fields: Fields) -> Message:
    fields.ignore("id", "status", "caller", "created_by", "name", "namespace")
    call_id = fields.required_text("call_id")
    content = chat_content(fields, "output")
    return {"role": "tool", "tool_call_id": call_id, "content": content, **fields.unread()}


def _read_reference(
    fields: Fields, path: str, resolved: Mapping[str, Message | None], read: InputMessages
) -> None:
    if not (item := fields.required_text("id")):
        return
    if item not in resolved:
        fields.refuse("id", "must be the id of an item that this service has told")
    elif (message := resolved[item]) is not None:
        add = read.answer if message.get("role") == "assistant" else read.add
        add(message, path)


def _joined(first: object, second: object) -> object:
    """Return two contents as one. Adds to the first, if that has parts."""
    if not second:
        return first or None
    if isinstance(second, str) and not first:
        return second
    parts = _as_parts(first) if first else []
    parts.extend(_as_parts(second))
    return parts


def _as_parts(content: object) -> list[Any]:
    return content if isinstance(content, list) else [{"type": "text", "text": content}]


def _is_empty(content: str | list[dict[str, Any]]) -> bool:
    return not isinstance(content, str) and all(
        each.get("type") == "text" and not each.get("text") for each in content
    )
