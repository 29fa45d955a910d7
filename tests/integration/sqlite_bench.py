"""A data file with its store, opened and closed as a process does."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.database import Database, open_database
from adapters.live import Hub
from adapters.sqlite import KEYS, LIMITS, TASKS, USAGE, AwakeClock, Housekeeping, SqliteTaskLog
from application.ports import ORPHAN_TIMEOUT, TaskLog
from application.reap import RequeueInterrupted
from entrypoints.identity import SystemClock

TTL = 86_400.0


@dataclass
class Opened:
    database: Database
    tasks: SqliteTaskLog
    feed: Hub

    async def rows(self, statement: str, *values: object) -> list[Any]:
        return await self.database.read(lambda file: file.execute(statement, values).fetchall())

    async def change(self, statement: str, *values: object) -> None:
        await self.database.write(lambda file: file.execute(statement, values).rowcount)


@asynccontextmanager
async def opened(
    path: Path,
    *,
    ttl: float = TTL,
    orphan_timeout: float = ORPHAN_TIMEOUT,
    clock: AwakeClock | None = None,
    wall: Callable[[], float] | None = None,
    pause: float | None = 0.001,
    observe: Callable[[TaskLog], TaskLog] | None = None,
) -> AsyncIterator[Opened]:
    """The file, held by a process that serves. `pause`: of its housekeeping, None for none.
    `observe`: decorates the log by which it requeues."""
    database, feed = open_database(path, [TASKS, LIMITS, KEYS, USAGE]), Hub()
    clock = clock or AwakeClock()
    tasks = SqliteTaskLog(database, feed, ttl, orphan_timeout, clock=clock, wall=wall)
    try:
        async with AsyncExitStack() as stack:
            if pause is not None:
                observed = tasks if observe is None else observe(tasks)
                requeue = RequeueInterrupted(observed, SystemClock())
                housekeeping = Housekeeping(database, tasks, clock, requeue, wall=wall, pause=pause)
                await stack.enter_async_context(housekeeping.running())
            yield Opened(database, tasks, feed)
    finally:
        feed.close()
        await database.aclose()


def copied(path: Path, to: Path) -> Path:
    """A copy of a file that is closed."""
    source, target = sqlite3.connect(path), sqlite3.connect(to)
    with source, target:
        source.backup(target)
    source.close()
    target.close()
    return to
