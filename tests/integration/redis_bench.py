"""A task log and an event feed on a Redis on which something breaks, and what is done with them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

from adapters.live import Hub
from adapters.redis import (
    Connection,
    RedisBroker,
    RedisTaskLog,
)
from application.errors import StoreUnavailable
from domain.answer import Answer
from domain.attempt import Attempt
from domain.events import ContentAdded, Event
from tests.builders import LEASE, follow_task
from tests.doubles.readers import (
    CountingObserver,
    started,
)
from tests.waiting import within

T = TypeVar("T")


@dataclass
class Bench:
    tasks: RedisTaskLog
    feed: Hub

    async def add(self, attempt: Attempt, text: str) -> Attempt:
        return await _once_available(
            lambda: self.tasks.append(attempt, [ContentAdded(1, text)], LEASE)
        )

    async def follow(self, task_id: str) -> list[Event]:
        """All events that a reader gets, from the first one to the last."""
        seen: list[Event] = []
        _, sink = await _once_available(
            lambda: started(follow_task(self.tasks, self.feed), task_id)
        )
        await sink.until_ended(timeout=60)
        for batch in sink.batches:
            assert batch.first == len(seen) + 1
            seen.extend(batch.events)
        return seen

    async def end(self, attempt: Attempt, text: str) -> None:
        done = attempt.task.complete(
            2, answer=Answer(text), finish_reason="stop", model="m", usage=None
        )
        await _once_available(lambda: self.tasks.commit(attempt, done))


async def _once_available(call: Callable[[], Awaitable[T]]) -> T:
    """Make a call again while the store is away, as RunTask and clients do."""
    async with asyncio.timeout(within(20)):
        while True:
            try:
                return await call()
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
