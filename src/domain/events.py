"""What is told of a task, and what a log of it must satisfy.

An event log is a sequence numbered from 1. Its rules, which clients live by:

1. It begins with `pending` and ends with exactly one `TaskEnded` or `TaskErrored`.
2. `running` opens an attempt; text before it no longer counts. The text of `TaskEnded` equals the
   concatenated content of the last attempt.
3. Content comes only while running; nothing comes after the end.

`fold` reads a log by these rules and raises `IllegalLog` where it breaks one.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from domain.errors import IllegalLog, MalformedEventId


class TaskStatus(StrEnum):
    PENDING = "pending"
    """Waiting for a delivery: the first, or the next after a lost attempt."""
    RUNNING = "running"
    """An attempt holds the lease."""
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether nothing leaves this status."""
        return not _NEXT[self]

    def may_become(self, status: "TaskStatus") -> bool:
        return status in _NEXT[self]


_NEXT: dict[TaskStatus, frozenset[TaskStatus]] = {
    # A pending task may fail: the queue refused it, or its deliveries ran out between attempts.
    TaskStatus.PENDING: frozenset({TaskStatus.RUNNING, TaskStatus.FAILED, TaskStatus.CANCELLED}),
    TaskStatus.RUNNING: frozenset(
        {TaskStatus.PENDING, TaskStatus.COMPLETED, TaskStatus.FAILED, TaskStatus.CANCELLED}
    ),
    TaskStatus.COMPLETED: frozenset(),
    TaskStatus.FAILED: frozenset(),
    TaskStatus.CANCELLED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens, as the model counted them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


@dataclass(frozen=True, slots=True)
class StatusChanged:
    at: int
    status: TaskStatus
    attempt: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class ContentAdded:
    at: int
    text: str


@dataclass(frozen=True, slots=True)
class TaskEnded:
    at: int
    text: str
    finish_reason: str
    model: str
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class TaskErrored:
    at: int
    message: str
    code: str
    retryable: bool


Event = StatusChanged | ContentAdded | TaskEnded | TaskErrored


def is_last(event: Event) -> bool:
    """Whether a log ends with this event."""
    return isinstance(event, TaskEnded | TaskErrored)


def text_size(event: Event) -> int:
    """Characters of text that an event carries."""
    return len(event.text) if isinstance(event, ContentAdded | TaskEnded) else 0


def begins_anew(event: Event) -> bool:
    """Whether text of before this event no longer counts: an attempt begins."""
    return isinstance(event, StatusChanged) and event.status is TaskStatus.RUNNING


def text_of(events: Iterable[Event]) -> str:
    """The content of the last attempt, also of a log that the store lost and that was begun
    anew."""
    pieces: list[str] = []
    for event in events:
        if isinstance(event, ContentAdded):
            pieces.append(event.text)
        elif begins_anew(event):
            pieces.clear()
    return "".join(pieces)


POSITION_PATTERN = r"([A-Za-z0-9]{1,64})-([0-9]{1,18})"
"""The text of a position. 18 digits fit every store's integer."""
_POSITION = re.compile(POSITION_PATTERN)


class Position(NamedTuple):
    """A place in a log: the epoch and the offset of the last event before it.

    Offsets count from 1 and grow without gaps; 0 is the place before the first event. An epoch is
    a stretch of one log of which one writer knows all that came before. So a position stands for
    a whole history: the position of a log that was lost, or that lost its end and went on
    otherwise, is recognised and means "from the start". Its text is the id of the event on the
    wire, which clients treat as opaque.
    """

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.offset}"

    @staticmethod
    def parse(text: str) -> "Position":
        """Read an event id. Raises MalformedEventId."""
        if (found := _POSITION.fullmatch(text)) is None:
            raise MalformedEventId("not an event id of this service")
        return Position(found[1], int(found[2]))


START = Position("", 0)
"""The place before the first event of any log."""


@dataclass(frozen=True, slots=True)
class Folded:
    """What a log says when read to its last event so far."""

    status: TaskStatus
    attempt: int
    text: str
    """The content of the last attempt so far."""
    closed: bool
    """Whether the last event was the end: nothing more will come."""


def fold(events: Iterable[Event]) -> Folded:
    """Read a log from its first event. Raises `IllegalLog` where it breaks a rule or is empty."""
    status: TaskStatus | None = None
    attempt = 0
    pieces: list[str] = []
    closed = False
    for event in events:
        if closed:
            raise IllegalLog(f"{event!r} comes after the end")
        match event:
            case StatusChanged():
                if status is None:
                    legal = event.status is TaskStatus.PENDING and event.attempt == 0
                else:
                    begun = event.status is TaskStatus.RUNNING
                    legal = status.may_become(event.status) and event.attempt == attempt + begun
                if not legal:
                    raise IllegalLog(f"{event!r} cannot follow {status} of attempt {attempt}")
                status, attempt = event.status, event.attempt
                if status is TaskStatus.RUNNING:
                    pieces.clear()
            case ContentAdded():
                if status is not TaskStatus.RUNNING:
                    raise IllegalLog(f"content while {status}")
                pieces.append(event.text)
            case TaskEnded():
                if status not in (TaskStatus.COMPLETED, TaskStatus.CANCELLED):
                    raise IllegalLog(f"an end while {status}")
                if event.text != "".join(pieces):
                    raise IllegalLog("the end's text is not the content of the last attempt")
                closed = True
            case TaskErrored():
                if status is not TaskStatus.FAILED:
                    raise IllegalLog(f"an error while {status}")
                closed = True
    if status is None:
        raise IllegalLog("an empty log")
    return Folded(status, attempt, "".join(pieces), closed)
