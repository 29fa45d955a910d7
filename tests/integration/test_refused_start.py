"""What a start that is refused costs a real Redis, whatever the limit."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from adapters.redis import RedisLimiter, RedisTaskLog
from adapters.redis.server import ServerConnection
from application.accounts import Accounts, Caller, Limits
from application.errors import OverLimit
from domain.task import Task
from entrypoints.identity import SystemClock
from tests.builders import REQUEST, quotas_of, to_redis
from tests.redis_server import LocalRedis

ALICE = Caller("alice", "192.0.2.1")
RUNNING = 500


@pytest.fixture
async def connection(own_redis: LocalRedis) -> AsyncIterator[ServerConnection]:
    opened = to_redis(own_redis.url)
    assert isinstance(opened, ServerConnection)
    yield opened
    await opened.aclose()


async def _commands(connection: ServerConnection) -> int:
    """All that the server has carried out so far, those that scripts call among them."""
    stats = await connection.client.info("commandstats")
    return sum(
        each["calls"]
        for name, each in stats.items()
        if name not in ("cmdstat_info", "cmdstat_ping")
    )


async def test_a_refused_start_costs_few_commands(connection: ServerConnection) -> None:
    tasks, limiter = RedisTaskLog(connection, 600.0), RedisLimiter(connection)
    quotas = quotas_of(limiter, tasks, Accounts(Limits(running=RUNNING), Limits()))
    now = SystemClock().now()

    async def start(number: int) -> None:
        await quotas.start(ALICE, f"task_1_{number}")
        await tasks.create(Task.submit(f"task_1_{number}", REQUEST, now, "alice"))

    await asyncio.gather(*(start(number) for number in range(RUNNING)))
    with pytest.raises(OverLimit):  # sends the scripts
        await quotas.start(ALICE, "task_1_warm")
    before = await _commands(connection)
    for number in range(10):
        with pytest.raises(OverLimit):
            await quotas.start(ALICE, f"task_1_more_{number}")
    assert (await _commands(connection) - before) / 10 < 15
