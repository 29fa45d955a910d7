"""Every adapter of the stores, by name: the same suites run against each. An adapter joins by one
entry in STORES."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import pytest

from adapters.live import Hub
from adapters.memory import MemoryIdempotencyKeys, MemoryLimiter, MemoryTaskLog
from adapters.redis import (
    Connection,
    RedisBroker,
    RedisIdempotencyKeys,
    RedisLimiter,
    RedisTaskLog,
    RestConnection,
)
from application.ports import EventFeed, IdempotencyKeys, Limiter, TaskLog
from tests.builders import to_redis
from tests.doubles.readers import CountingObserver
from tests.doubles.rest_front import TOKEN

TTL = 60.0
ORPHAN_TIMEOUT = 0.3


@dataclass
class Store:
    """A TaskLog and the EventFeed that is told of what it adds."""

    tasks: TaskLog
    feed: EventFeed
    limiter: Limiter
    keys: IdempotencyKeys
    close_feed: Callable[[], None]


@asynccontextmanager
async def memory_store(ttl: float, _: pytest.FixtureRequest) -> AsyncIterator[Store]:
    feed = Hub()
    tasks = MemoryTaskLog(feed, ttl, ORPHAN_TIMEOUT)
    yield Store(tasks, feed, MemoryLimiter(), MemoryIdempotencyKeys(), feed.close)


@asynccontextmanager
async def _store(connection: Connection, ttl: float) -> AsyncIterator[Store]:
    feed = Hub(RedisBroker(connection, CountingObserver()))
    try:
        tasks = RedisTaskLog(connection, ttl, ORPHAN_TIMEOUT)
        limiter, keys = RedisLimiter(connection), RedisIdempotencyKeys(connection)
        yield Store(tasks, feed, limiter, keys, feed.close)
    finally:
        await feed.aclose()
        await connection.aclose()


def redis_store(ttl: float, request: pytest.FixtureRequest) -> AbstractAsyncContextManager[Store]:
    return _store(to_redis(request.getfixturevalue("redis_url")), ttl)


def cluster_store(ttl: float, request: pytest.FixtureRequest) -> AbstractAsyncContextManager[Store]:
    return _store(to_redis(request.getfixturevalue("redis_cluster")), ttl)


def rest_store(ttl: float, request: pytest.FixtureRequest) -> AbstractAsyncContextManager[Store]:
    url: str = request.getfixturevalue("rest_front").url
    return _store(RestConnection(url, TOKEN, connections=10, timeout=5.0), ttl)


STORES: dict[str, Callable[[float, pytest.FixtureRequest], AbstractAsyncContextManager[Store]]] = {
    "memory": memory_store,
    "redis": redis_store,
    "cluster": cluster_store,
    "rest": rest_store,
}
