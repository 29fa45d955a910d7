"""Messages in the form of OpenAI's chat completions, and what is wrong with them.

A message is passed on as it is. Checked is what every server refuses, and what would make a task
fail only later: the role, whether there is content, the fields that known parts must have, and that
a tool's result follows its call. Parts of other types are passed on unchecked, except for the URLs
in them.
"""

import binascii
import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import urlsplit

from domain.answer import Answer, JsonObject
from domain.errors import Fault

Message = JsonObject

ROLES = ("system", "developer", "user", "assistant", "tool")
_DATA_URL = re.compile(r"data:[^,;]*(?:;[^,;]+)*?(;base64)?,", re.I)
_MEDIA_DATA = {"input_audio": ("data",), "file": ("file_data",)}
"""Fields of known parts that may hold a `data:` URL or plain base64."""


def text_message(role: str, text: str) -> Message:
    return {"role": role, "content": text}


def answer_message(answer: Answer, *, whole: bool) -> Message | None:
    """Return an answer as the message that continues a conversation, or None if it says nothing.
    Reasoning is left out, since most servers refuse to be sent it. Calls of tools are left out
    unless the answer is `whole`, and so is a call whose arguments were cut off."""
    calls = [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments or "{}"},
        }
        for call in answer.tool_calls
        if whole
    ]
    if not calls:
        return text_message("assistant", answer.text) if answer.text else None
    return {"role": "assistant", "content": answer.text or None, "tool_calls": calls}


def characters_of(messages: Sequence[Message]) -> int:
    """Return the number of characters of text in messages, which says how many tokens they cost,
    roughly. Images, audio and files are not counted."""
    return sum(map(_characters, messages))


def message_faults(messages: Sequence[object], *, http_media: bool) -> Iterator[Fault]:
    """Yield what is wrong with messages, each by itself. `http_media`: whether URLs of images and
    files may be http."""
    for index, message in enumerate(messages):
        field = f"messages[{index}]"
        if not isinstance(message, dict):
            yield Fault(field, "must be an object")
        else:
            yield from _message_faults(message, field, http_media)


def tool_faults(history: Sequence[Message], messages: Sequence[object]) -> Iterator[Fault]:
    """Yield a fault for each result of a tool that follows no call of it, as OpenAI refuses it."""
    called: set[object] = set()
    for index, message in enumerate([*history, *messages], -len(history)):
        if not isinstance(message, dict):
            continue
        if message.get("role") == "assistant":
            calls = message.get("tool_calls")
            ids = (each.get("id") for each in _objects(calls))
            called |= {each for each in ids if isinstance(each, str)}
        elif message.get("role") == "tool":
            call_id = message.get("tool_call_id")
            if isinstance(call_id, str) and call_id not in called and index >= 0:
                field = f"messages[{index}].tool_call_id"
                yield Fault(field, "must be the id of a tool call in a message before it")


def _message_faults(message: dict[str, Any], field: str, http_media: bool) -> Iterator[Fault]:
    role, content = message.get("role"), message.get("content")
    if "role" not in message:
        yield Fault(f"{field}.role", "is required")
    elif role not in ROLES:
        yield Fault(f"{field}.role", "must be one of " + ", ".join(f'"{each}"' for each in ROLES))
    if role == "tool" and "tool_call_id" not in message:
        yield Fault(f"{field}.tool_call_id", "is required")
    elif role == "tool" and not isinstance(message["tool_call_id"], str):
        yield Fault(f"{field}.tool_call_id", "must be a string")
    calls = message.get("tool_calls")
    if calls is not None:
        yield from _call_faults(calls, f"{field}.tool_calls")
    field = f"{field}.content"
    if content is None:
        speaks = role == "assistant" and bool(calls or message.get("refusal"))
        if not speaks:
            yield Fault(field, "must not be null" if "content" in message else "is required")
    elif isinstance(content, str):
        if not content.strip() and role not in ("assistant", "tool"):
            yield Fault(field, "must not be empty")
    elif isinstance(content, list):
        if not content:
            yield Fault(field, "must not be empty")
        for index, part in enumerate(content):
            yield from _part_faults(part, f"{field}[{index}]", http_media)
    else:
        yield Fault(field, "must be a string or an array")


def _call_faults(calls: object, field: str) -> Iterator[Fault]:
    if not isinstance(calls, list):
        yield Fault(field, "must be an array")
        return
    for index, call in enumerate(calls):
        place = f"{field}[{index}]"
        if not isinstance(call, dict):
            yield Fault(place, "must be an object")
        elif not isinstance(call.get("id"), str):
            yield Fault(f"{place}.id", "must be a string")


def _part_faults(part: object, field: str, http_media: bool) -> Iterator[Fault]:
    if not isinstance(part, dict):
        yield Fault(field, "must be an object")
        return
    kind = part.get("type")
    if not isinstance(kind, str):
        yield Fault(f"{field}.type", "must be a string")
        return
    if kind == "text" and not isinstance(part.get("text"), str):
        yield Fault(f"{field}.text", "must be a string")
    if kind in ("image_url", "input_audio", "file") and not isinstance(part.get(kind), dict):
        yield Fault(f"{field}.{kind}", "must be an object")
    for name, value in part.items():
        inner = f"{field}.{name}"
        if not isinstance(value, dict):
            if name.endswith("url"):
                yield from _url_faults(value, inner, http_media)
            continue
        if name == kind == "image_url" and "url" not in value:
            yield Fault(f"{inner}.url", "is required")
        if name == kind == "input_audio" and not isinstance(value.get("data"), str):
            yield Fault(f"{inner}.data", "must be a string")
        for key, each in value.items():
            if key.endswith("url"):
                yield from _url_faults(each, f"{inner}.{key}", http_media)
        for key in _MEDIA_DATA.get(name, ()):
            data = value.get(key)
            if isinstance(data, str) and data[:5].lower() == "data:":
                yield from _data_url_faults(data, f"{inner}.{key}")


def _url_faults(url: object, field: str, http_media: bool) -> Iterator[Fault]:
    if not isinstance(url, str):
        yield Fault(field, "must be a string")
    elif url[:5].lower() == "data:":
        yield from _data_url_faults(url, field)
    else:
        schemes = ("https", "http") if http_media else ("https",)
        try:
            parts = urlsplit(url)
            right = parts.scheme in schemes and bool(parts.hostname)
        except ValueError:
            right = False
        if not right:
            yield Fault(field, f"must be a URL that begins with {schemes[0]}:// or data:")


def _data_url_faults(url: str, field: str) -> Iterator[Fault]:
    """RFC 2397: `data:[<media type>][;base64],<data>`."""
    head = _DATA_URL.match(url[:1_000])
    if head is None:
        yield Fault(field, "must be a data: URL of the form data:<media type>;base64,<data>")
    elif head[1] is not None:
        try:
            binascii.a2b_base64(url[head.end() :].encode(), strict_mode=True)
        except (ValueError, UnicodeEncodeError):
            yield Fault(field, "must hold valid base64 after the comma")
    if head is not None and head.end() == len(url):
        yield Fault(field, "must hold data after the comma")


def _characters(message: Message) -> int:
    content = message.get("content")
    if isinstance(content, str):
        size = len(content)
    else:
        texts = (part.get("text") for part in _objects(content))
        size = sum(len(text) for text in texts if isinstance(text, str))
    for call in _objects(message.get("tool_calls")):
        function = call.get("function")
        arguments = function.get("arguments") if isinstance(function, dict) else None
        size += len(arguments) if isinstance(arguments, str) else 0
    return size


def _objects(values: object) -> list[dict[str, Any]]:
    return [each for each in values if isinstance(each, dict)] if isinstance(values, list) else []
