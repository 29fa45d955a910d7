"""The tasks in the file, as the threads of the database find and change them.

Its methods are called inside reads and writes of the database. What an append needs to know of a
running attempt is kept in memory, so that it executes no statement of its own.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from adapters.database import Transaction
from adapters.sqlite.liveness import Liveness
from adapters.sqlite.pages import find_with_page, page_of
from adapters.sqlite.stored import (
    Connection,
    EncodedBatch,
    End,
    Stored,
    discard,
    find,
    read_task,
    write_change,
    write_events,
    write_new,
)
from application.errors import DeletedTask, ExpiredTask, LeaseLost, UnknownTask
from application.ports import TOMBSTONE_TTL, Batch, Busy, Page
from domain.attempt import Attempt
from domain.continuation import kept
from domain.events import Event, TaskStatus
from domain.position import Position
from domain.task import Change, Submitted, Task


@dataclass(frozen=True, slots=True)
class Written:
    """A new task, or a transition, that was written."""

    task: Task
    batch: Batch
    request: bytes | None = None
    """For an attempt that begins."""


@dataclass(slots=True)
class _Running:
    """What an append has to know."""

    row: int
    attempt: int
    epoch: str
    length: int


class Records:
    def __init__(self, ttl: float, live: Liveness, now: Callable[[], int]) -> None:
        """`now`: gives the time in ms since 1970."""
        self._ttl = ttl
        self._live = live
        self._now = now
        self._running: dict[str, _Running] = {}
        """Used by the writer thread only, as is the next one."""
        self._last_cursor: int | None = None

    def forget_written(self) -> None:
        """Called when writes do not count."""
        self._running.clear()

    def find(self, connection: Connection, task_id: str) -> Stored | None:
        return self._unless_expired(task_id, find(connection, task_id))

    def _unless_expired(self, task_id: str, stored: Stored | None) -> Stored | None:
        return None if stored is None or self.is_over(task_id, stored.expires) else stored

    def is_over(self, task_id: str, expires: int | None) -> bool:
        """Whether a task has expired."""
        return self._live.is_expired(task_id) if expires is None else expires <= self._now()

    def existing(self, connection: Connection, task_id: str) -> Stored:
        """Return a task. Raises UnknownTask."""
        return self._existing(connection, task_id, find(connection, task_id))

    def page(self, connection: Connection, task_id: str, after: int, limit: int) -> Page:
        """Return a page of a task's log. Raises UnknownTask and UnreadableEvent."""
        found, joined = find_with_page(connection, task_id, after, limit)
        return page_of(self._existing(connection, task_id, found), joined, after, limit)

    def _existing(self, connection: Connection, task_id: str, found: Stored | None) -> Stored:
        stored = self._unless_expired(task_id, found)
        if stored is None:
            raise self._unknown(connection, task_id)
        return stored

    def create(self, transaction: Transaction, submitted: Submitted) -> Task | Written:
        """Write a task, or return the one that there is. Raises DeletedTask."""
        task = submitted.task
        if (stored := self.find(transaction, task.id)) is not None:
            return stored.task()
        if isinstance(gone := self._unknown(transaction, task.id), DeletedTask):
            raise gone
        discard(transaction, task.id)  # one that has expired
        self._running.pop(task.id, None)
        self._live.beat(task.id, task.delay_left(self._now()))
        return Written(task, write_new(transaction, submitted))

    def change(
        self,
        transaction: Transaction,
        stored: Stored,
        change: Change,
    ) -> Written:
        """Write a transition."""
        task, end = change.task, None
        if task.continuation is not None:
            continuation = kept(task.continuation, read_task(transaction, stored).continuation)
            task = replace(task, continuation=continuation)
            change = Change(task, change.events)
        if task.status.terminal:
            ttl = self._ttl if task.ttl is None else min(task.ttl, self._ttl)
            end = End(self._now() + round(ttl * 1000), self._next_cursor(transaction))
            if task.leaves_tombstone:
                self._bury(transaction, task.id, expired=True)
        batch = write_change(transaction, stored, change, end)
        if task.status is TaskStatus.RUNNING:
            epoch, length = batch.end
            self._running[task.id] = _Running(stored.row, task.attempt, epoch, length)
        else:
            self._running.pop(task.id, None)
        return Written(task, batch)

    def begin(
        self,
        transaction: Transaction,
        stored: Stored,
        change: Change,
        request: bytes | None,
        lease: float,
    ) -> Written:
        """Write a transition that begins an attempt, and lease the task to it."""
        written = self.change(transaction, stored, change)
        self._live.lease(stored.id, written.task.attempt, lease)
        return replace(written, request=request)

    def append(
        self,
        transaction: Transaction,
        attempt: Attempt,
        events: tuple[Event, ...],
        rows: Sequence[EncodedBatch],
        lease: float,
        cursor: int | None,
    ) -> tuple[int, Batch | None]:
        """Add events with a cursor, unless they were added already; return the length of the log
        and what was added. Raises LeaseLost."""
        task_id = attempt.task.id
        running = self._running.get(task_id) or self._load(transaction, task_id)
        if running.attempt != attempt.number or running.length < attempt.logged:
            raise LeaseLost
        self._live.wrote(task_id, running.attempt, lease)
        if running.length > attempt.logged or not rows:
            return running.length, None
        after = Position(running.epoch, running.length)
        running.length = write_events(transaction, running.row, running.length + 1, rows, cursor)
        return running.length, Batch(after, running.epoch, events)

    def held(self, transaction: Transaction, attempt: Attempt) -> Stored:
        """Return the task of an attempt that may write. Raises LeaseLost."""
        stored = self.find(transaction, attempt.task.id)
        if (
            stored is None
            or stored.status != TaskStatus.RUNNING
            or stored.attempt != attempt.number
            or stored.length < attempt.logged
        ):
            raise LeaseLost
        return stored

    def busy(self, task: Task) -> Busy | None:
        left = self._live.lease_left(task.id, task.attempt)
        return Busy(left) if task.status is TaskStatus.RUNNING and left > 0 else None

    def delete(self, transaction: Transaction, task_id: str) -> str | None:
        """Delete a task; return its owner. Raises UnknownTask."""
        stored = self.existing(transaction, task_id)
        statement = "SELECT owner FROM tasks WHERE task = ?"
        owner: str | None = transaction.execute(statement, (stored.row,)).fetchone()[0]
        self._running.pop(task_id, None)
        discard(transaction, task_id)
        self._bury(transaction, task_id, expired=False)
        return owner

    def expire(self, transaction: Transaction, task_ids: Iterable[str]) -> None:
        """Let unfinished tasks expire now, if they are still not changed."""
        for task_id in filter(self._live.is_expired, task_ids):
            statement = "UPDATE tasks SET expires = 0 WHERE id = ? AND expires IS NULL"
            transaction.execute(statement, (task_id,))
            self._running.pop(task_id, None)
            self._live.forget(task_id)

    def _next_cursor(self, transaction: Transaction) -> int:
        """Return the cursor of a task that ends now, behind those of all others."""
        if self._last_cursor is None:
            statement = "SELECT coalesce(max(ended), 0) FROM tasks WHERE ended IS NOT NULL"
            (self._last_cursor,) = transaction.execute(statement).fetchone()
        self._last_cursor = max(self._last_cursor + 1, self._now())
        return self._last_cursor

    def _unknown(self, connection: Connection, task_id: str) -> UnknownTask:
        """Return what to raise for a task that is not there."""
        statement = "SELECT expired FROM tombstones WHERE id = ? AND expires > ?"
        tombstone = connection.execute(statement, (task_id, self._now())).fetchone()
        if tombstone is None:
            return UnknownTask(task_id)
        return ExpiredTask(task_id) if tombstone[0] else DeletedTask(task_id)

    def _bury(self, transaction: Transaction, task_id: str, *, expired: bool) -> None:
        """Leave a tombstone of a task."""
        expires = self._now() + round(max(self._ttl, TOMBSTONE_TTL) * 1000)
        statement = "INSERT OR REPLACE INTO tombstones (id, expires, expired) VALUES (?, ?, ?)"
        transaction.execute(statement, (task_id, expires, expired))

    def _load(self, transaction: Transaction, task_id: str) -> _Running:
        """Return what an append has to know. Raises LeaseLost if no attempt is running."""
        stored = self.find(transaction, task_id)
        if stored is None or stored.status != TaskStatus.RUNNING:
            raise LeaseLost
        running = _Running(stored.row, stored.attempt, stored.epoch, stored.length)
        self._running[task_id] = running
        return running
