"""Every adapter of the stores, by name: the same suites run against each. An adapter joins by one
entry in STORES."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import pytest

from adapters.memory import MemoryTaskLog
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
async def memory_store(ttl: float) -> AsyncIterator[Store]:
    feed = FanOut(QUEUE_LIMIT)
    yield Store(MemoryTaskLog(feed, ttl), feed, feed.close)


STORES: dict[str, Callable[[float], AbstractAsyncContextManager[Store]]] = {
    "memory": memory_store,
}


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    async with STORES[request.param](TTL) as opened:
        yield opened


@pytest.fixture(params=STORES)
async def forgetful_store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """One that keeps a task for half a second."""
    async with STORES[request.param](0.5) as opened:
        yield opened
