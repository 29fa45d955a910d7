"""A task log and an event feed on a Redis on which something breaks, and what is done with them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from adapters.live import Hub
from adapters.redis import (
    Connection,
    RedisBroker,
    RedisTaskLog,
)
from application.errors import StoreUnavailable
from domain.events import ContentAdded, Event
from domain.task import Attempt
from tests.builders import LEASE, follow_task
from tests.doubles.readers import (
    CountingObserver,
    started,
)
from tests.waiting import within


@dataclass
class Bench:
    tasks: RedisTaskLog
    feed: Hub

    async def add(self, attempt: Attempt, text: str) -> Attempt:
        """As RunTask does: an append may be made again."""
        async with asyncio.timeout(within(20)):
            while True:
                try:
                    return await self.tasks.append(attempt, [ContentAdded(1, text)], LEASE)
                except StoreUnavailable:
                    await asyncio.sleep(0.05)

    async def follow(self, task_id: str) -> list[Event]:
        """All events that a reader gets, from the first one to the last. As clients do, it opens a
        stream again that was refused while the store was away."""
        seen: list[Event] = []
        async with asyncio.timeout(within(20)):
            while True:
                try:
                    _, sink = await started(follow_task(self.tasks, self.feed), task_id)
                    break
                except StoreUnavailable:
                    await asyncio.sleep(0.05)
        await sink.until_ended(timeout=60)
        for batch in sink.batches:
            assert batch.first == len(seen) + 1
            seen.extend(batch.events)
        return seen

    async def end(self, attempt: Attempt, text: str) -> None:
        done = attempt.task.complete(2, text=text, finish_reason="stop", model="m", usage=None)
        async with asyncio.timeout(within(20)):
            while True:
                try:
                    return await self.tasks.commit(attempt, done)
                except StoreUnavailable:
                    await asyncio.sleep(0.05)


@asynccontextmanager
async def on_redis(connection: Connection) -> AsyncIterator[Bench]:
    feed = Hub(RedisBroker(connection, CountingObserver()))
    try:
        yield Bench(RedisTaskLog(connection, 60.0), feed)
    finally:
        await feed.aclose()
        await connection.aclose()
