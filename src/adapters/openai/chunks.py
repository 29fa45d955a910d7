"""Decode the body of a streamed chat completion, from bytes to pieces of text. No I/O.

The body consists of Server-Sent Events, as WHATWG's HTML standard defines them: any line ending,
comments, `data:` with or without a space, several data lines per event. The data of an event is a
chunk in OpenAI's format, an error object, or `[DONE]`. A server that does not stream sends one JSON
object in place of the events.

Usual chunks are decoded by msgspec into fixed types. What does not fit them is read by `oddities`.
"""

from typing import Any, NoReturn

import msgspec

from adapters.openai.errors import ModelFault, classify_reported, no_model_here, unreadable
from adapters.openai.oddities import Oddity, joined_surrogates, read_odd
from adapters.openai.usage import read_usage
from application.errors import ModelRefused, ModelUnavailable
from application.ports import Finished
from domain.events import Usage

EVENT_LIMIT = 8 * 1024 * 1024
"""Bytes of one event. A longer one makes the answer unreadable."""
_COMPLETE = {
    *("stop", "length", "tool_calls", "function_call", "content_filter"),  # OpenAI
    *("eos", "eos_token", "end_turn", "stop_sequence", "max_tokens", "model_length", "tool_use"),
}
"""Reasons, in lower case, with which an answer is complete though nothing follows them. With any
other, the server must also send `[DONE]`."""
_FAILED = {"error", "network_error"}
"""Reasons that say that the server failed."""
_MARK = b"\xef\xbb\xbf"  # a byte order mark in front of the first event

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
    """The decoder of one answer. Call `feed` with its bytes in order, until `done`, or `end` when
    there are no more. Then call `finished`."""

    def __init__(self, model: str, api_key: str = "") -> None:
        """`api_key` is left out of what is quoted of the server."""
        self.done = False
        """Whether the answer is over: the server said so, or there was a fault."""
        self.complete = False
        """Whether the server has said why the model stopped. Only its usage may follow."""
        self.worked = False
        """Whether the bytes that were fed last hold reasoning or a tool call."""
        self.reported: Any = None
        """The error that the server reported, as it is."""
        self._model = model
        self._api_key = api_key
        self._reason: str | None = None
        self._usage: Usage | None = None
        self._fault: ModelFault | None = None
        self._opened = False  # whether the first bytes show that these are events
        self._whole = False  # whether these are no events, but one JSON object or a page
        self._held = b""  # a carriage return at the end of the bytes so far
        self._parts: list[bytes] = []  # of an event that is not complete
        self._size = 0
        self._half: str | None = None  # of a surrogate pair. None: no text had any

    def feed(self, data: bytes) -> str:
        """Return the text of the events that these bytes complete, up to a fault or the end."""
        texts: list[str] = []
        self.worked = False
        try:
            if not self._opened:
                data = self._open(data)
            for event in filter(None, self._events(data)):
                plain = event.startswith(b"data:") and b"\n" not in event
                payload = event[5:] if plain else _payload(event)
                word = payload.strip() if len(payload) < 16 else payload
                if word == b"[DONE]":
                    self._finish()
                    break
                if word:
                    self._decode_chunk(payload, texts)
        except (ModelUnavailable, ModelRefused) as fault:
            # After the reason and the usage nothing can cost the answer.
            if not self.done:
                self._fault, self.done, self.complete = fault, True, True
        text = "".join(texts)
        return text if self._half is None else self._joined(text)

    def end(self) -> str:
        """Return the text of what the bytes end with: an event without its empty line, or a whole
        answer in place of events."""
        if self.done:
            return ""
        self.done = True
        last, self._parts = b"".join(self._parts), []
        texts: list[str] = []
        try:
            if self._whole:
                self._read_whole(last, texts)
            else:
                self._read_last(last, texts)
        except (ModelUnavailable, ModelRefused) as fault:
            self._fault = fault
        text = "".join(texts)
        return text if self._half is None else self._joined(text)

    def _open(self, data: bytes) -> bytes:
        """Return the first bytes of the events, once it is known that they are events."""
        if self._whole:
            self._keep(data)
            return b""
        data, self._parts, self._size = b"".join([*self._parts, data]), [], 0
        if _MARK.startswith(data):  # maybe only a part of it
            self._keep(data)
            return b""
        data = data.removeprefix(_MARK).lstrip()
        if data[:1] in (b"{", b"[", b"<"):
            self._whole = True
            self._keep(data)
            return b""
        self._opened = bool(data)
        return data

    def _read_last(self, event: bytes, texts: list[str]) -> None:
        """Read an event that may have been cut: then the answer is incomplete, not unreadable."""
        payload = _payload(event.rstrip())
        if payload.strip() == b"[DONE]":
            self._finish()
        elif payload:
            try:
                self._decode_chunk(payload, texts)
            except ModelUnavailable as fault:
                if fault.code != "invalid_response":
                    raise

    def _read_whole(self, body: bytes, texts: list[str]) -> None:
        if body.startswith(b"<"):
            raise no_model_here()
        odd = self._take_odd(body, texts)
        if odd is None or not odd.choices:
            raise unreadable()
        self._finish()

    def _finish(self) -> None:
        """The server says that it has said everything, with or without a reason."""
        self._reason = self._reason or "stop"
        self.done = self.complete = True

    def _joined(self, text: str) -> str:
        """Return the text with its surrogates joined to pairs. Half a pair at its end is kept for
        the next text."""
        text = (self._half or "") + text
        cut = "\ud800" <= text[-1:] <= "\udbff" and not self.done
        self._half = text[-1] if cut else None
        return joined_surrogates(text[:-1] if cut else text)

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
        if self._reason is None or not self.complete:
            raise ModelUnavailable("incomplete", "The model's answer ended before it was complete.")
        return Finished(self._reason, self._model, self._usage)

    def _decode_chunk(self, payload: bytes, texts: list[str]) -> None:
        try:
            chunk = _decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._take_odd(payload, texts)
            return
        except RecursionError:
            raise unreadable() from None
        if chunk.error:
            self._report(chunk.error)
        if chunk.model:
            self._model = chunk.model
        for choice in chunk.choices or ():
            if choice.delta is not None:
                if text := choice.delta.content or choice.delta.refusal:
                    texts.append(text)
                elif choice.delta.works:
                    self.worked = True
            if choice.finish_reason:
                self._stop(choice.finish_reason)
        if chunk.usage is not None:
            self._count(chunk.usage)
        elif chunk.choices is None:
            self._take_odd(payload, texts)

    def _take_odd(self, payload: bytes, texts: list[str]) -> Oddity | None:
        """Read a chunk that does not fit the usual types. Return what it holds."""
        try:
            odd = read_odd(payload)
        except (ValueError, RecursionError):
            raise unreadable() from None
        if odd is None:
            return None
        if odd.error is not None:
            self._report(odd.error)
        if odd.model:
            self._model = odd.model
        if odd.text:
            texts.append(odd.text)
            if self._half is None and not odd.text.isascii():
                self._half = ""
        elif odd.works:
            self.worked = True
        if odd.reason:
            self._stop(odd.reason)
        if odd.usage is not None:
            self._count(odd.usage)
        return odd

    def _report(self, error: Any) -> NoReturn:
        self.reported = error
        raise classify_reported(error, self._api_key)

    def _stop(self, reason: str) -> None:
        if reason.lower() in _FAILED:
            raise classify_reported({"type": "server_error"}, self._api_key)
        self._reason = reason
        self.complete = self.complete or reason.lower() in _COMPLETE

    def _count(self, told: Any) -> None:
        usage = read_usage(told)
        if usage is not None:
            self._usage = usage
            # With the reason and the usage, everything has been said.
            self.done = self.done or self.complete


def _payload(event: bytes) -> bytes:
    """Return the data lines of an event, joined. It may also have comments and other fields."""
    lines = event.split(b"\n")
    return b"\n".join([line[5:] for line in lines if line.startswith(b"data:")])
