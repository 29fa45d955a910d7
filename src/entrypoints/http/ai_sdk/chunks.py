"""The chunks of the AI SDK's UI message stream, version 1, and their frames.

A frame is one `data:` line of JSON. The stream has no `id:` lines: a client counts its chunks.
"""

from functools import lru_cache
from typing import Any

import msgspec

from domain.answer import CUT, Answer, JsonObject, ToolCall, is_deep
from domain.events import StatusChanged, TaskEnded
from entrypoints.http.answer_parts import citation
from entrypoints.http.sse.frame_json import frame_json

Chunk = dict[str, Any]

DONE = b"data: [DONE]\n\n"
"""Ends a stream. It does not count as a chunk."""
DELTA_TAIL = b"}\n\n"
NOTHING_TO_FOLLOW = b'data: {"type":"finish"}\n\n' + DONE
"""The stream of a chat without a task, for clients that take an empty response for an error."""
RESET_SINCE = 7
"""The first version of the AI SDK that knows `reset-step`."""

_UNNAMED = "unnamed"
"""The name of a tool that the model did not name: without one a page could not send the call back.
"""
_PICTURES = ("png", "jpeg", "webp")
"""The formats of generated pictures. The first is the usual one."""
_FINISH_REASONS = {"stop": "stop", "tool_calls": "tool-calls"}


def frame(chunk: Chunk) -> bytes:
    return b"data: %b\n\n" % frame_json(chunk)


@lru_cache(maxsize=1024)
def delta_head(kind: str, id_: str) -> bytes:
    """Return what stands before the text in the frame of a delta. `kind`: text or reasoning.
    DELTA_TAIL stands behind the text."""
    return b'data: {"type":"%b-delta","id":%b,"delta":' % (kind.encode(), frame_json(id_))


def metadata(status: StatusChanged, **further: Any) -> Chunk:
    """Return the chunk that tells a status to the message of the page."""
    told = {"status": status.status.value, "attempt": status.attempt, **further}
    return {"type": "message-metadata", "messageMetadata": told}


def reset_step(attempt: int, sdk: int) -> Chunk:
    """Return the chunk that takes back what a lost attempt said. Before version 7 it is a part of
    the message, and the page has to leave out what stands before it in its step."""
    if sdk >= RESET_SINCE:
        return {"type": "reset-step"}
    return {"type": "data-reset-step", "data": {"attempt": attempt}}


def named_tool(kind: str, id_: str, name: str, dynamic: bool) -> Chunk:
    """Return a chunk of a call, to which fields may be added."""
    chunk = {"type": kind, "toolCallId": id_, "toolName": name or _UNNAMED}
    return {**chunk, "dynamic": True} if dynamic else chunk


def whole_input(call: ToolCall, id_: str, dynamic: bool) -> Chunk:
    """Return the chunk with the whole input of a call: an error if a page could not use the
    arguments. Empty arguments are `{}`."""
    try:
        value = msgspec.json.decode(call.arguments or "{}")
    except (ValueError, RecursionError):
        value, wrong = None, "are not valid JSON"
    else:
        wrong = _unusable(value)
    if wrong:
        chunk = named_tool("tool-input-error", id_, call.name, dynamic)
        error = f"The model's arguments for this tool {wrong}."
        return {**chunk, "input": call.arguments, "errorText": error}
    chunk = named_tool("tool-input-available", id_, call.name, dynamic)
    return {**chunk, "input": value}


def _unusable(value: Any) -> str:
    """Return why a page could not read a value or could not send it back, or "" if it can do
    both."""
    level = [value] if isinstance(value, dict | list) else []
    # As a request holds them when the call is sent back (chat_body).
    if level and is_deep({"message": {"parts": [{"input": value}]}}):
        return "are nested too deep"
    while level:
        if any(isinstance(each, dict) and _is_forbidden(each) for each in level):
            return "have a field of a name that the AI SDK does not accept"
        level = [
            child
            for each in level
            for child in (each.values() if isinstance(each, dict) else each)
            if isinstance(child, dict | list)
        ]
    return ""


def _is_forbidden(value: JsonObject) -> bool:
    """Whether the AI SDK refuses an object: it could change what all objects inherit."""
    constructor = value.get("constructor")
    return "__proto__" in value or (isinstance(constructor, dict) and "prototype" in constructor)


def item_chunks(item: JsonObject) -> list[Chunk]:
    """Return the chunks of an output item of the upstream: the item as a part of our own, and a
    picture as a file of the message."""
    kind, picture = item.get("type"), item.get("result")
    if wrong := _unusable(item):
        return [
            {"type": "data-item", "data": {"type": str(kind), "error": f"Its contents {wrong}."}}
        ]
    if kind != "image_generation_call" or not isinstance(picture, str):
        return [{"type": "data-item", "data": item}]
    told_as = item.get("output_format")
    media_type = f"image/{told_as if told_as in _PICTURES else _PICTURES[0]}"
    file = {"type": "file", "url": f"data:{media_type};base64,{picture}", "mediaType": media_type}
    return [{"type": "data-item", "data": {**item, "result": None}}, file]


def sources(answer: Answer, task_id: str) -> list[Chunk]:
    """Return a chunk for each citation of a page or a file in the answer."""
    citations = filter(None, map(citation, answer.annotations))
    return [
        {**_source(each), "sourceId": f"{task_id}_{index}"} for index, each in enumerate(citations)
    ]


def _source(told: JsonObject) -> Chunk:
    if told["type"] == "url_citation":
        return {"type": "source-url", "url": told["url"], "title": told["title"]}
    name = told.get("filename") or told["file_id"]
    # OpenAI tells no media type; the AI SDK's own provider says this one.
    return {"type": "source-document", "mediaType": "text/plain", "title": name, "filename": name}


def finish_reason(end: TaskEnded) -> str:
    """Return why the model stopped, in the AI SDK's words."""
    reason = end.finish_reason.lower()
    if reason in CUT:
        return "content-filter" if CUT[reason] == "content_filter" else "length"
    return _FINISH_REASONS.get(reason, "other")
