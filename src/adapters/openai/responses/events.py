"""Decode the stream of a response, from bytes to pieces of the answer. No I/O.

Each event has a number. The cursor is that of the last event of which everything is in the
pieces that were returned, so that a later reader goes on behind it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from adapters.openai.errors import ModelFault, classify_reported, no_model_here, unreadable
from adapters.openai.event_stream import EventStream, payload_of
from adapters.openai.oddities import NAMES_LIMIT
from adapters.openai.pieces import REASONING, REFUSAL, TEXT, Kind, Pieces
from adapters.openai.responses.snapshot import (
    CALLS,
    PARAGRAPH,
    decode,
    end_of,
    id_of,
    text_of,
    valid_object,
)
from adapters.openai.responses.wire import Event, read_event
from adapters.openai.tool_calls import INDEX_LIMIT, NAME_LIMIT
from application.errors import ContinuationLost, ModelRefused, ModelUnavailable
from application.ports import Finished
from application.ports.language_model import NOTHING
from domain.answer import Answer, JsonObject, Piece
from domain.messages import objects_in

WHOLE = -1
"""The cursor of an answer of which nothing but the whole can be read: by number there is no going
on."""
EVENT_LIMIT = 64 * 1024 * 1024
"""Bytes of one event: the last one holds the whole answer, with its images."""
HELD_LIMIT = 64
"""Calls of `feed` for which half of a character waits for the other half, and all behind it."""
WORD_LIMIT = 40
"""Characters of the type of an item that is named in the log."""

_SAID: dict[str, Kind] = {
    "response.output_text.delta": TEXT,
    "response.refusal.delta": REFUSAL,
    "response.reasoning_text.delta": REASONING,
    "response.reasoning_summary_text.delta": REASONING,
}
_ARGUMENTS = ("response.function_call_arguments.delta", "response.custom_tool_call_input.delta")
_STATES = ("response.created", "response.queued", "response.in_progress")
_ENDS = ("response.completed", "response.incomplete", "response.failed", "response.cancelled")
_USUAL = ("message", "reasoning", *CALLS)
"""Types of items that are told by pieces of their own."""
_TAKEN_BACK = "The model's server lost the answer, and begins it anew."


class Place(NamedTuple):
    """A place in the stream of a response."""

    response_id: str | None
    cursor: int | None
    """The number of the event before it. None: its beginning."""


NOWHERE = Place(None, None)
"""That of a response that has no id yet."""


class ResponseEvents:
    """The decoder of one stream. Call `feed` with its bytes in order, until `done`, or `end` when
    there are no more. Then call `finished` if it is done."""

    def __init__(
        self, model: str, api_key: str = "", said: Answer = NOTHING, at: Place = NOWHERE
    ) -> None:
        """`said`, `at`: what the log counts of the answer, and where this stream goes on."""
        self.done = False
        """Whether the answer is over: the server said so, or there was a fault."""
        self.worked = False
        """Whether the bytes that were fed last show that the model works, maybe without a piece."""
        self.begun = False
        """Whether the stream told what stands before its place: the beginning of the answer, or an
        event that was read already."""
        self.response_id = at.response_id
        self.whole: JsonObject | None = None
        """The response itself, from a server that sends it in place of a stream."""
        self.left_out: set[str] = set()
        """Types of the items of the answer that are too deep to be carried."""
        self.reported: Any = None
        """The error that the server reported, as it is."""
        self._model = model
        self._api_key = api_key
        self._asked = at.response_id
        self._after = WHOLE if at.cursor is None else at.cursor
        self._cursor = self._numbered = at.cursor
        self._fault: ModelFault | ContinuationLost | None = None
        self._finished: Finished | None = None
        self._stream = EventStream(EVENT_LIMIT)
        self._pieces = Pieces()
        self._held = 0
        self._reasoned = bool(said.reasoning)
        self._calls = {call.index: bool(call.arguments) for call in said.tool_calls}
        """By index: whether a call was given arguments."""
        self._items = len(said.items)
        self._broken_off = False
        """Whether an item was said to be incomplete: only the next event tells what that means."""

    @property
    def cursor(self) -> int:
        """The number of the last event of which everything was returned."""
        return WHOLE if self._cursor is None else self._cursor

    def feed(self, data: bytes) -> tuple[Piece, ...]:
        """Return the pieces in the events that these bytes complete, up to a fault or the end."""
        self.worked = False
        try:
            for event in filter(None, self._stream.feed(data)):
                if not self.done and (payload := payload_of(event)):
                    self._read(payload)
        except (ModelUnavailable, ModelRefused, ContinuationLost) as fault:
            if not self.done:
                self._fault, self.done = fault, True
        return self._take()

    def end(self) -> tuple[Piece, ...]:
        """Return the pieces in what the bytes end with: an event without its empty line, or the
        whole response in place of events."""
        rest = self._stream.rest()
        try:
            if self.done or not rest:
                pass
            elif not self._stream.whole:
                if (payload := payload_of(rest.rstrip())).endswith(b"}"):
                    self._read(payload)
            elif rest.startswith(b"<"):
                raise no_model_here()
            else:
                self.whole = decode(rest)
                if self.whole.get("error") and not self.whole.get("status"):
                    self._report(self.whole["error"])
                self.response_id = id_of(self._response({"response": self.whole}))
        except (ModelUnavailable, ModelRefused, ContinuationLost) as fault:
            self._fault, self.done = fault, True
        return self._take()

    def finished(self) -> Finished:
        """Return how the answer ended. Raises ModelUnavailable or ModelRefused if it did not end
        well, and ContinuationLost if it was taken back."""
        if self._fault is not None:
            raise self._fault
        if self._finished is None:
            raise ModelUnavailable("incomplete", "The model's answer ended before it was complete.")
        return self._finished

    def _take(self) -> tuple[Piece, ...]:
        if self._pieces.cut and not self.done and self._held < HELD_LIMIT:
            self._held += 1  # a cursor must not cover half of a character
            self.worked = True
            return ()
        if self.done or self._pieces.cut:
            self._pieces.end()
        self._held = 0
        self._cursor = self._numbered
        return self._pieces.take()

    def _read(self, payload: bytes) -> None:
        event, data = read_event(payload)
        kind, number = event.type, event.sequence_number
        if number is not None and number <= self._after:
            self.begun = True
        if (said := _SAID.get(kind)) is not None:
            self._broken_off = False
            if event.delta:
                self._reasoned = self._reasoned or said == REASONING
                if data is None:
                    self._pieces.say(said, event.delta)
                else:
                    self._pieces.say_odd(said, event.delta)
        elif kind in _ARGUMENTS:
            self.worked = True
            self._call(event.output_index, event.delta or "", odd=data is not None)
        elif kind in _ENDS:
            self._end(decode(payload) if data is None else data)
            return  # without its number: who goes on reads the end again
        else:
            self._read_other(event, decode(payload) if data is None else data, number)
        if number is not None and not self._broken_off:
            self._numbered = number

    def _read_other(self, event: Event, data: JsonObject, number: int | None) -> None:
        kind = event.type
        if kind in _STATES:
            self._begin(kind, data, number)
            return
        if kind == "error" or not kind:
            if kind or data.get("error"):
                self._report(data.get("error") or data)
            return
        self.worked = self.worked or kind.startswith("response.")
        if kind == "response.reasoning_summary_part.added":
            if self._reasoned:
                self._pieces.say(REASONING, PARAGRAPH)
        elif kind == "response.output_text.annotation.added":
            if (annotation := valid_object(data.get("annotation"))) is not None:
                self._pieces.annotate([annotation])
        elif kind in ("response.output_item.added", "response.output_item.done"):
            item = data.get("item")
            if isinstance(item, Mapping):
                self._read_item(event.output_index, item, done=kind.endswith("done"))

    def _begin(self, kind: str, data: JsonObject, number: int | None) -> None:
        if self._broken_off and kind == "response.in_progress":
            raise self._taken_back(WHOLE if number is None else number)
        self.begun = self.begun or kind == "response.created"
        response = self._response(data)
        if self.response_id is None:
            self.response_id = id_of(response)

    def _response(self, data: JsonObject) -> Mapping[str, Any]:
        """Return the response in an event. Raises ModelUnavailable if it is not the one that was
        asked for."""
        told = data.get("response")
        response = told if isinstance(told, Mapping) else {}
        if self._asked is not None and response.get("id", self._asked) != self._asked:
            raise unreadable()
        return response

    def _read_item(self, index: int, item: Mapping[str, Any], *, done: bool) -> None:
        kind = text_of(item, "type")
        if kind in ("message", "reasoning"):
            # A response that is cut ends so, but so does what another Longtask takes back.
            self._broken_off = done and item.get("status") == "incomplete"
        elif kind in CALLS:
            self._begin_call(index, item)
            arguments = item.get(CALLS[kind])
            if done and isinstance(arguments, str) and not self._calls[index]:
                self._call(index, arguments)
        elif done and kind:
            self._carry(kind, item)

    def _carry(self, kind: str, item: Mapping[str, Any]) -> None:
        if (valid := valid_object(item)) is not None:
            self._items += 1
            self._pieces.add_item(valid)
        elif len(self.left_out) < NAMES_LIMIT:
            known = kind.isascii() and kind.isidentifier() and len(kind) <= WORD_LIMIT
            self.left_out.add(f"output[].{kind}" if known else "output[]")

    def _begin_call(self, index: int, item: Mapping[str, Any]) -> None:
        if index in self._calls:
            return
        if not 0 <= index <= INDEX_LIMIT:
            raise unreadable()
        self._calls[index] = False
        self._pieces.begin_call(index, text_of(item, "call_id"))
        if name := text_of(item, "name"):
            if len(name) > NAME_LIMIT:
                raise unreadable()
            self._pieces.name_call(index, name)

    def _call(self, index: int, arguments: str, *, odd: bool = True) -> None:
        if index not in self._calls:
            raise unreadable()
        if arguments:
            self._calls[index] = True
            if odd:
                self._pieces.say_odd(index, arguments)
            else:
                self._pieces.say(index, arguments)

    def _end(self, data: JsonObject) -> None:
        response = self._response(data)
        self.done = True
        try:
            self._finished = end_of(response, self._model, self._api_key, calls=bool(self._calls))
        except (ModelUnavailable, ModelRefused) as fault:
            self.reported = response.get("error")
            self._fault = fault
            return
        output = objects_in(response.get("output"))
        if output and sum(each.get("type") not in _USUAL for each in output) < self._items:
            # All that a lost attempt of another Longtask had said was what a tool did.
            self._fault = self._taken_back(WHOLE)

    def _taken_back(self, cursor: int) -> ContinuationLost:
        resumes_at = None if self.response_id is None else (self.response_id, cursor)
        return ContinuationLost("continuation_lost", _TAKEN_BACK, resumes_at=resumes_at)

    def _report(self, error: Any) -> None:
        self.reported = error
        raise classify_reported(error, self._api_key)
