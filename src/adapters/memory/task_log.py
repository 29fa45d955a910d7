"""TaskLog in the memory of one process.

For trying the service and for tests: it loses everything when the process ends, and processes
cannot share it. A method is atomic because it never awaits. What it adds to a log it publishes to
the hub, and it keeps the index of the tasks.
"""

import heapq
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from adapters.live import Hub
from adapters.memory.entry import Entry
from adapters.memory.task_index import MemoryTaskIndex
from adapters.memory.tombstones import Tombstones
from application.errors import DeletedTask, ExpiredTask, LeaseLost, UnknownTask
from application.ports import (
    ORPHAN_TIMEOUT,
    PAGE_SIZE,
    TOMBSTONE_TTL,
    Batch,
    Busy,
    Ended,
    NotOrphaned,
    Openings,
    Orphaned,
    Page,
    TaskLog,
    anew,
    page_of,
)
from domain.attempt import Attempt
from domain.continuation import kept
from domain.events import Event, TaskStatus, fold, text_size
from domain.failure import Failure
from domain.position import START
from domain.request import TaskRequest
from domain.task import Change, Submitted, Task
from domain.webhook import Note


class MemoryTaskLog(TaskLog):
    def __init__(
        self,
        hub: Hub,
        ttl: float,
        orphan_timeout: float = ORPHAN_TIMEOUT,
        elapsed: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """`ttl`: seconds for which a log is kept after its last change, at most. `orphan_timeout`:
        seconds without a heartbeat after which a task is orphaned. `elapsed`: a monotonic clock for
        both, in seconds. `wall`: gives seconds since 1970, for tasks that are delayed."""
        self._hub = hub
        self._ttl = ttl
        self._orphan_timeout = orphan_timeout
        self._elapsed = elapsed
        self._wall = wall
        self._entries: dict[str, Entry] = {}
        self._expiries: list[tuple[float, str]] = []
        self.index = MemoryTaskIndex(self._find)
        self._tombstones = Tombstones(max(ttl, TOMBSTONE_TTL), elapsed)

    async def create(self, submitted: Submitted) -> Task:
        self.drop_expired()
        task = submitted.task
        entry = self._entries.get(task.id)
        if entry is None:
            if isinstance(gone := self._tombstones.unknown(task.id), DeletedTask):
                raise gone
            entry = Entry(task, submitted.request, 0.0)
            self._entries[task.id] = entry
            self.index.add(task)
            self._expire(entry, self._ttl)
            self._write(entry, submitted)
        entry.advance()
        return entry.task

    async def note_message(self, task_id: str, message_id: str) -> None:
        entry = self._entry(task_id)
        entry.task = replace(entry.task, message_id=message_id)
        self._heartbeat(entry)

    async def get(self, task_id: str) -> Task:
        return self._entry(task_id).task

    async def request(self, task_id: str) -> TaskRequest | None:
        return self._entry(task_id).request

    async def claim(
        self, task_id: str, lease: float, now: int, opening: Openings = anew
    ) -> Attempt | Busy | Ended:
        entry = self._entry(task_id)
        if entry.task.status.terminal:
            return Ended(entry.task)
        if busy := self._busy(entry):
            return busy
        self._write(entry, entry.task.claim(now, opening(entry.task)))
        entry.lease_until = self._elapsed() + lease
        return Attempt(entry.task, len(entry.events), entry.request)

    async def append(
        self, attempt: Attempt, events: Sequence[Event], lease: float, cursor: int | None = None
    ) -> Attempt:
        entry = self._held(attempt)
        entry.lease_until = self._elapsed() + lease
        if len(entry.events) == attempt.logged:
            self._add(entry, tuple(events))
            if events and cursor is not None:
                entry.cursor = cursor, len(entry.events), attempt.number
        return Attempt(attempt.task, len(entry.events), attempt.request, cursor)

    async def note_response(self, attempt: Attempt, response_id: str) -> Attempt:
        entry = self._held(attempt)
        entry.advance()
        if (continuation := entry.task.continuation) is not None:
            entry.task = replace(entry.task, continuation=continuation.noted(response_id))
        return replace(attempt, task=entry.task)

    async def restart(self, attempt: Attempt, change: Change, lease: float) -> Attempt:
        entry = self._held(attempt)
        self._write(entry, change)
        entry.lease_until = self._elapsed() + lease
        return Attempt(entry.task, len(entry.events), entry.request)

    async def renew(self, attempt: Attempt, lease: float) -> None:
        entry = self._held(attempt)
        entry.lease_until = self._elapsed() + lease
        self._heartbeat(entry)

    async def commit(self, attempt: Attempt, change: Change) -> None:
        entry = self._held(attempt)
        entry.lease_until = 0.0
        self._write(entry, change)

    async def cancel(self, task_id: str, now: int) -> Task:
        entry = self._entry(task_id)
        self._write(entry, entry.task.cancel(now, fold(entry.events).answer))
        return entry.task

    async def fail(self, task_id: str, failure: Failure, now: int) -> Task | Busy:
        entry = self._entry(task_id)
        if busy := self._busy(entry):
            return busy
        self._write(entry, entry.task.fail(now, failure))
        return entry.task

    async def fail_unqueued(self, task_id: str, failure: Failure, now: int) -> Task | None:
        entry = self._entry(task_id)
        if not entry.task.unqueued:
            return None
        self._write(entry, entry.task.fail(now, failure))
        return entry.task

    async def fail_orphaned(
        self, task_id: str, failure: Failure, now: int
    ) -> Orphaned | NotOrphaned:
        entry = self._entry(task_id)
        alive = entry.heartbeat_until > self._elapsed()
        if entry.task.status.terminal or alive or self._busy(entry):
            return NotOrphaned(entry.task)
        self._write(entry, entry.task.fail(now, failure))
        return Orphaned(entry.task)

    async def note_webhook(self, task_id: str, number: int, note: Note) -> None:
        entry = self._entry(task_id)
        if entry.task.status.terminal:
            entry.task = entry.task.with_note(number, note)

    async def note_released(self, task_id: str) -> None:
        entry = self._entry(task_id)
        continuation = entry.task.continuation
        if entry.task.status.terminal and continuation is not None:
            entry.task = replace(entry.task, continuation=continuation.told())

    async def delete(self, task_id: str) -> None:
        task = self._entry(task_id).task
        del self._entries[task_id]
        self.index.remove(task_id)
        self._tombstones.add(task_id, DeletedTask)
        self._hub.notify(task.owner, task_id)

    async def read(self, task_id: str, after: int, limit: int) -> Page:
        entry = self._entry(task_id)
        events: list[Event] = []
        size = 0
        for event in entry.events[after : after + limit]:
            events.append(event)
            size += text_size(event)
            if size >= PAGE_SIZE:
                break
        position = entry.position(after) if after <= len(entry.events) else START
        return page_of(len(entry.events), position, [(entry.epoch, tuple(events))])

    async def check(self) -> None:
        return None

    def drop_expired(self) -> None:
        """Drop expired entries and tombstones. If the expiry of an entry has moved since it was
        pushed to the heap, it is pushed again with the new one."""
        now = self._elapsed()
        while self._expiries and self._expiries[0][0] <= now:
            _, task_id = heapq.heappop(self._expiries)
            entry = self._entries.get(task_id)
            if entry is None:  # deleted, or dropped when its own time to live was over
                continue
            if entry.expires > now:
                heapq.heappush(self._expiries, (entry.expires, task_id))
            else:
                del self._entries[task_id]
                self.index.remove(task_id)
        self._tombstones.drop_expired()

    def _find(self, task_id: str) -> Task | None:
        entry = self._entries.get(task_id)
        if entry is None or entry.expires <= self._elapsed():
            return None
        entry.advance()
        return entry.task

    def _entry(self, task_id: str) -> Entry:
        entry = self._there(task_id)
        entry.advance()
        return entry

    def _there(self, task_id: str) -> Entry:
        entry = self._entries.get(task_id)
        if entry is None or entry.expires <= self._elapsed():
            raise self._tombstones.unknown(task_id)
        return entry

    def _held(self, attempt: Attempt) -> Entry:
        """Return the entry of an attempt that may write, else raise LeaseLost. An attempt whose
        lease has lapsed may write until another one begins or the task ends."""
        try:
            entry = self._there(attempt.task.id)
        except UnknownTask:
            raise LeaseLost from None
        if entry.task.status is not TaskStatus.RUNNING or entry.task.attempt != attempt.number:
            raise LeaseLost
        return entry

    def _busy(self, entry: Entry) -> Busy | None:
        left = entry.lease_until - self._elapsed()
        running = entry.task.status is TaskStatus.RUNNING
        return Busy(left) if running and left > 0 else None

    def _heartbeat(self, entry: Entry) -> None:
        entry.heartbeat_until = self._due(entry) + self._orphan_timeout

    def _due(self, entry: Entry) -> float:
        """Return from when on its times count: now, or when its delay is over."""
        if entry.task.not_before is None or entry.task.status is not TaskStatus.PENDING:
            return self._elapsed()
        return self._elapsed() + entry.task.delay_left(round(self._wall() * 1000))

    def _write(self, entry: Entry, change: Change) -> None:
        entry.advance()
        # `note_message` may have added the message id since the attempt read the record.
        message_id = change.task.message_id or entry.task.message_id
        continuation = kept(change.task.continuation, entry.task.continuation)
        entry.task = replace(change.task, message_id=message_id, continuation=continuation)
        self._heartbeat(entry)
        if entry.task.status.terminal:
            self.index.note_end(entry.task.id)
        self._add(entry, change.events)
        self._hub.notify(entry.task.owner, entry.task.id)
        if entry.task.status.terminal and entry.task.leaves_tombstone:
            own_ttl = entry.task.ttl
            self._expire(entry, self._ttl if own_ttl is None else min(own_ttl, self._ttl))
            self._tombstones.add(entry.task.id, ExpiredTask)

    def _expire(self, entry: Entry, ttl: float) -> None:
        entry.expires = self._elapsed() + ttl
        heapq.heappush(self._expiries, (entry.expires, entry.task.id))

    def _add(self, entry: Entry, events: tuple[Event, ...]) -> None:
        entry.expires = self._due(entry) + self._ttl
        if not events:
            return
        batch = Batch(entry.position(len(entry.events)), entry.epoch, events)
        entry.events.extend(events)
        self._hub.publish(entry.task.id, batch)
