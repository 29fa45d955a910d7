"""What goes on beside the requests for as long as the process has the file open.

    clock = AwakeClock()
    tasks = SqliteTaskLog(database, hub, ttl, clock=clock)
    async with Housekeeping(database, tasks, clock, requeue).running():
        ...  # serve, then close the database

At its beginning, tasks that the file says are running are requeued: the process that ran them is
gone. Those that are delayed are noted (`Liveness`). Then what is over is removed, in small steps
with pauses between them, and the clock is read, which has to be read often (`AwakeClock`).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import structlog

from adapters.database import Database, Transaction
from adapters.sqlite.clock import AwakeClock
from adapters.sqlite.idempotency import drop_expired
from adapters.sqlite.limiter import drop_ended
from adapters.sqlite.steady_clock import steady_clock
from adapters.sqlite.sweeping import PAGES_AT_ONCE, ROWS_AT_ONCE
from adapters.sqlite.task_log import SqliteTaskLog
from adapters.sqlite.usage import drop_old_usage
from application.cancellation import end_tasks
from application.errors import StoreUnavailable

log = structlog.get_logger(__name__)

TICK = 0.5
"""Seconds between two readings of the clock."""
PAUSE = 5.0
SHARE = 4
"""The pause after a step, as a multiple of the time that the step took."""


class Housekeeping:
    def __init__(
        self,
        database: Database,
        tasks: SqliteTaskLog,
        clock: AwakeClock,
        requeue: Callable[[Sequence[str]], Awaitable[None]],
        *,
        wall: Callable[[], float] | None = None,
        pause: float = PAUSE,
    ) -> None:
        """`clock`: that of the tasks. `requeue`: requeues interrupted tasks, by the log that
        observers decorate (`RequeueInterrupted`). `wall`: gives seconds since 1970 and never goes
        back. `pause`: seconds after which is looked again for what is over."""
        self._database = database
        self._upkeep = tasks.upkeep
        self._clock = clock
        self._requeue = requeue
        self._wall = wall or steady_clock()
        self._pause = pause

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        try:
            await self._upkeep.note_delays()
            await self._requeue(await self._upkeep.interrupted())
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
            self._clock()
            await asyncio.sleep(TICK)

    async def _keep_sweeping(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            more = False
            for step in (self._upkeep.sweep, self._drop_counts, self._return_pages):
                began = clock()
                try:
                    more |= await step()
                except Exception as error:  # a full disk, for one
                    log.error("data file not swept", error=str(error))
                await asyncio.sleep((clock() - began) * SHARE)
            if not more:
                await asyncio.sleep(self._pause)

    async def _drop_counts(self) -> bool:
        now = round(self._wall() * 1000)

        def work(transaction: Transaction) -> int:
            kinds = (drop_ended, drop_expired, drop_old_usage)
            return sum(drop(transaction, now, ROWS_AT_ONCE) for drop in kinds)

        return await self._database.write(work, durable=False) > 0

    async def _return_pages(self) -> bool:
        return await self._database.write(
            lambda transaction: transaction.return_pages(PAGES_AT_ONCE), durable=False
        )
