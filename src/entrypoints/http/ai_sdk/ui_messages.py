"""From the messages of a page (the AI SDK's UIMessages) to the messages of chat completions.

A message of the assistant becomes a message for each of its steps, followed by the results of that
step's tools. Left out is what only the page shows (reasoning, sources, data, pictures that a hosted
tool made), and a call that has no result: with it, most servers refuse the whole conversation.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from domain.answer import DEPTH_LIMIT, is_deep
from domain.errors import Fault, shown
from domain.media import base64_of, media_faults
from domain.messages import Message, text_message, tool_call
from entrypoints.http.fields import Fields

_ROLES = ("system", "user", "assistant")
_ENDED = ("output-available", "output-error", "output-denied")
_OPEN = ("input-streaming", "input-available", "approval-requested", "approval-responded")
_AUDIO = {"audio/wav": "wav", "audio/x-wav": "wav", "audio/mpeg": "mp3", "audio/mp3": "mp3"}
"""What chat completions take as audio, by the media type."""
_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_SUBTYPE = re.compile(r"\w+/(\w+)")
_DENIED = "Tool call execution denied."
"""What the AI SDK tells the model of a call that was denied without a reason."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the page wrote what is a message now."""

    place: str
    urls: tuple[str, ...] = ()
    """Where the page wrote, or would write, the URL of each part of its content."""


@dataclass(frozen=True, slots=True)
class ModelMessages:
    """The messages so far, each with its origin."""

    messages: list[Message] = field(default_factory=list)
    origins: list[Origin] = field(default_factory=list)

    def add(self, message: Message, place: str, urls: tuple[str, ...] = ()) -> None:
        self.messages.append(message)
        self.origins.append(Origin(place, urls))


def visible(parts: Sequence[Any]) -> list[int]:
    """Return the indices of the parts that count. A part `data-reset-step`, by which versions 5 and
    6 are told that an attempt was lost, takes back what its step has said before it."""
    found: list[int] = []
    for index, part in enumerate(parts):
        if _kind(part) != "data-reset-step":
            found.append(index)
            continue
        while found and _kind(parts[found[-1]]) != "step-start":
            found.pop()
    return found


def read_ui_messages(values: Sequence[Any], faults: list[Fault]) -> ModelMessages:
    """Return the messages for the model. Adds what is wrong with those of the page to the faults,
    apart from the bounds that the domain checks."""
    read = ModelMessages()
    for index, value in enumerate(values):
        message = Fields(value if isinstance(value, dict) else {}, f"messages[{index}]", faults)
        if not isinstance(value, dict):
            message.refuse("", "must be an object")
            continue
        message.text("id")
        role, given = message.choice("role", _ROLES), message.array("parts")
        for name in ("role", "parts"):
            if message.value(name) is None:
                message.refuse(name, "is required")
        if role is None or given is None:
            continue
        place = message.path("parts")
        parts = [_part(given[each], f"{place}[{each}]", faults) for each in visible(given)]
        if role == "assistant":
            _read_steps([each for each in parts if each], place, read)
        else:
            _read_content([each for each in parts if each], role, place, read)
    return read


def _kind(part: object) -> object:
    return part.get("type") if isinstance(part, dict) else None


def _part(value: object, path: str, faults: list[Fault]) -> Fields | None:
    if isinstance(value, dict):
        return Fields(value, path, faults)
    Fields({}, path, faults).refuse("", "must be an object")
    return None


def _read_content(parts: Sequence[Fields], role: str, place: str, read: ModelMessages) -> None:
    """Read what a user or the system says."""
    content: list[dict[str, Any]] = []
    urls = []
    for part in parts:
        match part.value("type"):
            case "text":
                made = {"type": "text", "text": part.required_text("text")}
            case "file" if role == "user":
                made = _file(part)
            case _:
                _pass_over(part, role)
                continue
        if made.get("text") != "":  # some servers refuse an empty text
            content.append(made)
            urls.append(part.path("url"))
    if role == "system" or [each["type"] for each in content] == ["text"]:
        # Many servers take nothing but a string where a string can say it.
        read.add(text_message(role, "".join(each["text"] for each in content)), place)
    else:
        read.add({"role": role, "content": content}, place, tuple(urls))


def _file(part: Fields) -> dict[str, Any]:
    """Return a file as a part of chat completions."""
    media_type = part.required_text("mediaType").partition(";")[0].strip().lower()
    url, name = part.required_text("url"), part.text("filename")
    if part.value("providerReference") is not None:
        part.refuse("providerReference", "is not accepted: send the file in url")
    if media_type.partition("/")[0] == "image":
        return {"type": "image_url", "image_url": {"url": url}}
    if url[:5].lower() != "data:":
        if isinstance(part.value("url"), str):
            part.refuse("url", "must be a data: URL: only images may lie elsewhere")
        return {"type": "file"}
    if (format_ := _AUDIO.get(media_type)) is not None:
        for fault in media_faults({"url": url}, "", http_media=False):
            part.refuse("url", fault.message)
        data = base64_of(url.partition(",")[2])
        return {"type": "input_audio", "input_audio": {"data": data, "format": format_}}
    if not name:  # OpenAI requires one
        subtype = _SUBTYPE.fullmatch(media_type)
        name = f"file.{subtype[1]}" if subtype else "file"
    return {"type": "file", "file": {"filename": name, "file_data": url}}


@dataclass(slots=True)
class _Step:
    """A step of the assistant: one request to the model, and the tools that were run for it."""

    text: list[str] = field(default_factory=list)
    calls: list[dict[str, Any]] = field(default_factory=list)
    results: list[tuple[Message, str]] = field(default_factory=list)
    """Each with its place."""

    def end(self, place: str, read: ModelMessages) -> None:
        text = "".join(self.text)
        if self.calls:
            message = {"role": "assistant", "content": text or None, "tool_calls": self.calls}
            read.add(message, place)
        elif text:
            read.add(text_message("assistant", text), place)
        for result, its_place in self.results:
            read.add(result, its_place)


def _read_steps(parts: Sequence[Fields], place: str, read: ModelMessages) -> None:
    step = _Step()
    for part in parts:
        match part.value("type"):
            case "step-start":
                step.end(place, read)
                step = _Step()
            case "text":
                step.text.append(part.required_text("text"))
            case "reasoning":
                part.required_text("text")
            case "reasoning-file":
                pass
            case "file" if _is_picture(part):
                pass
            case "dynamic-tool":
                _read_tool(part, _name(part, "toolName"), step)
            case str() as kind if kind.startswith("tool-"):
                if kind == "tool-":
                    part.refuse("type", "must end in the name of a tool")
                _read_tool(part, kind.removeprefix("tool-"), step)
            case _:
                _pass_over(part, "assistant")
    step.end(place, read)


def _is_picture(part: Fields) -> bool:
    """Whether a file of the assistant is a picture in the page, as this face tells one."""
    return (part.text("url") or "").startswith("data:image/")


def _read_tool(part: Fields, name: str, step: _Step) -> None:
    call_id, state = _name(part, "toolCallId"), part.choice("state", (*_OPEN, *_ENDED))
    if part.value("state") is None:
        part.refuse("state", "is required")
    if state not in _ENDED:
        return
    given = "input" if part.value("input") is not None else "rawInput"
    arguments = "{}" if part.value(given) is None else _json(part, given)
    match state:
        case "output-error":
            result = part.required_text("errorText")
        case "output-denied":
            approval = part.inner("approval")
            result = (approval.text("reason") if approval else None) or _DENIED
        case _:
            output = part.value("output")
            result = output if isinstance(output, str) else _json(part, "output")
    step.calls.append(tool_call(call_id, name, arguments))
    message = {"role": "tool", "tool_call_id": call_id, "content": result}
    step.results.append((message, part.path("output")))


def _name(part: Fields, name: str) -> str:
    """Return a text that must not be empty."""
    text = part.required_text(name)
    if part.value(name) == "":
        part.refuse(name, "must not be empty")
    return text


def _json(part: Fields, name: str) -> str:
    """Return a field as JSON."""
    value = part.value(name)
    if isinstance(value, dict | list) and is_deep(value):
        part.refuse(name, f"must be nested at most {DEPTH_LIMIT} levels deep")
        return ""
    return _encode(value)


def _pass_over(part: Fields, role: str) -> None:
    """Refuse a part, unless it is there for the page only."""
    kind = part.value("type")
    if kind is None:
        part.refuse("type", "is required")
    elif not isinstance(kind, str):
        part.refuse("type", "must be a string")
    elif kind != "step-start" and not kind.startswith(("data-", "source-")):
        part.refuse("type", f'"{shown(kind)}" cannot be passed on in a message of the {role}')
