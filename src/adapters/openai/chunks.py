"""The body of a streamed chat completion, from bytes cut anywhere to pieces of text.

Server-Sent Events as WHATWG's HTML standard defines them (any line ending, comments, `data:` with
or without a space, several data lines per event), each event's data one chunk of OpenAI's format
or an error object. No I/O here.
"""

from typing import Any

import msgspec

from adapters.openai.errors import classify_reported
from application.ports import Finished, ModelRefused, ModelUnavailable
from domain.events import Usage

EVENT_LIMIT = 8 * 1024 * 1024
"""Bytes that one unfinished event may take before the answer counts as broken."""


class _Delta(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    model: str | None = None
    usage: _Usage | None = None
    error: Any = None


_decode = msgspec.json.Decoder(_Chunk).decode


class ChunkStream:
    """One answer. `feed` its bytes in order until `done` or until they end, then ask `finished`."""

    def __init__(self, model: str) -> None:
        self.done = False
        """Whether nothing more will come: the server said so, or what it said is a fault."""
        self._model = model
        self._reason: str | None = None
        self._usage: Usage | None = None
        self._fault: ModelUnavailable | ModelRefused | None = None
        self._rest = b""

    def feed(self, data: bytes) -> str:
        """The text that these bytes complete, up to a fault or the end."""
        data = self._rest + data
        held = b""
        if b"\r" in data:
            # A carriage return at the cut may be half of a line ending: it waits for the rest.
            held = b"\r" if data[-1:] == b"\r" else b""
            data = data.removesuffix(held).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *events, rest = data.split(b"\n\n")
        self._rest = rest + held
        texts: list[str] = []
        try:
            if len(self._rest) > EVENT_LIMIT:
                raise _broken()
            for event in events:
                plain = event.startswith(b"data:") and b"\n" not in event
                payload = event[5:] if plain else _payload(event)
                word = payload.strip() if len(payload) < 16 else payload
                if word == b"[DONE]":
                    self.done = True
                    break
                if word:
                    self._take(payload, texts)
        except (ModelUnavailable, ModelRefused) as fault:
            self._fault, self.done = fault, True
        return "".join(texts)

    def finished(self) -> Finished:
        """How the answer ended. Raises ModelUnavailable or ModelRefused for an error object, for
        what is not this format, and if it broke off before it had ended."""
        if self._fault is not None:
            raise self._fault
        if self._reason is None:
            raise ModelUnavailable("incomplete", "The model's answer broke off.")
        return Finished(self._reason, self._model, self._usage)

    def _take(self, payload: bytes, texts: list[str]) -> None:
        try:
            chunk = _decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise _broken() from None
        if chunk.error is not None:
            raise classify_reported(chunk.error)
        if chunk.model:
            self._model = chunk.model
        if chunk.usage is not None:
            usage = chunk.usage
            self._usage = Usage(usage.prompt_tokens, usage.completion_tokens, usage.total_tokens)
        for choice in chunk.choices or ():
            if choice.delta is not None and (text := choice.delta.content or choice.delta.refusal):
                texts.append(text)
            if choice.finish_reason is not None:
                self._reason = choice.finish_reason


def _payload(event: bytes) -> bytes:
    """Its data lines, joined: an event may have comments, other fields and several of them."""
    lines = event.split(b"\n")
    return b"\n".join([line[5:] for line in lines if line.startswith(b"data:")])


def _broken() -> ModelUnavailable:
    return ModelUnavailable("invalid_response", "The model's answer could not be read.")
