"""Every adapter of the stores, by name: the same suites run against each. An adapter joins by one
entry in STORES."""

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import pytest

from adapters.memory import MemoryAllowances, MemoryIdempotencyKeys, MemoryTaskLog
from adapters.redis import (
    Connection,
    RedisAllowances,
    RedisEventFeed,
    RedisIdempotencyKeys,
    RedisTaskLog,
    RestConnection,
    connect,
    parse_address,
)
from application.admission import Admission, Limits
from application.fan_out import FanOut
from application.follow_task import PAGE, FollowTask
from application.ports import PATIENCE, Allowances, EventFeed, IdempotencyKeys, TaskLog
from application.settle_task import SettleForgotten
from domain.request import TaskRequest
from domain.task import Attempt, Task
from entrypoints.identity import SystemClock
from tests.rest_front import TOKEN

TTL = 60.0
LEASE = 30.0
LOG_PATIENCE = 0.3
REQUEST = TaskRequest(model="m", max_tokens=10, temperature=0.5, prompt="Hi.")
QUEUE_LIMIT = 8
"""Batches that may wait for a subscriber in these tests before it gets a Gap."""


@dataclass
class Store:
    """A TaskLog and the EventFeed that is told of what it adds."""

    tasks: TaskLog
    feed: EventFeed
    allowances: Allowances
    keys: IdempotencyKeys
    close_feed: Callable[[], None]


@asynccontextmanager
async def memory_store(ttl: float, _: pytest.FixtureRequest) -> AsyncIterator[Store]:
    feed = FanOut(QUEUE_LIMIT)
    tasks = MemoryTaskLog(feed, ttl, LOG_PATIENCE)
    yield Store(tasks, feed, MemoryAllowances(), MemoryIdempotencyKeys(), feed.close)


async def begun(tasks: TaskLog) -> Attempt:
    """A new task with a live attempt."""
    task_id = f"task_1_{secrets.token_hex(6)}"
    await tasks.create(Task.submit(task_id, REQUEST, 1))
    attempt = await tasks.claim(task_id, LEASE, 1)
    assert isinstance(attempt, Attempt)
    return attempt


def follow_task(
    tasks: TaskLog,
    feed: EventFeed,
    *,
    silence: float = 0.2,
    page: int = PAGE,
    patience: float = PATIENCE,
) -> FollowTask:
    clock = SystemClock()
    return FollowTask(
        tasks,
        feed,
        clock,
        SettleForgotten(tasks, clock, patience),
        silence=silence,
        max_streams=100_000,
        page=page,
    )


def unlimited(tasks: TaskLog) -> Admission:
    settle = SettleForgotten(tasks, SystemClock(), PATIENCE)
    return Admission(MemoryAllowances(), tasks, settle, Limits(), Limits())


def to_redis(url: str) -> Connection:
    return connect(parse_address(url), connections=10, connect_timeout=5.0, timeout=5.0)


@asynccontextmanager
async def _store(connection: Connection, ttl: float) -> AsyncIterator[Store]:
    feed = RedisEventFeed(connection, QUEUE_LIMIT)
    try:
        tasks = RedisTaskLog(connection, ttl, LOG_PATIENCE)
        allowances, keys = RedisAllowances(connection), RedisIdempotencyKeys(connection)
        yield Store(tasks, feed, allowances, keys, feed.close)
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


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    async with STORES[request.param](TTL, request) as opened:
        yield opened


@pytest.fixture(params=STORES)
async def forgetful_store(request: pytest.FixtureRequest) -> AsyncIterator[Store]:
    """One that keeps a task for half a second."""
    async with STORES[request.param](0.5, request) as opened:
        yield opened
