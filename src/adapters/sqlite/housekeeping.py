"""What goes on beside the requests for as long as the process has the file open.

    async with Housekeeping(database, tasks, [limiter.sweep, ...]).running():
        ...  # serve

At its beginning, tasks that the file says are running are requeued: the process that ran them is
gone. Then what is over is removed, in small steps with pauses between them, and the clock is read,
which has to be read often (`AwakeClock`).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import structlog

from adapters.database import Database
from adapters.sqlite.sweeping import return_pages
from adapters.sqlite.task_log import SqliteTaskLog
from application.cancellation import end_tasks
from application.errors import StoreUnavailable

log = structlog.get_logger(__name__)

TICK = 0.5
"""Seconds between two readings of the clock."""
PAUSE = 5.0
"""Seconds after which is looked again for what is over."""
SHARE = 4
"""The pause after a step, as a multiple of the time that the step took."""
VACUUM_SECONDS = 0.005

Sweep = Callable[[], Awaitable[bool]]
"""One small step. Returns whether there may be more to do."""


class Housekeeping:
    def __init__(
        self,
        database: Database,
        tasks: SqliteTaskLog,
        sweeps: Sequence[Sweep] = (),
        pause: float = PAUSE,
    ) -> None:
        """`sweeps`: of other users of the file, in its event loop."""
        self._database = database
        self._tasks = tasks
        self._sweeps: tuple[Sweep, ...] = (tasks.sweep, *sweeps, self._return_pages)
        self._pause = pause

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        try:
            await self._tasks.requeue_interrupted()
        except StoreUnavailable as error:
            # What runs no more is requeued when it is claimed.
            log.error("interrupted tasks not requeued", error=str(error))
        work = [asyncio.create_task(each()) for each in (self._tick, self._keep_sweeping)]
        try:
            yield
        finally:
            await end_tasks(work)

    async def _tick(self) -> None:
        while True:
            self._tasks.tick()
            await asyncio.sleep(TICK)

    async def _keep_sweeping(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            more = False
            for sweep in self._sweeps:
                began = clock()
                try:
                    more |= await sweep()
                except Exception as error:  # a full disk, for one
                    log.error("file not swept", error=str(error))
                await asyncio.sleep((clock() - began) * SHARE)
            if not more:
                await asyncio.sleep(self._pause)

    async def _return_pages(self) -> bool:
        return await self._database.write(
            lambda transaction: return_pages(transaction, VACUUM_SECONDS), durable=False
        )
