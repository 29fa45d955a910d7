"""The body of a streamed chat completion, from bytes cut anywhere to pieces of text.

Server-Sent Events as WHATWG's HTML standard defines them (any line ending, comments, `data:` with
or without a space, several data lines per event), each event's data one chunk of OpenAI's format
or an error object. No I/O here.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from adapters.openai.errors import classify_reported
from application.ports import Finished, ModelUnavailable
from domain.events import Usage

LINE_LIMIT = 8 * 1024 * 1024
"""Bytes that one unfinished line may take before the answer counts as broken."""


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
        """Whether the server said that nothing more will come."""
        self._model = model
        self._reason: str | None = None
        self._usage: Usage | None = None
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, data: bytes) -> Iterator[str]:
        """The pieces of text that these bytes complete. Raises ModelUnavailable or ModelRefused
        for an error object and for what is not this format."""
        data = self._rest + data
        if b"\r" in data:
            # A carriage return at the cut may be half of a line ending: it waits for the rest.
            held = data[-1:] == b"\r"
            data = data[:-1] if held else data
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            *lines, rest = data.split(b"\n")
            self._rest = rest + b"\r" if held else rest
        else:
            *lines, self._rest = data.split(b"\n")
        if len(self._rest) > LINE_LIMIT:
            raise _broken()
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[5:])
            elif not line and self._data:
                event = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
                self._data.clear()
                if event.strip() == b"[DONE]":
                    self.done = True
                    return
                yield from self._chunk(event)

    def finished(self) -> Finished:
        """How the answer ended. Raises ModelUnavailable if it broke off before it had."""
        if self._reason is None:
            raise ModelUnavailable("incomplete", "The model's answer broke off.")
        return Finished(self._reason, self._model, self._usage)

    def _chunk(self, event: bytes) -> Iterator[str]:
        try:
            chunk = _decode(event)
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
                yield text
            if choice.finish_reason is not None:
                self._reason = choice.finish_reason


def _broken() -> ModelUnavailable:
    return ModelUnavailable("invalid_response", "The model's answer could not be read.")
