"""Decode the body of a streamed chat completion, from bytes to pieces of text. No I/O.

The body consists of Server-Sent Events, as WHATWG's HTML standard defines them: any line ending,
comments, `data:` with or without a space, several data lines per event. The data of an event is a
chunk in OpenAI's format, an error object, or `[DONE]`.
"""

from typing import Any

import msgspec

from adapters.openai.errors import ModelFault, classify_reported, unreadable
from application.errors import ModelRefused, ModelUnavailable
from application.ports import Finished
from domain.events import Usage

EVENT_LIMIT = 8 * 1024 * 1024
"""Bytes of one event. A longer one makes the answer unreadable."""
COUNT_LIMIT = 2**53
"""The largest number of tokens that is believed. JSON's integers are exact up to here (RFC 8259,
section 6)."""

_NOTHING = msgspec.Raw(b"")


class _Delta(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    # Not decoded, since only whether they are empty matters. `tool_calls` is OpenAI's; the names
    # for reasoning are those of DeepSeek, vLLM and OpenRouter.
    tool_calls: msgspec.Raw = _NOTHING
    reasoning_content: msgspec.Raw = _NOTHING
    reasoning: msgspec.Raw = _NOTHING
    reasoning_details: msgspec.Raw = _NOTHING

    @property
    def works(self) -> bool:
        """Whether the model works without text: it reasons or calls a tool."""
        work = (self.tool_calls, self.reasoning_content, self.reasoning, self.reasoning_details)
        return any(bytes(each) not in _EMPTY for each in work)


_EMPTY = {b"", b"null", b'""', b"[]", b"{}"}


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    model: str | None = None
    usage: Any = None
    error: Any = None


_decode = msgspec.json.Decoder(_Chunk).decode


class ChunkStream:
    """The decoder of one answer. Call `feed` with its bytes in order, until `done` or until they
    end, then `finished`."""

    def __init__(self, model: str) -> None:
        self.done = False
        """Whether the answer is over: the server said so, or there was a fault."""
        self.worked = False
        """Whether the bytes that were fed last hold reasoning or a tool call."""
        self._model = model
        self._reason: str | None = None
        self._usage: Usage | None = None
        self._fault: ModelFault | None = None
        self._held = b""  # a carriage return at the end of the bytes so far
        self._parts: list[bytes] = []  # of an event that is not complete
        self._size = 0

    def feed(self, data: bytes) -> str:
        """Return the text of the events that these bytes complete, up to a fault or the end."""
        texts: list[str] = []
        self.worked = False
        try:
            for event in filter(None, self._events(data)):
                plain = event.startswith(b"data:") and b"\n" not in event
                payload = event[5:] if plain else _payload(event)
                word = payload.strip() if len(payload) < 16 else payload
                if word == b"[DONE]":
                    self.done = True
                    break
                if word:
                    self._decode_chunk(payload, texts)
        except (ModelUnavailable, ModelRefused) as fault:
            self._fault, self.done = fault, True
        return "".join(texts)

    def _events(self, data: bytes) -> list[bytes]:
        """Return the events that these bytes complete. Each byte is scanned once, also if an event
        arrives in many parts."""
        if self._held:
            data, self._held = self._held + data, b""
        if b"\r" in data:
            # A carriage return at the end may be half of a line ending: keep it for the next bytes.
            self._held = b"\r" if data[-1:] == b"\r" else b""
            data = data.removesuffix(self._held).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if self._parts:
            split = data[:1] == b"\n" and self._parts[-1][-1:] == b"\n"
            if not split and b"\n\n" not in data:
                return self._keep(data)
            data = b"".join([*self._parts, data])
            self._parts, self._size = [], 0
        *events, rest = data.split(b"\n\n")
        self._keep(rest)
        return events

    def _keep(self, part: bytes) -> list[bytes]:
        if part:
            self._parts.append(part)
            self._size += len(part)
            if self._size > EVENT_LIMIT:
                raise unreadable()
        return []

    def finished(self) -> Finished:
        """Return how the answer ended. Raises ModelUnavailable or ModelRefused for an error object,
        for an unreadable answer, and for one that ended before it was complete."""
        if self._fault is not None:
            raise self._fault
        if self._reason is None:
            raise ModelUnavailable("incomplete", "The model's answer ended before it was complete.")
        return Finished(self._reason, self._model, self._usage)

    def _decode_chunk(self, payload: bytes, texts: list[str]) -> None:
        try:
            chunk = _decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise unreadable() from None
        if chunk.error is not None:
            raise classify_reported(chunk.error)
        if chunk.model:
            self._model = chunk.model
        if chunk.usage is not None:
            self._usage = _usage(chunk.usage)
        for choice in chunk.choices or ():
            if choice.delta is not None:
                if text := choice.delta.content or choice.delta.refusal:
                    texts.append(text)
                elif choice.delta.works:
                    self.worked = True
            if choice.finish_reason is not None:
                self._reason = choice.finish_reason


def _payload(event: bytes) -> bytes:
    """Return the data lines of an event, joined. It may also have comments and other fields."""
    lines = event.split(b"\n")
    return b"\n".join([line[5:] for line in lines if line.startswith(b"data:")])


def _usage(reported: Any) -> Usage | None:
    """Return the counts, or None if the server sent none that can be true: a count is not an
    integer, negative or absurdly large, or all are 0, as servers that do not count send."""
    if not isinstance(reported, dict):
        return None
    prompt, completion = reported.get("prompt_tokens", 0), reported.get("completion_tokens", 0)
    if not (_is_count(prompt) and _is_count(completion)):
        return None
    total = reported.get("total_tokens", prompt + completion)
    return Usage(prompt, completion, total) if _is_count(total) and total > 0 else None


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= COUNT_LIMIT
