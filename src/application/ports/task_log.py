"""The port of the stores: records and event logs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from application.ports.log_pages import Page
from domain.events import Event
from domain.task import Attempt, Change, Failure, Task

ORPHAN_TIMEOUT = 3600.0
"""Seconds without a sign of life after which a task counts as forgotten by the queue, beside the
queue's own pauses: also long enough for a failure callback of QStash's."""
PAGE_SIZE = 512 * 1024
"""Bytes of events, as the store writes them, after which a page of a log ends."""


@dataclass(frozen=True, slots=True)
class Busy:
    """Another attempt holds a live lease, for `lease_left` more seconds at least."""

    lease_left: float


@dataclass(frozen=True, slots=True)
class Ended:
    """The task is in a terminal status."""

    task: Task


@dataclass(frozen=True, slots=True)
class Orphaned:
    """The task was orphaned, and this call has failed it."""

    task: Task


@dataclass(frozen=True, slots=True)
class NotOrphaned:
    """The task stays as it is: it has ended, an attempt holds it, or the queue may still deliver
    it."""

    task: Task


class TaskLog(Protocol):
    """The records and event logs, one of each per task, kept for a time to live after the last
    change.

    Every method that writes does so in one atomic step: record, events, lease and the notice to
    the EventFeed together, or nothing. Every method may raise StoreUnavailable, and Unreadable
    where another version of this service wrote what it reads. A store that may
    lose the end of a log opens an epoch with every change of the record.
    """

    async def create(self, submitted: Change) -> Task:
        """Write a new task's record and first event; answer the record. A task of that id that
        exists already stays as it is and is answered instead."""
        ...

    async def note_message(self, task_id: str, message_id: str) -> None:
        """Record under which id the queue holds the task. Raises UnknownTask."""
        ...

    async def get(self, task_id: str) -> Task:
        """The record. Raises UnknownTask."""
        ...

    async def claim(self, task_id: str, lease: float, now: int) -> Attempt | Busy | Ended:
        """Open the next attempt and hold it for `lease` seconds by the store's own clock, unless
        another is alive or the task has ended. An attempt whose lease lapsed is given back first,
        so that the log tells of its loss. Raises UnknownTask."""
        ...

    async def append(self, attempt: Attempt, events: Sequence[Event], lease: float) -> Attempt:
        """Add events behind what the attempt has seen of the log, renew the lease, and answer the
        attempt as it stands then. The same call again, made because its answer was lost, adds
        nothing. Raises LeaseLost, and then nothing was added: if another attempt was opened, the
        attempt was given back, the task has ended, or the store lost the end of the log."""
        ...

    async def renew(self, attempt: Attempt, lease: float) -> None:
        """Hold the attempt for `lease` seconds from now. Raises LeaseLost as `append` does."""
        ...

    async def commit(self, attempt: Attempt, change: Change) -> None:
        """Write the change that closes this attempt (an end, or giving it back) and let its lease
        go. Raises LeaseLost as `append` does, and when the call is made again."""
        ...

    async def cancel(self, task_id: str, now: int) -> Task:
        """Cancel a pending or running task, keeping the text of its last attempt; answer the
        record. Raises UnknownTask, or IllegalTransition once the task has ended."""
        ...

    async def fail(self, task_id: str, failure: Failure, now: int) -> Task | Busy:
        """Fail a task that no live attempt holds; answer the record, or Busy and nothing is
        written. Raises UnknownTask, or IllegalTransition once the task has ended."""
        ...

    async def fail_orphaned(
        self, task_id: str, failure: Failure, now: int
    ) -> Orphaned | NotOrphaned:
        """Fail the task if it is orphaned: no live attempt holds it, and it had no heartbeat (it
        was not created, enqueued, claimed, renewed or requeued) for the log's orphan timeout, by
        the store's own clock. Raises UnknownTask."""
        ...

    async def read(self, task_id: str, after: int, limit: int) -> Page:
        """At most `limit` events behind number `after` (0 means from the first), fewer if they are
        large: once they hold PAGE_SIZE, those that remain are for another page. Raises
        UnknownTask."""
        ...

    async def check(self) -> None:
        """Return if the store answers, else raise StoreUnavailable."""
        ...
