"""The form in which stores keep events: JSON arrays such as `["c",1700000000000,"Hi"]`.

`VERSION` stands before every batch that is published. It must grow with every change that an
instance of the version before would misread. A batch that has another one ends the stream of that
one task, which an instance of that version can serve.

The version of an event is the letter that it begins with, so that it costs a token nothing: a new
kind, or one whose fields change their meaning, gets a letter of its own. A field may be added at
the end of a kind if an instance that does not know it may do without.
"""

from collections.abc import Iterable, Sequence

import msgspec

from application.errors import UnreadableEvent
from application.ports import Page, page_of
from domain.answer import Answer, JsonObject
from domain.events import (
    ContentAdded,
    Event,
    ItemAdded,
    ReasoningAdded,
    StatusChanged,
    TaskEnded,
    TaskErrored,
    TaskStatus,
    ToolCallAdded,
    Usage,
)
from domain.position import START, Position

VERSION = 1


class _Status(msgspec.Struct, array_like=True, tag="s"):
    at: int
    status: TaskStatus
    attempt: int
    reason: str | None
    next_attempt_at: int | None = None
    """Left out if it is None. An instance that does not know it does without."""


class _Resumed(msgspec.Struct, array_like=True, tag="r"):
    """A `running` that is resumed. An instance that does not know `resumed` would take back what
    counts."""

    at: int
    attempt: int


class _Content(msgspec.Struct, array_like=True, tag="c"):
    at: int
    text: str


class _Noted(msgspec.Struct, array_like=True, tag="n"):
    """A piece of text that is more than its text: an instance that does not know the rest would
    take a refusal for an answer."""

    at: int
    text: str
    refusal: bool
    annotations: tuple[JsonObject, ...]


class _Reasoning(msgspec.Struct, array_like=True, tag="g"):
    at: int
    text: str


class _ToolCall(msgspec.Struct, array_like=True, tag="t"):
    at: int
    index: int
    arguments: str
    id: str | None
    name: str | None


class _Item(msgspec.Struct, array_like=True, tag="i"):
    at: int
    data: JsonObject


class _End(msgspec.Struct, array_like=True, tag="e"):
    """The end of an answer that is its text and nothing else."""

    at: int
    text: str
    finish_reason: str
    model: str
    usage: Usage | None


class _WholeEnd(msgspec.Struct, array_like=True, tag="w"):
    """The end of any other answer: an instance that does not know the rest would pass on a part of
    the answer as all of it."""

    at: int
    answer: Answer
    finish_reason: str
    model: str
    usage: Usage | None
    valid: bool | None


class _EndWithItems(_WholeEnd, array_like=True, tag="j"):
    """The end of an answer that has output items, which an instance that does not know them would
    leave out."""


class _Error(msgspec.Struct, array_like=True, tag="x"):
    at: int
    message: str
    code: str
    retryable: bool


_Stored = (
    _Status
    | _Resumed
    | _Content
    | _Noted
    | _Reasoning
    | _ToolCall
    | _Item
    | _End
    | _WholeEnd
    | _EndWithItems
    | _Error
)

_encode = msgspec.json.Encoder(enc_hook=dict).encode  # any mapping is a JSON object
_decode_event = msgspec.json.Decoder(_Stored).decode
_decode_events = msgspec.json.Decoder(list[_Stored]).decode


def encode_event(event: Event) -> bytes:
    return _encode(_stored(event))


def encode_events(events: Iterable[Event]) -> bytes:
    """Return the inside of a JSON array."""
    return _encode([*map(_stored, events)])[1:-1]


def _stored(event: Event) -> _Stored | tuple[object, ...]:
    if type(event) is ContentAdded and not event.refusal and not event.annotations:
        # A `_Content`, for almost every token: this takes a fifth of the time.
        return "c", event.at, event.text
    match event:
        case ContentAdded(at, text, refusal, annotations):
            return _Noted(at, text, refusal, annotations)
        case ReasoningAdded(at, text):
            return _Reasoning(at, text)
        case ToolCallAdded(at, index, arguments, id_, name):
            return _ToolCall(at, index, arguments, id_, name)
        case ItemAdded(at, data):
            return _Item(at, data)
        case StatusChanged(at, status, attempt, reason, resumed, next_attempt_at):
            if resumed:
                return _Resumed(at, attempt)
            known = () if next_attempt_at is None else (next_attempt_at,)
            return "s", at, status, attempt, reason, *known
        case TaskEnded(at, answer, finish_reason, model, usage, valid):
            if valid is None and answer == Answer(answer.text):
                return _End(at, answer.text, finish_reason, model, usage)
            kind = _EndWithItems if answer.items else _WholeEnd
            return kind(at, answer, finish_reason, model, usage, valid)
        case TaskErrored(at, message, code, retryable):
            return _Error(at, message, code, retryable)


def decode_event(data: bytes) -> Event:
    """Return the event. Raises UnreadableEvent."""
    try:
        return _event(_decode_event(data))
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UnreadableEvent(str(error)) from error


def decode_events(data: bytes, first: int = 0, limit: int | None = None) -> tuple[Event, ...]:
    """Return at most `limit` of the events in a JSON array, from index `first` on. Raises
    UnreadableEvent if any in the array cannot be read."""
    try:
        events = _decode_events(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableEvent(str(error)) from error
    return tuple(map(_event, events[first : None if limit is None else first + limit]))


def page_in_epochs(epochs: str, after: int, length: int, events: Sequence[Event]) -> Page:
    """Return the page of these events, which lie behind offset `after` of a log of so many.
    `epochs`: all of the log, each as `first-epoch` by the offset of its first event. They may tell
    of more events than there are: those of a log that was evicted."""
    opened = [each.partition("-") for each in epochs.split()]
    firsts = [int(first) for first, _, _ in opened]
    position = START
    stretches: list[tuple[str, tuple[Event, ...]]] = []
    for (_, _, epoch), first, end in zip(opened, firsts, [*firsts[1:], length + 1], strict=True):
        if first <= after < end and after <= length:
            position = Position(epoch, after)
        part = events[max(first, after + 1) - after - 1 : max(0, end - after - 1)]
        stretches.append((epoch, tuple(part)))
    return page_of(length, position, stretches)


def _event(stored: _Stored) -> Event:
    match stored:
        case _Content():
            return ContentAdded(stored.at, stored.text)
        case _Noted():
            return ContentAdded(stored.at, stored.text, stored.refusal, stored.annotations)
        case _Reasoning():
            return ReasoningAdded(stored.at, stored.text)
        case _ToolCall():
            return ToolCallAdded(stored.at, stored.index, stored.arguments, stored.id, stored.name)
        case _Item():
            return ItemAdded(stored.at, stored.data)
        case _Status():
            return StatusChanged(
                stored.at,
                stored.status,
                stored.attempt,
                stored.reason,
                next_attempt_at=stored.next_attempt_at,
            )
        case _Resumed():
            return StatusChanged(stored.at, TaskStatus.RUNNING, stored.attempt, None, True)
        case _End():
            answer = Answer(stored.text)
            return TaskEnded(stored.at, answer, stored.finish_reason, stored.model, stored.usage)
        case _WholeEnd():
            return TaskEnded(
                stored.at,
                stored.answer,
                stored.finish_reason,
                stored.model,
                stored.usage,
                stored.valid,
            )
        case _Error():
            return TaskErrored(stored.at, stored.message, stored.code, stored.retryable)
