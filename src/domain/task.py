"""What a task is and how it may change.

Values are immutable. A transition is a method of `Task` that answers a `Change`: the next record
together with the events that tell of it, so that the two can never disagree. A transition that the
lifecycle does not allow raises `IllegalTransition`. Nothing here reads a clock, does I/O or awaits.

Times are integer milliseconds since the Unix epoch.
"""

import re
from dataclasses import dataclass, replace

from domain.errors import IllegalTransition, MalformedTaskId
from domain.events import (
    Event,
    StatusChanged,
    TaskEnded,
    TaskErrored,
    TaskStatus,
    Usage,
)
from domain.request import TaskRequest

TASK_ID_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}"
_TASK_ID = re.compile(TASK_ID_PATTERN)


def check_task_id(task_id: str) -> str:
    """Return `task_id` if a task could be called that, else raise `MalformedTaskId`.

    Wider than what `TaskIds` makes, since ids of the older system and ids chosen by hand in
    development are valid too; narrow enough to be safe in a key, a URL and a log line.
    """
    if not _TASK_ID.fullmatch(task_id):
        raise MalformedTaskId("a task id is 1 to 128 letters, digits, '-' or '_'")
    return task_id


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a task failed: `message` for people, `code` for programs.

    `retryable` says whether the same request may succeed as a new task.
    """

    code: str
    message: str
    retryable: bool


@dataclass(frozen=True, slots=True)
class Change:
    """A transition: the record after it, and the events to add to the log in the same step."""

    task: "Task"
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The record of one task. `attempt` counts the attempts begun; 0 means none yet.

    The number of the attempt is its fencing number too: an append that names an older one is
    refused by every `TaskLog`.
    """

    id: str
    request: TaskRequest
    status: TaskStatus
    attempt: int
    created_at: int
    updated_at: int
    owner: str | None = None
    """Who may see it; None where the service asks nobody who they are."""
    origin: str | None = None
    """The network address that it came from, where limits need it."""
    started_at: int | None = None
    finished_at: int | None = None
    message_id: str | None = None
    model: str | None = None
    finish_reason: str | None = None
    usage: Usage | None = None
    failure: Failure | None = None

    @staticmethod
    def submit(
        task_id: str,
        request: TaskRequest,
        now: int,
        owner: str | None = None,
        origin: str | None = None,
    ) -> Change:
        """A new task, waiting for its first delivery."""
        task = Task(
            id=check_task_id(task_id),
            request=request,
            status=TaskStatus.PENDING,
            attempt=0,
            created_at=now,
            updated_at=now,
            owner=owner,
            origin=origin,
        )
        return Change(task, (StatusChanged(now, TaskStatus.PENDING, 0),))

    def begin(self, now: int) -> Change:
        """Open the next attempt. Text of an earlier one no longer counts."""
        return self._move(
            TaskStatus.RUNNING,
            now,
            attempt=self.attempt + 1,
            started_at=now if self.started_at is None else self.started_at,
        )

    def claim(self, now: int) -> Change:
        """Open the next attempt for whoever holds the lease now. An attempt that still counts as
        running has lost it: it is given back first, so that the log tells of its loss."""
        if self.status is not TaskStatus.RUNNING:
            return self.begin(now)
        lost = self.requeue(now, "lease_lapsed")
        begun = lost.task.begin(now)
        return Change(begun.task, (*lost.events, *begun.events))

    def requeue(self, now: int, reason: str) -> Change:
        """The attempt is lost and another delivery will come."""
        return self._move(TaskStatus.PENDING, now, reason=reason)

    def complete(
        self, now: int, *, text: str, finish_reason: str, model: str, usage: Usage | None
    ) -> Change:
        """The attempt came to its end. `text` must be all the content that it added."""
        return self._end(TaskStatus.COMPLETED, now, text, finish_reason, model, usage)

    def cancel(self, now: int, text: str) -> Change:
        """A client no longer wants it. `text` must be all the content of the last attempt."""
        model = self.model or self.request.model
        return self._end(TaskStatus.CANCELLED, now, text, "cancelled", model, None)

    def fail(self, now: int, failure: Failure) -> Change:
        """No attempt will bring it to its end."""
        change = self._move(
            TaskStatus.FAILED, now, reason=failure.code, failure=failure, finished_at=now
        )
        error = TaskErrored(now, failure.message, failure.code, failure.retryable)
        return Change(change.task, (*change.events, error))

    def _end(
        self,
        status: TaskStatus,
        now: int,
        text: str,
        finish_reason: str,
        model: str,
        usage: Usage | None,
    ) -> Change:
        change = self._move(
            status, now, finish_reason=finish_reason, model=model, usage=usage, finished_at=now
        )
        end = TaskEnded(now, text, finish_reason, model, usage)
        return Change(change.task, (*change.events, end))

    def _move(
        self, status: TaskStatus, now: int, *, reason: str | None = None, **changes: object
    ) -> Change:
        if not self.status.may_become(status):
            raise IllegalTransition(self.id, self.status, status)
        task = replace(self, status=status, updated_at=now, **changes)  # type: ignore[arg-type]
        return Change(task, (StatusChanged(now, status, task.attempt, reason),))


@dataclass(frozen=True, slots=True)
class Attempt:
    """One run of a task by one worker, named by its fencing number. `task` is the record at its
    beginning; `logged` the events that the log held when it was last written to."""

    task: Task
    logged: int

    @property
    def number(self) -> int:
        return self.task.attempt
