"""Messages in the form of OpenAI's chat completions, and what is wrong with them.

A message is passed on as it is. Checked is what every server refuses, and what would make a task
fail only later: the role, whether there is content, the fields that known parts must have, and that
a tool's result follows its call. Parts of other types are passed on unchecked, except for the URLs
in them.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

from domain.answer import Answer, JsonObject, ToolCall
from domain.errors import Fault
from domain.media import media_faults
from domain.tokens import estimate_tokens

Message = JsonObject

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
"""`function` is what `tool` was called before. OpenAI still accepts it."""
MESSAGES_LIMIT = 10_000
PARTS_LIMIT = 10_000
"""Parts of contents and calls of tools, in all messages together."""

_IN_PLACE_OF_CONTENT = ("tool_calls", "function_call", "refusal", "audio")
"""What the message of an assistant may have in place of a content."""
_FINISHED = ("tool_calls", "stop", "function_call")
"""Why a model stops that has said all that it had to say."""
_ROLES_IN_WORDS = ", ".join(f'"{each}"' for each in ROLES)


def text_message(role: str, text: str) -> Message:
    return {"role": role, "content": text}


def tool_call(id_: str, name: str, arguments: str) -> dict[str, Any]:
    """Return a call of a function as a message of the assistant holds it."""
    function = {"name": name, "arguments": arguments}
    return {"id": id_, "type": "function", "function": function}


def usable_calls(answer: Answer, finish_reason: str) -> list[ToolCall]:
    """Return the calls of tools that a client may run, and that continue the conversation. No
    arguments become `{}`. A cancelled answer has no such calls; one that ended for another reason
    than the model's own, such as its length, has those whose arguments are whole."""
    if finish_reason == "cancelled":
        return []
    finished = finish_reason.lower() in _FINISHED
    calls = (
        call if call.arguments else replace(call, arguments="{}") for call in answer.tool_calls
    )
    return [call for call in calls if finished or _is_json(call.arguments)]


def answer_message(answer: Answer, finish_reason: str) -> Message | None:
    """Return an answer as the message that continues a conversation, or None if it says nothing.
    Reasoning is left out, since most servers refuse to be sent it."""
    calls = [
        tool_call(call.id, call.name, call.arguments)
        for call in usable_calls(answer, finish_reason)
    ]
    if not calls:
        return text_message("assistant", answer.text) if answer.text else None
    return {"role": "assistant", "content": answer.text or None, "tool_calls": calls}


def texts_of(message: Message) -> list[str]:
    """Return the text of a message: its content, or the text parts of it."""
    content = message.get("content")
    if isinstance(content, str):
        return [content]
    texts = [part.get("text") for part in objects_in(content)]
    return [each for each in texts if isinstance(each, str)]


def objects_in(values: object) -> list[dict[str, Any]]:
    """Return the objects of a list: none of what is no list."""
    return [each for each in values if isinstance(each, dict)] if isinstance(values, list) else []


def tokens_of(messages: Sequence[Message]) -> int:
    """Return about how many tokens the text of messages costs. Images, audio and files are not
    counted."""
    return estimate_tokens(*chain.from_iterable(map(_counted, messages)))


def message_faults(messages: Sequence[object], *, http_media: bool) -> Iterator[Fault]:
    """Yield what is wrong with messages, each by itself. `http_media`: whether URLs of images and
    files may be http."""
    if len(messages) > MESSAGES_LIMIT:
        yield Fault("messages", f"must be at most {MESSAGES_LIMIT} messages")
    elif sum(map(_parts, messages)) > PARTS_LIMIT:
        yield Fault("messages", f"must hold at most {PARTS_LIMIT} parts and calls of tools")
    else:
        for index, message in enumerate(messages):
            field = f"messages[{index}]"
            if isinstance(message, dict):
                yield from _message_faults(message, field, http_media)
            else:
                yield Fault(field, "must be an object")


def tool_faults(history: Sequence[Message], messages: Sequence[object]) -> Iterator[Fault]:
    """Yield a fault for each result of a tool that follows no call of it, as OpenAI refuses it."""
    called: set[object] = set()
    for index, message in enumerate([*history, *messages], -len(history)):
        if not isinstance(message, dict):
            continue
        if message.get("role") == "assistant":
            ids = (each.get("id") for each in objects_in(message.get("tool_calls")))
            called.update(each for each in ids if isinstance(each, str))
        elif message.get("role") == "tool" and index >= 0:
            call_id = message.get("tool_call_id")
            if isinstance(call_id, str) and call_id not in called:
                field = f"messages[{index}].tool_call_id"
                yield Fault(field, "must be the id of a tool call in a message before it")


def _message_faults(message: dict[str, Any], field: str, http_media: bool) -> Iterator[Fault]:
    role = message.get("role")
    if "role" not in message:
        yield Fault(f"{field}.role", "is required")
    elif role not in ROLES:
        yield Fault(f"{field}.role", f"must be one of {_ROLES_IN_WORDS}")
    if role == "tool":
        if "tool_call_id" not in message:
            yield Fault(f"{field}.tool_call_id", "is required")
        elif not isinstance(message["tool_call_id"], str):
            yield Fault(f"{field}.tool_call_id", "must be a string")
    if (calls := message.get("tool_calls")) is not None:
        yield from _call_faults(calls, f"{field}.tool_calls")
    yield from _content_faults(message, f"{field}.content", http_media)


def _content_faults(message: dict[str, Any], field: str, http_media: bool) -> Iterator[Fault]:
    role, content = message.get("role"), message.get("content")
    if content is None:
        given = "content" in message
        speaks = role == "assistant" and any(message.get(each) for each in _IN_PLACE_OF_CONTENT)
        if not speaks and not (role == "function" and given):
            yield Fault(field, "must not be null" if given else "is required")
    elif isinstance(content, str):
        if role not in ("assistant", "tool", "function") and not content.strip():
            yield Fault(field, "must not be empty")
    elif not isinstance(content, list):
        yield Fault(field, "must be a string or an array")
    elif not content:
        yield Fault(field, "must not be empty")
    else:
        for index, part in enumerate(content):
            yield from _part_faults(part, f"{field}[{index}]", http_media)


def _call_faults(calls: object, field: str) -> Iterator[Fault]:
    if not isinstance(calls, list):
        yield Fault(field, "must be an array")
        return
    for index, call in enumerate(calls):
        place = f"{field}[{index}]"
        if not isinstance(call, dict):
            yield Fault(place, "must be an object")
        elif "id" not in call:
            yield Fault(f"{place}.id", "is required")
        elif not isinstance(call["id"], str):
            yield Fault(f"{place}.id", "must be a string")


def _part_faults(part: object, field: str, http_media: bool) -> Iterator[Fault]:
    if not isinstance(part, dict):
        yield Fault(field, "must be an object")
        return
    match part.get("type"):
        case ("text" | "refusal") as kind:
            yield from _text_faults(part, kind, field)
        case "image_url" if not isinstance(part.get("image_url"), str):  # as some servers have it
            yield from _object_faults(part, "image_url", "url", field)
        case "input_audio":
            yield from _object_faults(part, "input_audio", "data", field)
        case "file":
            yield from _object_faults(part, "file", None, field)
        case str():
            pass
        case _:
            message = "must be a string" if "type" in part else "is required"
            yield Fault(f"{field}.type", message)
    yield from media_faults(part, field, http_media=http_media)


def _text_faults(holder: dict[str, Any], name: str, field: str) -> Iterator[Fault]:
    """A fault if a field is not there or no text."""
    if name not in holder:
        yield Fault(f"{field}.{name}", "is required")
    elif not isinstance(holder[name], str):
        yield Fault(f"{field}.{name}", "must be a string")


def _object_faults(
    part: dict[str, Any], name: str, text: str | None, field: str
) -> Iterator[Fault]:
    """The faults of a field that must be an object, in which the field `text` must be a text."""
    if name not in part:
        yield Fault(f"{field}.{name}", "is required")
    elif not isinstance(part[name], dict):
        yield Fault(f"{field}.{name}", "must be an object")
    elif text is not None:
        yield from _text_faults(part[name], text, f"{field}.{name}")


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _parts(message: object) -> int:
    if not isinstance(message, dict):
        return 0
    lists = (message.get("content"), message.get("tool_calls"))
    return sum(len(each) for each in lists if isinstance(each, list))


def _counted(message: Message) -> Iterator[str]:
    """Yield the texts of a message for which its sender pays."""
    yield from texts_of(message)
    for call in objects_in(message.get("tool_calls")):
        function = call.get("function")
        arguments = function.get("arguments") if isinstance(function, dict) else None
        if isinstance(arguments, str):
            yield arguments
