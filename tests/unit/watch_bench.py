"""A watch of an owner's tasks on the store in memory, and what it has told."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from adapters.live import Hub
from adapters.memory import MemoryTaskLog
from application.errors import StoreUnavailable
from application.owner_changes import Changed, Gone, Reached, Told
from application.owner_watch import OwnerWatch
from application.ports import ORPHAN_TIMEOUT, Clock, EndedEntry, Entry, TaskIndex, TaskPage
from application.reap import FailOrphanedTasks
from application.watch_tasks import WatchTasks
from domain.task import Task
from domain.task_filter import TaskFilter
from entrypoints.identity import SystemClock
from tests.builders import NOW
from tests.contract.test_task_index import created
from tests.waiting import until

OWNER = "me"


class FailingIndex(TaskIndex):
    """An index that can be told to fail, and to do something before it reads records."""

    def __init__(self, inner: TaskIndex) -> None:
        self._inner = inner
        self.fails = False
        self.reads = 0
        self.foreign: list[Entry] = []
        """Of other owners, named in place of what has not ended."""
        self.before_records: Callable[[], Coroutine[Any, Any, object]] | None = None

    async def page(
        self, owner: str | None, wanted: TaskFilter, after: Entry | None, limit: int
    ) -> TaskPage:
        raise NotImplementedError

    async def records(self, task_ids: Sequence[str]) -> Sequence[Task]:
        if self.fails:
            raise StoreUnavailable("gone")
        self.reads += 1
        before, self.before_records = self.before_records, None
        if before is not None:
            await before()
        return await self._inner.records(task_ids)

    async def unfinished(
        self, owner: str | None, after: Entry | None, limit: int
    ) -> Sequence[Entry]:
        foreign, self.foreign = self.foreign, []
        return foreign or await self._inner.unfinished(owner, after, limit)

    async def ended(self, owner: str | None, since: int, limit: int) -> Sequence[EndedEntry]:
        if self.fails:
            raise StoreUnavailable("gone")
        return await self._inner.ended(owner, since, limit)


class LateClock(Clock):
    """The system's, and what a test adds to it."""

    def __init__(self) -> None:
        self.ahead = 0

    def now(self) -> int:
        return SystemClock().now() + self.ahead


class Bench:
    def __init__(self, *, ping_interval: float = 60.0) -> None:
        self.hub, self.clock = Hub(), LateClock()
        self.tasks = MemoryTaskLog(
            self.hub, 1e6, ORPHAN_TIMEOUT, elapsed=lambda: self.clock.now() / 1000
        )
        self.index = FailingIndex(self.tasks.index)
        self.watch_tasks = WatchTasks(
            self.index,
            self.hub,
            self.clock,
            FailOrphanedTasks(self.tasks, self.clock, ORPHAN_TIMEOUT),
            ping_interval=ping_interval,
            max_watchers=2,
        )

    async def create(self, at: int = NOW) -> str:
        return await created(self.tasks, OWNER, at)

    async def watch(self, since: int | None = None) -> "Watching":
        return Watching(await self.watch_tasks(OWNER, since))


class Watching:
    """A watch, and what it has told."""

    def __init__(self, watch: OwnerWatch) -> None:
        self.watch = watch
        self.told: list[Told] = []
        self.ended = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for each in self.watch:
            self.told.append(each)

    async def next(self, count: int) -> list[Told]:
        """So many that were told, and no more than these."""
        await until(lambda: len(self.told) >= count)
        await asyncio.sleep(0)
        told, self.told = self.told, []
        return told

    async def waits(self) -> None:
        """Return when it has read all that it has to."""
        await until(lambda: self.watch._waiting is not None)


def said(told: Sequence[Told]) -> list[tuple[str, str]]:
    """The ids and statuses of tasks."""
    return [
        (each.task.id, each.task.status.value)
        if isinstance(each, Changed)
        else (each.task_id if isinstance(each, Gone) else "", type(each).__name__)
        for each in told
    ]


def cursors(told: Sequence[Told]) -> list[int]:
    return [
        each.cursor
        for each in told
        if isinstance(each, Changed | Reached) and each.cursor is not None
    ]
