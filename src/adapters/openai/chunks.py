"""Decode the body of a streamed chat completion, from bytes to pieces of the answer. No I/O.

The data of an event is a chunk in OpenAI's format, an error object, or `[DONE]`. Usual chunks are
decoded by msgspec into fixed types. What does not fit them is read by `oddities`.
"""

from typing import Annotated, Any, Literal, NoReturn

import msgspec

from adapters.json_values import VALUES_LIMIT, has_few_values
from adapters.openai.errors import ModelFault, classify_reported, no_model_here, unreadable
from adapters.openai.event_stream import EventStream, payload_of
from adapters.openai.oddities import NAMES_LIMIT, Oddity, read_odd, say_odd
from adapters.openai.pieces import REASONING, REFUSAL, TEXT, Pieces
from adapters.openai.tool_calls import ToolCalls
from adapters.openai.usage import read_usage
from application.errors import ModelRefused, ModelUnavailable
from application.ports import Finished
from domain.answer import Piece
from domain.events import Usage

_COMPLETE = {
    *("stop", "length", "tool_calls", "function_call", "content_filter"),  # OpenAI
    *("eos", "eos_token", "end_turn", "stop_sequence", "max_tokens", "model_length", "tool_use"),
}
"""Reasons, in lower case, with which an answer is complete though nothing follows them. With any
other, the server must also send `[DONE]`."""
WORDS_LIMIT = 200
"""Characters of a reason, and of a model's name, that are kept: both go into each record, and the
reason into the log."""
_FAILED = {"error", "network_error"}
"""Reasons that say that the server failed."""

# What usual chunks leave empty. A chunk with another value does not fit and is read by `oddities`:
# the check costs the usual ones nothing.
_Empty = Annotated[list[Any], msgspec.Meta(max_length=0)] | None


class _Function(msgspec.Struct):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _Function | None = None
    custom: None = None
    extra_content: None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: _Empty = None
    thinking: None = None
    thinking_blocks: _Empty = None
    annotations: _Empty = None
    function_call: None = None
    audio: None = None
    images: _Empty = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None
    index: Literal[0] | None = None
    logprobs: None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    model: str | None = None
    usage: Any = None
    error: Any = None
    citations: _Empty = None
    search_results: _Empty = None


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
        """Whether the bytes that were fed last show that the model works, maybe without a piece: it
        reasons in secret, or begins what is not carried."""
        self.reported: Any = None
        """The error that the server reported, as it is."""
        self.left_out: set[str] = set()
        """Names of the fields of the answer that had a value and are not carried."""
        self._model = model
        self._api_key = api_key
        self._reason: str | None = None
        self._usage: Usage | None = None
        self._fault: ModelFault | None = None
        self._stream = EventStream()
        self._pieces = Pieces()
        self._calls = ToolCalls(self._pieces)

    def feed(self, data: bytes) -> tuple[Piece, ...]:
        """Return the pieces in the events that these bytes complete, up to a fault or the end."""
        self.worked = False
        try:
            for event in filter(None, self._stream.feed(data)):
                payload = payload_of(event)
                word = payload.strip() if len(payload) < 16 else payload
                if word == b"[DONE]":
                    self._finish()
                    break
                if word:
                    self._read_chunk(payload)
        except (ModelUnavailable, ModelRefused) as fault:
            # After the reason and the usage nothing can cost the answer.
            if not self.done:
                self._fault, self.done, self.complete = fault, True, True
        if self.done:
            self._pieces.end()
        return self._pieces.take()

    def end(self) -> tuple[Piece, ...]:
        """Return the pieces in what the bytes end with: an event without its empty line, or a whole
        answer in place of events."""
        if self.done:
            return ()
        self.done = True
        last = self._stream.rest()
        try:
            if self._stream.whole:
                self._read_whole(last)
            else:
                self._read_last(last)
        except (ModelUnavailable, ModelRefused) as fault:
            self._fault = fault
        self._pieces.end()
        return self._pieces.take()

    def finished(self) -> Finished:
        """Return how the answer ended. Raises ModelUnavailable or ModelRefused for an error object,
        for an unreadable answer, and for one that ended before it was complete. To be called once.
        """
        if (fault := self._fault) is not None:
            self._fault = None  # what the exception refers to must not refer to it
            try:
                raise fault
            finally:
                del fault
        if self._reason is None or not self.complete:
            raise ModelUnavailable("incomplete", "The model's answer ended before it was complete.")
        return Finished(self._reason[:WORDS_LIMIT], self._model[:WORDS_LIMIT], self._usage)

    def _read_last(self, event: bytes) -> None:
        """Read an event that may have been cut: then the answer is incomplete, not unreadable."""
        payload = payload_of(event.rstrip())
        if payload.strip() == b"[DONE]":
            self._finish()
        elif payload:
            try:
                self._read_chunk(payload)
            except ModelUnavailable as fault:
                if fault.code != "invalid_response":
                    raise

    def _read_whole(self, body: bytes) -> None:
        if body.startswith(b"<"):
            raise no_model_here()
        odd = self._read_odd(body)
        if odd is None or not odd.choices:
            raise unreadable()
        self._finish()

    def _finish(self) -> None:
        """The server says that it has said everything, with or without a reason."""
        self._reason = self._reason or "stop"
        self.done = self.complete = True

    def _read_chunk(self, payload: bytes) -> None:
        if len(payload) > VALUES_LIMIT and _may_hold_many(payload):
            self._read_odd(payload)
            return
        try:
            chunk = _decode(payload)
        except (msgspec.DecodeError, UnicodeDecodeError):
            self._read_odd(payload)
            return
        except RecursionError:
            raise unreadable() from None
        if chunk.error:
            self._report(chunk.error)
        if chunk.model:
            self._model = chunk.model
        for choice in chunk.choices or ():
            if choice.delta is not None:
                self._say(choice.delta)
            if choice.finish_reason:
                self._stop(choice.finish_reason)
        if chunk.usage is not None:
            self._count(chunk.usage)
        elif chunk.choices is None:
            self._read_odd(payload)

    def _say(self, delta: _Delta) -> None:
        # Servers that give the reasoning two names give both the same text.
        if reasoning := delta.reasoning_content or delta.reasoning:
            self._pieces.say(REASONING, reasoning)
        if delta.content:
            self._pieces.say(TEXT, delta.content)
        if delta.refusal:
            self._pieces.say(REFUSAL, delta.refusal)
        if delta.tool_calls:
            self.worked = True
            for call in delta.tool_calls:
                function = call.function or _Function()
                name, arguments = function.name or "", function.arguments or ""
                self._calls.add(call.index, call.id or "", name, arguments)

    def _read_odd(self, payload: bytes) -> Oddity | None:
        """Read a chunk that does not fit the usual types. Return what it holds."""
        if not has_few_values(payload):
            raise unreadable()
        try:
            odd = read_odd(payload)
            if odd is None:
                return None
            if say_odd(odd, self._pieces, self._calls):
                self.worked = True
        except (ValueError, RecursionError):
            raise unreadable() from None
        if odd.error is not None:
            self._report(odd.error)
        if odd.model:
            self._model = odd.model
        if len(self.left_out) < NAMES_LIMIT:
            self.left_out |= odd.left_out
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


def _may_hold_many(payload: bytes) -> bool:
    """Whether so many lists and objects begin in a chunk that its values have to be counted. Lists
    of numbers do not cost much, and a server may repeat the tokens of a prompt."""
    return payload.count(b"{") + payload.count(b"[") > VALUES_LIMIT
