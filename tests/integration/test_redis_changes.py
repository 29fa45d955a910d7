"""Notices of changes from a Redis whose connections are cut: watchers are told that they may have
missed some, and are told of the next ones."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from adapters.live import Hub
from adapters.redis import Connection, RedisBroker, RedisTaskLog, RestConnection
from adapters.redis.server import ServerConnection
from application.errors import StoreUnavailable
from domain.errors import IllegalTransition
from domain.events import ContentAdded
from domain.task import Task
from tests.builders import LEASE, NOW, REQUEST, claim, to_redis
from tests.doubles.readers import CountingObserver, RecordingWatcher
from tests.doubles.rest_front import TOKEN, RestFront
from tests.redis_server import LocalRedis, cluster_url, running_cluster
from tests.waiting import until


@dataclass
class Watched:
    tasks: RedisTaskLog
    watcher: RecordingWatcher
    owner: str

    async def create(self) -> str:
        task_id = f"task_1_{secrets.token_hex(6)}"
        await self.tasks.create(Task.submit(task_id, REQUEST, NOW, self.owner))
        return task_id

    async def told(self, task_id: str) -> None:
        await until(lambda: task_id in self.watcher.noticed)


@asynccontextmanager
async def watched(connection: Connection) -> AsyncIterator[Watched]:
    hub = Hub(RedisBroker(connection, CountingObserver()))
    bench = Watched(RedisTaskLog(connection, 60.0), RecordingWatcher(), f"o_{secrets.token_hex(6)}")
    try:
        await hub.watch(bench.owner, bench.watcher)
        yield bench
    finally:
        await hub.aclose()
        await connection.aclose()


async def test_what_a_lost_connection_may_have_missed_is_told(redis_url: str) -> None:
    connection = to_redis(redis_url)
    assert isinstance(connection, ServerConnection)
    async with watched(connection) as bench:
        await bench.told(await bench.create())
        killed: Any = connection.client.client_kill_filter(_type="pubsub")
        await killed
        await until(lambda: bench.watcher.misses)
        await bench.told(await bench.create())


async def test_what_a_broken_stream_may_have_missed_is_told(rest_front: RestFront) -> None:
    connection = RestConnection(rest_front.url, TOKEN, connections=10, timeout=5.0)
    async with watched(connection) as bench:
        await bench.told(await bench.create())
        rest_front.cut()
        await until(lambda: bench.watcher.misses)
        await bench.told(await bench.create())


@pytest.mark.soak
async def test_ends_are_told_while_a_node_of_a_cluster_comes_back() -> None:
    """Nodes forward notices to each other, and lose those of the time in which they find each
    other again."""
    with running_cluster("--appendonly", "yes", "--appendfsync", "always") as nodes:
        async with watched(to_redis(cluster_url(nodes))) as bench:
            for node in nodes:
                await _kill_while_tasks_end(bench, node)
            assert bench.watcher.misses, "one of them is the node that we listen to"


async def _kill_while_tasks_end(bench: Watched, node: LocalRedis) -> None:
    ids = [await bench.create() for _ in range(12)]  # in slots of all nodes
    for task_id in ids:
        await bench.told(task_id)
    bench.watcher.noticed.clear()
    misses = bench.watcher.misses
    node.kill()
    node.start()
    for task_id in ids:
        await until(partial(_cancelled, bench.tasks, task_id))
    await until(lambda: {*ids} <= {*bench.watcher.noticed} or bench.watcher.misses > misses)


async def _cancelled(tasks: RedisTaskLog, task_id: str) -> bool:
    try:
        await tasks.cancel(task_id, NOW)
    except StoreUnavailable:
        return False
    except IllegalTransition:  # the response was lost
        return True
    return True


async def test_a_token_is_no_change_of_the_task(redis_url: str) -> None:
    async with watched(to_redis(redis_url)) as bench:
        task_id = await bench.create()
        attempt = await claim(bench.tasks, task_id)
        for each in "abc":
            attempt = await bench.tasks.append(attempt, [ContentAdded(NOW, each)], LEASE)
        await bench.tasks.renew(attempt, LEASE)
        await bench.told(await bench.create())
        assert bench.watcher.noticed[:-1] == [task_id] * 2, "created, and claimed"
