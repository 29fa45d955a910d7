"""The parts of a message that an answer continues, told again.

A client that reads a chat from its beginning builds the message anew: without its earlier parts, it
would lose the steps before the answer.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from domain.answer import JsonObject
from domain.messages import objects_in
from entrypoints.http.ai_sdk.chunks import Chunk, frame, named_tool


class Earlier(NamedTuple):
    metadata: JsonObject
    """Of the message."""
    frames: tuple[bytes, ...]
    """The frames of its parts."""


NOTHING_EARLIER = Earlier({}, ())

_FIELDS = {
    "file": ("url", "mediaType"),
    "source-url": ("sourceId", "url"),
    "source-document": ("sourceId", "mediaType", "title"),
    "reasoning-file": ("url", "mediaType"),
    "custom": ("kind",),
}
"""Parts that are chunks as they are, and the texts that they must have."""
_SINCE_7 = ("reasoning-file", "custom")


def earlier_of(message: Mapping[str, Any], sdk: int) -> Earlier:
    """Return what to tell of a message of the assistant. `sdk`: the version of the AI SDK. What
    this version could not read is left out."""
    told = message.get("metadata")
    chunks: list[Chunk] = []
    for index, part in enumerate(objects_in(message.get("parts"))):
        if part.get("type") == "step-start" and chunks:
            chunks.append({"type": "finish-step"})
        chunks += _chunks_of(part, f"earlier_{index}", sdk)
    if chunks:
        chunks.append({"type": "finish-step"})
    return Earlier(told if isinstance(told, dict) else {}, tuple(map(frame, chunks)))


def _chunks_of(part: JsonObject, id_: str, sdk: int) -> list[Chunk]:
    kind = part.get("type")
    match kind:
        case "step-start":
            return [{"type": "start-step"}]
        case "text" | "reasoning":
            if isinstance(kept := part.get("id"), str):
                id_ = kept  # the page keeps that of a reasoning
            delta = {"type": f"{kind}-delta", "id": id_, "delta": part.get("text") or ""}
            start = {"type": f"{kind}-start", "id": id_, **_kept(part, "providerMetadata")}
            return [start, delta, {"type": f"{kind}-end", "id": id_}]
        case "dynamic-tool":
            return _tool(part, part.get("toolName"), True, sdk)
        case str() if kind.startswith("tool-"):
            return _tool(part, kind.removeprefix("tool-"), False, sdk)
        case str() if kind.startswith("data-") and "data" in part:
            return [{"type": kind, "data": part["data"], **_kept(part, "id")}]
        case str() if kind in _FIELDS and (sdk >= 7 or kind not in _SINCE_7):
            texts = all(isinstance(part.get(name), str) for name in _FIELDS[kind])
            return [dict(part)] if texts else []
    return []


def _tool(part: JsonObject, name: Any, dynamic: bool, sdk: int) -> list[Chunk]:
    """Return the chunks of a call of a tool. Its input is told as a delta: told as available, the
    page would run the tool again."""
    call_id, state = part.get("toolCallId"), part.get("state")
    if not (isinstance(call_id, str) and isinstance(name, str)):
        return []
    known = {"toolCallId": call_id, **({"dynamic": True} if dynamic else {})}
    failed = {"errorText": part.get("errorText") or ""}
    start = {**named_tool("tool-input-start", call_id, name, dynamic), **_kept(part, "title")}
    if part.get("input") is None and state == "output-error":
        error = named_tool("tool-input-error", call_id, name, dynamic)
        return [start, {**error, "input": part.get("rawInput"), **failed}]
    chunks = [start]
    if part.get("input") is not None:
        written = msgspec.json.encode(part["input"]).decode()
        chunks.append(
            {"type": "tool-input-delta", "toolCallId": call_id, "inputTextDelta": written}
        )
    if state == "output-available":
        chunks.append({"type": "tool-output-available", **known, "output": part.get("output")})
    elif state == "output-error":
        chunks.append({"type": "tool-output-error", **known, **failed})
    elif state == "output-denied" and sdk >= 6:
        chunks.append({"type": "tool-output-denied", "toolCallId": call_id})
    return chunks


def _kept(part: JsonObject, name: str) -> Chunk:
    return {name: part[name]} if part.get(name) is not None else {}
