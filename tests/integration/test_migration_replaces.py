"""`longtask migrate` where Redis has some of the tasks already: messages that were left in the
queue made them again."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.database import Database, Transaction
from adapters.live import Hub
from adapters.redis import Connection, RedisBroker, RedisTaskLog
from adapters.redis.adoption import COMMAND_EVENTS
from adapters.redis.keys import keys_of
from adapters.sqlite import AwakeClock, SqliteTaskLog
from application.errors import LeaseLost
from domain.events import ContentAdded
from tests.builders import LEASE, NOW, claim, follow_task, submit, to_redis
from tests.commands import invoke
from tests.doubles.readers import CountingObserver, started
from tests.integration.moved_tasks import assert_the_same, completed, failed
from tests.integration.test_migration import TTL, opened
from tests.redis_server import LocalRedis


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with opened(tmp_path) as database:
        yield database


@pytest.fixture
async def redis(own_redis: LocalRedis) -> AsyncIterator[Connection]:
    connection = to_redis(own_redis.url)
    yield connection
    await connection.aclose()


async def test_an_unfinished_copy_is_replaced_and_its_readers_begin_anew(
    database: Database, tmp_path: Path, own_redis: LocalRedis, redis: Connection
) -> None:
    ours = SqliteTaskLog(database, Hub(), TTL, clock=AwakeClock())
    theirs = RedisTaskLog(redis, TTL)
    hub = Hub(RedisBroker(redis, CountingObserver()))
    short = await completed(ours, [ContentAdded(NOW, "whole")])
    long = await completed(ours, [ContentAdded(NOW, "x")] * (COMMAND_EVENTS + 5))
    elsewhere = await failed(ours)
    for task_id in (short, long, elsewhere):
        await submit(theirs, task_id=task_id)
    await theirs.cancel(elsewhere, NOW)
    lost = await claim(theirs, short)
    lost = await theirs.append(lost, [ContentAdded(NOW, "wh")], LEASE)
    try:
        _, sink = await started(follow_task(theirs, hub), short)
        await sink.until(3)
        await database.aclose()
        moving = {"LONGTASK_DATA": "longtask.db", "REDIS_URL": own_redis.url}

        first = await asyncio.to_thread(invoke, tmp_path, "migrate", **moving)
        assert first.exit_code == 1
        assert first.stdout.startswith("1 task copied, 1 there already\n")
        assert f"not copied, since it is running in Redis: {short}\n" in first.stderr
        assert "set REDIS_URL" not in first.output
        await theirs.renew(lost, LEASE)  # the attempt goes on

        await redis.call("DEL", keys_of(short).lease)  # as if it had lapsed
        again = await asyncio.to_thread(invoke, tmp_path, "migrate", **moving)
        assert (again.exit_code, again.stderr) == (0, "")
        assert again.stdout.startswith("1 task copied, 2 there already\n")
        with pytest.raises(LeaseLost):
            await theirs.append(lost, [ContentAdded(NOW, "at")], LEASE)
        assert (await theirs.get(elsewhere)).status.value == "cancelled"
        async with opened(tmp_path) as reopened:
            ours = SqliteTaskLog(reopened, Hub(), TTL, clock=AwakeClock())
            for task_id in (short, long):
                await assert_the_same(ours, theirs, task_id)
                assert not await redis.call("EXISTS", keys_of(task_id).heartbeat)
        page = await theirs.read(short, 0, 100)
        assert (await sink.until_ended())[3:] == list(page.events)
        assert sink.complete
    finally:
        await hub.aclose()


async def test_a_record_that_cannot_be_read_is_named_and_stays_behind(
    database: Database, tmp_path: Path, own_redis: LocalRedis, redis: Connection
) -> None:
    ours = SqliteTaskLog(database, Hub(), TTL, clock=AwakeClock())
    spoilt, other = await failed(ours), await failed(ours)

    def spoil(transaction: Transaction) -> None:
        transaction.execute("UPDATE tasks SET v = 9 WHERE id = ?", (spoilt,))

    await database.write(spoil)
    await database.aclose()
    moving = {"LONGTASK_DATA": "longtask.db", "REDIS_URL": own_redis.url}
    moved = await asyncio.to_thread(invoke, tmp_path, "migrate", **moving)
    assert moved.stdout.startswith("1 task copied\n")
    assert moved.stderr == f"not copied, since its record or log cannot be read: {spoilt}\n"
    assert (await RedisTaskLog(redis, TTL).get(other)).status.value == "failed"
