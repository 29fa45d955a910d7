"""Every adapter of the stores, by name: the same suites run against each. An adapter joins by one
entry in STORES."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import pytest

from adapters.memory import MemoryTaskLog
from adapters.redis import RedisEventFeed, RedisTaskLog, open_client
from application.fan_out import FanOut
from application.ports import EventFeed, TaskLog

TTL = 60.0
QUEUE_LIMIT = 8
"""Batches that may wait for a subscriber in these tests before it gets a Gap."""


@dataclass
class Store:
    """A TaskLog and the EventFeed that is told of what it adds."""

    tasks: TaskLog
    feed: EventFeed
    close_feed: Callable[[], None]


@asynccontextmanager
async def memory_store(ttl: float, _: str) -> AsyncIterator[Store]:
    feed = FanOut(QUEUE_LIMIT)
    yield Store(MemoryTaskLog(feed, ttl), feed, feed.close)


@asynccontextmanager
async def redis_store(ttl: float, redis_url: str) -> AsyncIterator[Store]:
    client = open_client(redis_url)
    feed = RedisEventFeed(client, QUEUE_LIMIT)
    try:
        yield Store(RedisTaskLog(client, ttl), feed, feed.close)
    finally:
        await feed.aclose()
        await client.flushdb()
        await client.aclose()


STORES: dict[str, Callable[[float, str], AbstractAsyncContextManager[Store]]] = {
    "memory": memory_store,
    "redis": redis_store,
}


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Store]:
    async with STORES[request.param](TTL, redis_url) as opened:
        yield opened


@pytest.fixture(params=STORES)
async def forgetful_store(request: pytest.FixtureRequest, redis_url: str) -> AsyncIterator[Store]:
    """One that keeps a task for half a second."""
    async with STORES[request.param](0.5, redis_url) as opened:
        yield opened
