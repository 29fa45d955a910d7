"""RunTask beside a model that the test drives piece by piece, on the memory store."""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from adapters.live import Hub
from adapters.memory import MemoryTaskLog
from application.attempt import AttemptBounds
from application.errors import StoreUnavailable, UnknownTask
from application.meter import Meter
from application.outcome import Outcome
from application.owner_shares import OwnerShares
from application.ports import Finished
from application.run_task import REQUESTS_ROOM
from domain.attempt import Attempt
from domain.events import ContentAdded, Event
from domain.request import TaskRequest
from entrypoints.identity import SystemClock
from tests.builders import REQUEST, after_end, delivery_of, meter_of, run_task
from tests.doubles.attempts import CountingAttempts
from tests.doubles.model import DrivenModel
from tests.doubles.queue import RecordingQueue
from tests.waiting import within

FINISHED = Finished("stop", "m-1", None)
TASK_ID = "task_1_a"
OWNER = "alice"


class SlowLog(MemoryTaskLog):
    """The memory log, its appends held up while `open` is not set."""

    def __init__(self, feed: Hub) -> None:
        super().__init__(feed, 60.0)
        self.open = asyncio.Event()
        self.open.set()
        self.appending = asyncio.Event()
        self.away = False
        self.refused = asyncio.Event()

    async def append(
        self, attempt: Attempt, events: Sequence[Event], lease: float, cursor: int | None = None
    ) -> Attempt:
        self.appending.set()
        await self.open.wait()
        if self.away:
            self.refused.set()
            raise StoreUnavailable("away")
        return await super().append(attempt, events, lease, cursor)


class Bench:
    def __init__(
        self,
        *,
        lease: float = 30.0,
        grace: float = 0.0,
        max_concurrent_deliveries: int = 10,
        requests_room: int = REQUESTS_ROOM,
        max_output_chars: int = 1_000_000,
        read_timeout: float = 60.0,
        attempt_timeout: float = 60.0,
        meter: Meter | None = None,
        shares: OwnerShares | None = None,
    ) -> None:
        self.feed = Hub()
        self.tasks = SlowLog(self.feed)
        self.model = DrivenModel()
        self.queue = RecordingQueue()
        self.after_end = after_end(self.tasks, self.queue, model=self.model)
        self.observer = CountingAttempts()
        self._process = partial(
            run_task,
            self.tasks,
            self.feed,
            self.model,
            SystemClock(),
            meter or meter_of(),
            self.after_end,
            AttemptBounds(lease, read_timeout, attempt_timeout, max_output_chars, grace),
            observer=self.observer,
            max_concurrent_deliveries=max_concurrent_deliveries,
            requests_room=requests_room,
            shares=shares,
        )
        self.run = self._process()

    def deliver(
        self,
        *,
        max_attempts: int = 4,
        task_id: str = TASK_ID,
        request: TaskRequest = REQUEST,
        retry_delay: float | None = None,
        own_flow: bool = False,
    ) -> asyncio.Task[Outcome]:
        delivery = delivery_of(
            task_id, request, max_attempts=max_attempts, owner=OWNER, own_flow=own_flow
        )
        return asyncio.create_task(self.run(replace(delivery, retry_delay=retry_delay)))

    async def stopped(self) -> Outcome:
        """The outcome of a delivery whose process stops during the attempt. Another process takes
        its place."""
        asked = self.model.asked
        running = self.deliver()
        async with asyncio.timeout(within(5)):
            while self.model.asked == asked:
                await asyncio.sleep(0)
        self.run.stop()
        outcome = await running
        self.run = self._process()
        return outcome

    async def events(self) -> list[Event]:
        return list((await self.tasks.read(TASK_ID, 0, 10_000)).events)

    async def content(self) -> list[str]:
        return [each.text for each in await self.events() if isinstance(each, ContentAdded)]

    async def until_content(self, *texts: str) -> None:
        async with asyncio.timeout(within(5)):
            while True:
                with contextlib.suppress(UnknownTask):
                    if await self.content() == list(texts):
                        return
                await asyncio.sleep(0)
