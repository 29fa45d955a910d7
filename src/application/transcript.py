"""Transcript: turns the pieces of a model's answer into events, and adds them up."""

import json
from collections.abc import Iterator, Sequence

from application.errors import ModelRefused
from domain.answer import (
    Answer,
    AnswerBuilder,
    JsonObject,
    OutputItem,
    Piece,
    Reasoning,
    Text,
    ToolCallDelta,
    characters_in,
)
from domain.events import (
    ContentAdded,
    Event,
    ItemAdded,
    PieceAdded,
    ReasoningAdded,
    ToolCallAdded,
    add_piece,
)
from domain.tokens import tokens_in

EVENT_LIMIT = 32 * 1024
"""Characters of one event. A longer piece becomes several events, but for an output item."""


class Transcript:
    def __init__(self, task_id: str, max_chars: int) -> None:
        """`max_chars`: of text, reasoning, calls of tools and output items together."""
        self.characters = 0
        """Of all pieces so far."""
        self._task_id = task_id
        self._max_chars = max_chars
        self._answer = AnswerBuilder()
        self._unwritten = 0
        self._calls: set[int] = set()
        self._call_ids: set[str] = set()

    def events(self, pieces: Sequence[Piece], now: int) -> list[PieceAdded]:
        """Return the events of the next pieces. Raises ModelRefused if the answer is too long; what
        made it so has been said nevertheless, and is in `answer`."""
        if len(pieces) == 1 and type(piece := pieces[0]) is Text and _is_plain(piece):
            self.characters += len(piece.text)
            self._answer.add_text(piece.text)
            self._check()
            return [ContentAdded(now, piece.text)]
        events: list[PieceAdded] = []
        for piece in pieces:
            if type(piece) is Text:
                self.characters += len(piece.text)
                events.extend(self._content(piece, now))
            elif type(piece) is Reasoning:
                self.characters += len(piece.text)
                events.extend(ReasoningAdded(now, part) for part in _parts(piece.text))
            elif type(piece) is OutputItem:
                self.characters += characters_in(piece.data)
                events.append(ItemAdded(now, piece.data))
            else:
                assert isinstance(piece, ToolCallDelta)  # noqa: S101
                events.extend(self._call(piece, now))
        for event in events:
            add_piece(self._answer, event)
        self._check()
        return events

    def take_over(self, event: Event) -> bool:
        """Add an event that is in the log already; return whether it is a piece. What it adds is
        counted, but not refused."""
        match event:
            case ContentAdded():
                self.characters += len(event.text) + _size(event.annotations)
            case ReasoningAdded():
                self.characters += len(event.text)
            case ToolCallAdded():
                self._calls.add(event.index)
                if event.id is not None:
                    self._call_ids.add(event.id)
                self.characters += len((event.id or "") + (event.name or "") + event.arguments)
            case ItemAdded():
                self.characters += characters_in(event.data)
            case _:
                return False
        add_piece(self._answer, event)
        return True

    def clear(self) -> None:
        """Forget all pieces, since they no longer count."""
        self.characters = 0
        self._answer.clear()
        self._calls.clear()
        self._call_ids.clear()

    def tokens(self) -> int:
        """Return about how many tokens the events in the log cost. Looks only at what was added
        since the last call."""
        return tokens_in(self._answer.weight() - self._unwritten)

    def unwritten(self, events: Sequence[PieceAdded]) -> None:
        """Leave these last events out of `tokens`: the log has refused them."""
        refused = AnswerBuilder()
        for event in events:
            add_piece(refused, event)
        self._unwritten = refused.weight()

    def answer(self) -> Answer:
        """Return what all events add up to."""
        return self._answer.answer()

    def _check(self) -> None:
        if self.characters > self._max_chars:
            message = f"The answer is longer than {self._max_chars} characters."
            raise ModelRefused("answer_too_long", message)

    def _content(self, piece: Text, now: int) -> Iterator[ContentAdded]:
        self.characters += _size(piece.annotations)
        *parts, last = _parts(piece.text)
        for part in parts:
            yield ContentAdded(now, part, piece.refusal)
        yield ContentAdded(now, last, piece.refusal, piece.annotations)

    def _call(self, piece: ToolCallDelta, now: int) -> Iterator[ToolCallAdded]:
        call_id, name = None, piece.name or None
        if piece.index not in self._calls:
            self._calls.add(piece.index)
            call_id = piece.id
            if not call_id or call_id in self._call_ids:
                call_id = f"call_{self._task_id}_{piece.index}"
                while call_id in self._call_ids:  # a model may give the id of another call so
                    call_id += "_"
            self._call_ids.add(call_id)
            self.characters += len(call_id)
        self.characters += len(name or "") + len(piece.arguments)
        for part in _parts(piece.arguments):
            yield ToolCallAdded(now, piece.index, part, call_id, name)
            call_id = name = None


def _size(annotations: tuple[JsonObject, ...]) -> int:
    return len(json.dumps(annotations)) if annotations else 0


def _is_plain(piece: Text) -> bool:
    """Whether a piece is one event with a text and nothing else: the usual case, made short."""
    return len(piece.text) <= EVENT_LIMIT and not piece.refusal and not piece.annotations


def _parts(text: str) -> Sequence[str]:
    """Return the text in parts that fit into an event: one of them at least."""
    if len(text) <= EVENT_LIMIT:
        return (text,)
    return [text[begin : begin + EVENT_LIMIT] for begin in range(0, len(text), EVENT_LIMIT)]
