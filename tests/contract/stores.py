"""Every adapter of the stores, by name: the same suites run against each. An adapter joins by one
entry in STORES."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import TypeVar

import pytest

from adapters.database import open_database
from adapters.live import Hub
from adapters.memory import (
    MemoryIdempotencyKeys,
    MemoryLimiter,
    MemoryTaskLog,
    MemoryUsageLedger,
)
from adapters.redis import (
    Connection,
    RedisBroker,
    RedisIdempotencyKeys,
    RedisLimiter,
    RedisTaskIndex,
    RedisTaskLog,
    RedisUsageLedger,
    RestConnection,
)
from adapters.sqlite import (
    KEYS,
    LIMITS,
    TASKS,
    USAGE,
    AwakeClock,
    SqliteIdempotencyKeys,
    SqliteLimiter,
    SqliteTaskLog,
    SqliteUsageLedger,
)
from application.errors import LeaseLost, UnknownTask
from application.ports import (
    ChangeFeed,
    EventFeed,
    IdempotencyKeys,
    Limiter,
    TaskIndex,
    TaskLog,
    UsageLedger,
)
from domain.answer import Answer
from domain.attempt import Attempt
from domain.events import ContentAdded, Event
from tests.builders import LEASE, NOW, to_redis
from tests.doubles.readers import CountingObserver
from tests.doubles.rest_front import TOKEN

T = TypeVar("T")

TTL = 60.0
ORPHAN_TIMEOUT = 0.3


@dataclass
class Store:
    """A TaskLog, its index, and the feeds that are told of what it adds and changes."""

    tasks: TaskLog
    index: TaskIndex
    feed: EventFeed
    changes: ChangeFeed
    limiter: Limiter
    keys: IdempotencyKeys
    ledger: UsageLedger
    close_feed: Callable[[], None]


def _store(
    tasks: TaskLog,
    index: TaskIndex,
    hub: Hub,
    limiter: Limiter,
    keys: IdempotencyKeys,
    ledger: UsageLedger,
) -> Store:
    return Store(tasks, index, hub, hub, limiter, keys, ledger, hub.close)


@asynccontextmanager
async def memory_store(ttl: float, _: pytest.FixtureRequest) -> AsyncIterator[Store]:
    hub = Hub()
    tasks = MemoryTaskLog(hub, ttl, ORPHAN_TIMEOUT)
    limiter, keys, ledger = MemoryLimiter(), MemoryIdempotencyKeys(), MemoryUsageLedger()
    yield _store(tasks, tasks.index, hub, limiter, keys, ledger)


@asynccontextmanager
async def sqlite_store(ttl: float, request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    file = request.getfixturevalue("tmp_path") / "longtask.db"
    database = open_database(file, [TASKS, LIMITS, KEYS, USAGE])
    hub = Hub()
    tasks = SqliteTaskLog(database, hub, ttl, ORPHAN_TIMEOUT, clock=AwakeClock())
    limiter, keys = SqliteLimiter(database), SqliteIdempotencyKeys(database)
    try:
        yield _store(tasks, tasks.index, hub, limiter, keys, SqliteUsageLedger(database))
    finally:
        await database.aclose()


@asynccontextmanager
async def _on_redis(connection: Connection, ttl: float) -> AsyncIterator[Store]:
    hub = Hub(RedisBroker(connection, CountingObserver()))
    try:
        tasks = RedisTaskLog(connection, ttl, ORPHAN_TIMEOUT)
        limiter, keys = RedisLimiter(connection), RedisIdempotencyKeys(connection)
        index = RedisTaskIndex(connection, ttl)
        yield _store(tasks, index, hub, limiter, keys, RedisUsageLedger(connection))
    finally:
        await hub.aclose()
        await connection.aclose()


def redis_store(ttl: float, request: pytest.FixtureRequest) -> AbstractAsyncContextManager[Store]:
    return _on_redis(to_redis(request.getfixturevalue("redis_url")), ttl)


def cluster_store(ttl: float, request: pytest.FixtureRequest) -> AbstractAsyncContextManager[Store]:
    return _on_redis(to_redis(request.getfixturevalue("redis_cluster")), ttl)


def rest_store(ttl: float, request: pytest.FixtureRequest) -> AbstractAsyncContextManager[Store]:
    url: str = request.getfixturevalue("rest_front").url
    return _on_redis(RestConnection(url, TOKEN, connections=10, timeout=5.0), ttl)


STORES: dict[str, Callable[[float, pytest.FixtureRequest], AbstractAsyncContextManager[Store]]] = {
    "memory": memory_store,
    "sqlite": sqlite_store,
    "redis": redis_store,
    "cluster": cluster_store,
    "rest": rest_store,
}


async def events_of(tasks: TaskLog, task_id: str) -> list[Event]:
    return list((await tasks.read(task_id, 0, 10_000)).events)


async def epoch_of(tasks: TaskLog, task_id: str) -> str:
    """The one that it is in now."""
    return (await tasks.read(task_id, 0, 1)).end.epoch


async def in_time(steps: Callable[[], Awaitable[T]], tries: int = 20) -> T:
    """What `steps` return, taken again with a store that keeps a task for half a second where
    their task expired in the midst of them, as it may on a busy machine."""
    for _ in range(tries):
        try:
            return await steps()
        except UnknownTask:
            continue
    raise AssertionError(f"each of {tries} times the task expired before its time")


async def assert_shut_out(tasks: TaskLog, attempt: Attempt) -> None:
    before = await events_of(tasks, attempt.task.id)
    done = attempt.task.complete(
        NOW, answer=Answer(""), finish_reason="stop", model="m", usage=None
    )
    for call in (
        tasks.append(attempt, [ContentAdded(NOW, "zombie")], LEASE),
        tasks.renew(attempt, LEASE),
        tasks.commit(attempt, done),
        tasks.commit(attempt, attempt.task.requeue(NOW, "x")),
    ):
        with pytest.raises(LeaseLost):
            await call
    assert await events_of(tasks, attempt.task.id) == before
