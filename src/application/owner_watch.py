"""A watch: tells one client of the changes of all tasks of an owner.

It subscribes, and then reads the index: first the tasks that have not ended, then those that have
ended since its cursor, in the order of their cursors. From then on it reads the record of each task
that it is noticed of. So a status may be skipped, but never the last one: if a notice was missed,
the watch reads the index again, and a client that comes back gets what lies behind its cursor.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

import structlog

from application.errors import StoreUnavailable
from application.heartbeat import Heartbeat
from application.joined_calls import JoinedCalls
from application.owner_changes import Changed, Gone, Missed, Ping, Reached, Told
from application.ports import ChangeFeed, Clock, Entry, TaskIndex, Watcher
from application.reader import STORE_PAUSE
from application.reap import FailOrphanedTasks
from domain.events import TaskStatus
from domain.task import Task

log = structlog.get_logger(__name__)

PAGE = 100
"""Tasks that are read at once."""
NOTICES = 1_000
"""Tasks that wait to be read for one watch. With more it reads the index instead."""
PAUSE = 0.05
"""Seconds between two reads of one watch: notices that come meanwhile are read together."""
PING_TICKS = 2
"""Ticks of the heartbeat without anything told, after which a watch pings."""


@dataclass(frozen=True, slots=True)
class WatchContext:
    """What all watches in a process share."""

    index: TaskIndex
    feed: ChangeFeed
    clock: Clock
    orphans: FailOrphanedTasks
    heartbeat: Heartbeat
    """Ticks twice per ping interval."""
    on_close: Callable[[], None]
    joined: JoinedCalls = field(default_factory=JoinedCalls)
    """Reads of the index: the watches of an owner are noticed together, and read the same."""


_State = tuple[TaskStatus, int, int]


class OwnerWatch(Watcher):
    """One watch. `since` is the cursor at which it begins. It counts as one of the process's open
    watches until it is closed."""

    def __init__(self, owner: str | None, since: int, context: WatchContext) -> None:
        self.since = since
        self._owner = owner
        self._context = context
        self._cursor = since
        self._closed = self._released = False
        self._must_read = True
        self._missed = False
        self._read_at = context.clock.now()
        self._may_read_at = 0.0
        self._noticed: dict[str, None] = {}
        self._waiting: asyncio.Future[None] | None = None
        self._quiet_ticks = 0
        self._told: dict[str, _State] = {}
        """What was told of tasks whose cursors are not reached: most have not ended."""
        self._awaited: set[str] = set()
        """Those of them that have ended."""
        self._passed: dict[str, _State] = {}
        """The last NOTICES tasks whose cursors were reached, of which a notice may come late."""
        self._taken: Callable[[], Awaitable[None]] = _at_once

    def pace(self, taken: Callable[[], Awaitable[None]]) -> None:
        """Have `taken` awaited at the end of each page that was told, before anything else is read:
        meanwhile no records are held."""
        self._taken = taken

    def changed(self, task_id: str) -> None:
        if len(self._noticed) >= NOTICES:
            self._noticed.clear()  # the index has what they tell of, and new ones find room
            self._must_read = self._missed = True
        self._noticed[task_id] = None
        self._wake()

    def missed(self) -> None:
        self._must_read = self._missed = True
        self._wake()

    def closed(self) -> None:
        self._closed = True
        self._wake()

    def tick(self) -> None:
        """Twice per ping interval: have a ping told if nothing else was."""
        self._quiet_ticks += 1
        if self._quiet_ticks >= PING_TICKS:
            self._wake()

    async def aclose(self) -> None:
        """Stop. Safe to call twice."""
        self.closed()
        if not self._released:
            self._released = True
            self._context.feed.unwatch(self._owner, self)
            self._context.heartbeat.remove(self)
            self._taken = _at_once  # what was to be awaited may refer to this
            self._context.on_close()

    async def __aiter__(self) -> AsyncGenerator[Told, None]:
        """Tell of everything until the watch is closed, or this process stops. A store that is
        unavailable is waited for."""
        self._context.heartbeat.add(self)
        while not self._closed:
            try:
                async for each in self._next():
                    yield each
                    del each
                    if self._closed:
                        return
                    self._quiet_ticks = 0
            except StoreUnavailable as error:
                log.warning("store unavailable: watch waits", error=str(error))
                self._must_read = True
                await asyncio.sleep(STORE_PAUSE)
            if self._quiet_ticks >= PING_TICKS:
                yield Ping()
                self._quiet_ticks = 0
            elif not (self._must_read or self._noticed or self._closed):
                await self._wait()

    async def _wait(self) -> None:
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            await self._waiting
        finally:
            self._waiting = None

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def _next(self) -> AsyncGenerator[Told, None]:
        # Now and then the index is read for orphaned tasks, which nothing else tells of.
        if self._must_read or self._context.orphans.suspects(self._read_at):
            return self._read_index()
        return self._read_noticed()

    async def _read_noticed(self) -> AsyncGenerator[Told, None]:
        if not self._noticed:
            return
        now = asyncio.get_running_loop().time
        await asyncio.sleep(self._may_read_at - now())
        self._may_read_at = now() + PAUSE
        for task_ids in _pages(self._noticed):
            async for each in self._tell(task_ids):
                yield each
        if self._awaited:
            async for each in self._read_ended():
                yield each

    async def _read_index(self) -> AsyncGenerator[Told, None]:
        if self._missed:
            self._missed = False
            yield Missed()
        self._must_read = False
        self._read_at = self._context.clock.now()
        unseen = set(self._told)
        after: Entry | None = None
        index, joined = self._context.index, self._context.joined
        while entries := await joined(index.unfinished, self._owner, after, PAGE):
            after = entries[-1]
            listed = [entry.task_id for entry in entries]
            unseen.difference_update(listed)
            async for each in self._tell(listed):
                yield each
        async for each in self._read_ended():
            yield each
        for task_ids in _pages(unseen & self._told.keys()):
            async for each in self._tell(task_ids):
                yield each
            for task_id in self._awaited.intersection(task_ids):
                self._forget(task_id)  # its cursor was reached before

    async def _read_ended(self) -> AsyncGenerator[Told, None]:
        """Tell of what has ended behind the cursor."""
        while True:
            ended = self._context.index.ended
            entries = await self._context.joined(ended, self._owner, self._cursor, PAGE)
            found, gone = await self._read([each.task_id for each in entries])
            reached, task = None, None
            for entry in entries:
                self._cursor = reached = entry.cursor
                task = found.pop(entry.task_id, None)
                if task is not None and self._is_news(task):
                    reached = None
                    yield Changed(task, entry.cursor)
                if entry.task_id in gone:
                    self._forget(entry.task_id)
                    yield Gone(entry.task_id)
                if task is not None and task.status.terminal:
                    self._pass(task)
            if reached is not None:
                yield Reached(reached)
            del task
            await self._taken()
            if len(entries) < PAGE:
                return

    async def _tell(self, task_ids: Sequence[str]) -> AsyncGenerator[Told, None]:
        """Tell of these tasks what was not told yet."""
        found, gone = await self._read(task_ids)
        task = None
        for task_id in task_ids:
            task = found.pop(task_id, None)
            if task is not None and self._is_news(task):
                yield Changed(task, None)
            if task_id in gone:
                self._forget(task_id)
                yield Gone(task_id)
        del task
        await self._taken()

    async def _read(self, task_ids: Sequence[str]) -> tuple[dict[str, Task], set[str]]:
        """Return the records of these tasks, and which of them were told or noticed and are gone.
        Their notices have had their effect then. The index may name a task of another owner whose
        id this one has asked for."""
        noticed = self._noticed.keys() & task_ids
        for task_id in noticed:
            del self._noticed[task_id]
        try:
            records, ids = self._context.index.records, tuple(task_ids)
            tasks = await self._context.joined(records, ids) if ids else ()
            tasks = await self._context.orphans.each(tasks)
        except StoreUnavailable:
            self._noticed.update(dict.fromkeys(noticed))
            raise
        found = {task.id: task for task in tasks if task.owner == self._owner}
        known = noticed | self._told.keys() & task_ids
        return found, known - found.keys()

    def _is_news(self, task: Task) -> bool:
        """Whether this state of the task was not told yet. From now on it was."""
        state = task.status, task.attempt, task.updated_at
        if state in (self._told.get(task.id), self._passed.get(task.id)):
            return False
        self._told[task.id] = state
        if task.status.terminal:
            self._awaited.add(task.id)
        return True

    def _pass(self, task: Task) -> None:
        """Note that the cursor of a task that has ended was reached."""
        self._forget(task.id)
        self._passed[task.id] = task.status, task.attempt, task.updated_at
        if len(self._passed) > NOTICES:
            del self._passed[next(iter(self._passed))]

    def _forget(self, task_id: str) -> None:
        self._told.pop(task_id, None)
        self._awaited.discard(task_id)


async def _at_once() -> None: ...


def _pages(task_ids: Iterable[str]) -> Iterable[Sequence[str]]:
    listed = tuple(task_ids)
    return (listed[first : first + PAGE] for first in range(0, len(listed), PAGE))
