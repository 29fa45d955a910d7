"""The events of a task, and the rules of an event log.

An event log is a sequence of events, numbered from 1. Clients may rely on its rules:

1. It begins with `pending` and ends with exactly one `TaskEnded` or `TaskErrored`.
2. `running` opens an attempt; the text before it no longer counts. The text of `TaskEnded` is the
   content of the last attempt.
3. Content comes only while the task is running; nothing comes after the end.

`fold` reads a log by these rules and raises `IllegalLog` where the log breaks one.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from domain.errors import IllegalLog, MalformedEventId


class TaskStatus(StrEnum):
    PENDING = "pending"
    """Waits for a delivery: the first one, or the next one after a lost attempt."""
    RUNNING = "running"
    """An attempt has claimed the task."""
    COMPLETED = "completed"
    """The whole answer of the model is in the log."""
    FAILED = "failed"
    """No attempt will finish the task."""
    CANCELLED = "cancelled"
    """A client stopped the task. Its text so far is kept."""

    @property
    def terminal(self) -> bool:
        """Whether a task never leaves this status."""
        return not _NEXT[self]

    def may_become(self, status: "TaskStatus") -> bool:
        return status in _NEXT[self]


_NEXT: dict[TaskStatus, frozenset[TaskStatus]] = {
    # A pending task may fail: the queue refused it or lost it, or its deliveries are exhausted.
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
    """Numbers of tokens, as the model counted them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    reasoning_tokens: int | None = None
    """How many of the completion tokens the model spent on reasoning, if it told."""


@dataclass(frozen=True, slots=True)
class StatusChanged:
    at: int
    """When: milliseconds since the Unix epoch, as in every event."""
    status: TaskStatus
    attempt: int
    """The number of attempts that have begun."""
    reason: str | None = None
    """A code that says why the attempt was lost or the task failed."""


@dataclass(frozen=True, slots=True)
class ContentAdded:
    """A piece of the answer."""

    at: int
    text: str


@dataclass(frozen=True, slots=True)
class TaskEnded:
    """The last event of a task that completed or was cancelled."""

    at: int
    text: str
    finish_reason: str
    model: str
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class TaskErrored:
    """The last event of a task that failed."""

    at: int
    message: str
    code: str
    retryable: bool


Event = StatusChanged | ContentAdded | TaskEnded | TaskErrored


def is_last(event: Event) -> bool:
    """Whether this event ends a log."""
    return isinstance(event, TaskEnded | TaskErrored)


def text_size(event: Event) -> int:
    """Return the number of characters of text in an event."""
    return len(event.text) if isinstance(event, ContentAdded | TaskEnded) else 0


def begins_anew(event: Event) -> bool:
    """Whether the text before this event no longer counts, since an attempt begins."""
    return isinstance(event, StatusChanged) and event.status is TaskStatus.RUNNING


def text_of(events: Iterable[Event]) -> str:
    """Return the content of the last attempt. Unlike `fold`, this also reads a log that lost its
    beginning: if a store has lost the log of a task but not its record, the next transition begins
    a new log, which `fold` would refuse because it does not begin with `pending`, attempt 0."""
    pieces: list[str] = []
    for event in events:
        if isinstance(event, ContentAdded):
            pieces.append(event.text)
        elif begins_anew(event):
            pieces.clear()
    return "".join(pieces)


POSITION_PATTERN = r"([A-Za-z0-9]{1,64})-([0-9]{1,18})"
"""An event id: the text of a position. 18 digits fit into the integers of every store."""
_POSITION = re.compile(POSITION_PATTERN)


class Position(NamedTuple):
    """A position in a log: the epoch and the offset of the last event before it.

    Offsets count from 1 without gaps; 0 is the position before the first event. An epoch is a part
    of a log within which nothing was lost. If a store loses the end of a log, what is written next
    has another epoch, and so a reader that saw the lost events is noticed and starts from the first
    event. So a position identifies all events up to it. The text of a position is the event's id on
    the wire, which clients treat as opaque.
    """

    epoch: str
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.offset}"

    @staticmethod
    def parse(text: str) -> "Position":
        """Parse an event id. Raises MalformedEventId."""
        if (found := _POSITION.fullmatch(text)) is None:
            raise MalformedEventId("not an event id of this service")
        return Position(found[1], int(found[2]))


START = Position("", 0)
"""The position before the first event of any log."""


@dataclass(frozen=True, slots=True)
class Folded:
    """The state of a task as its log tells it, up to the last event so far."""

    status: TaskStatus
    attempt: int
    text: str
    """The content of the last attempt so far."""
    closed: bool
    """Whether the last event ends the log."""


def fold(events: Iterable[Event]) -> Folded:
    """Read a log from its first event. Raises `IllegalLog` if it breaks a rule or is empty."""
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
