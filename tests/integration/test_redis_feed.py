"""The hub on a real Redis whose connections are cut: nobody misses or repeats an event."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import structlog
from redis.asyncio import Redis

from adapters.redis import RedisEventFeed, RedisIdempotencyKeys, RedisTaskLog
from adapters.redis.keys import keys_of
from adapters.redis.server import ServerConnection
from application.errors import StoreUnavailable
from application.ports import Gap
from domain.events import ContentAdded, Event
from domain.task import Task
from tests.builders import LEASE, REQUEST, begun, follow_task, to_redis


@dataclass
class Bench:
    client: Redis
    tasks: RedisTaskLog
    feed: RedisEventFeed

    async def listening(self) -> int:
        """Pub/sub connections that the server counts."""
        return len(await self.client.client_list(_type="pubsub"))

    async def cut(self) -> None:
        """Cut the hub's connection, as a network would."""
        killed: Any = self.client.client_kill_filter(_type="pubsub")
        await killed


@pytest.fixture
async def bench(redis_url: str) -> AsyncIterator[Bench]:
    connection = to_redis(redis_url)
    assert isinstance(connection, ServerConnection)
    feed = RedisEventFeed(connection)
    yield Bench(connection.client, RedisTaskLog(connection, 60.0), feed)
    await feed.aclose()
    await connection.aclose()


async def test_one_connection_for_any_number_of_subscribers(bench: Bench) -> None:
    attempts = [await begun(bench.tasks) for _ in range(5)]
    opened = [bench.feed.subscribe(each.task.id) for each in attempts for _ in range(4)]
    lives = [await each.__aenter__() for each in opened]
    assert await bench.listening() == 1
    for attempt in attempts:
        await bench.tasks.append(attempt, [ContentAdded(1, "x")], LEASE)
    for live in lives:
        assert await live.receive(5.0)
    channels = await bench.client.pubsub_channels("longtask:*")
    assert len(channels) == 5
    for each in opened:
        await each.__aexit__(None, None, None)
    async with asyncio.timeout(5):
        while await bench.client.pubsub_channels("longtask:*"):
            await asyncio.sleep(0.01)


async def test_a_lost_connection_is_a_gap_and_delivery_goes_on(bench: Bench) -> None:
    attempt = await begun(bench.tasks)
    async with bench.feed.subscribe(attempt.task.id) as live:
        await bench.cut()
        assert await live.receive(10.0) == Gap()
        await bench.tasks.append(attempt, [ContentAdded(1, "after")], LEASE)
        received = await live.receive(5.0)
        assert received
        assert not isinstance(received, Gap)
        assert received[0].events == (ContentAdded(1, "after"),)


async def test_log_lines_of_the_hub_are_those_of_no_request(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    attempt = await begun(bench.tasks)
    with structlog.contextvars.bound_contextvars(request_id="the-first-one"):
        async with bench.feed.subscribe(attempt.task.id) as live:
            await bench.cut()
            assert await live.receive(5.0) == Gap()
    lost = [line.getMessage() for line in caplog.records if "feed lost" in line.getMessage()]
    assert lost
    assert "the-first-one" not in "".join(lost)


async def test_a_server_that_falls_silent_is_noticed(bench: Bench) -> None:
    attempt = await begun(bench.tasks)
    async with bench.feed.subscribe(attempt.task.id) as live:
        await bench.client.client_pause(4_000)  # it reads nothing and answers nothing
        assert await live.receive(15.0) == Gap()
        await bench.tasks.append(attempt, [ContentAdded(1, "after")], LEASE)
        assert await live.receive(5.0)


async def test_a_message_that_is_not_ours_does_not_deafen_the_hub(bench: Bench) -> None:
    attempt = await begun(bench.tasks)
    async with bench.feed.subscribe(attempt.task.id) as live:
        await bench.client.publish(keys_of(attempt.task.id).channel, "not one of ours")
        assert await live.receive(10.0) == Gap()
        await bench.tasks.append(attempt, [ContentAdded(1, "after")], LEASE)
        assert await live.receive(5.0)


async def test_one_who_comes_and_goes_in_haste_is_heard(bench: Bench) -> None:
    attempt = await begun(bench.tasks)
    task_id = attempt.task.id

    async def come_and_go() -> None:
        for _ in range(30):
            async with bench.feed.subscribe(task_id):
                await asyncio.sleep(0)

    await asyncio.gather(*[come_and_go() for _ in range(5)])
    async with bench.feed.subscribe(task_id) as live:
        while await live.receive(0.2) is not None:
            pass  # what the haste left behind: gaps at most
        await bench.tasks.append(attempt, [ContentAdded(1, "heard")], LEASE)
        assert await live.receive(5.0)


async def test_followers_see_everything_once_through_many_cuts(bench: Bench) -> None:
    attempt = await begun(bench.tasks)
    task_id = attempt.task.id
    follow = follow_task(bench.tasks, bench.feed, page=50)
    seen: list[list[Event]] = [[], [], []]

    async def read(events: list[Event]) -> None:
        following = await follow(task_id, None)
        assert following is not None
        number = 1
        async for ready in following.batches():
            for batch in ready:
                assert batch.first == number
                events.extend(batch.events)
                number = batch.last + 1

    async def cut_again_and_again() -> None:
        while True:
            await asyncio.sleep(0.1)
            await bench.cut()

    readers = [asyncio.create_task(read(events)) for events in seen]
    cutting = asyncio.create_task(cut_again_and_again())
    text = ""
    for number in range(600):
        event = ContentAdded(1, f"{number} ")
        attempt = await bench.tasks.append(attempt, [event], LEASE)
        text += f"{number} "
        await asyncio.sleep(0.001)
    done = attempt.task.complete(2, text=text, finish_reason="stop", model="m", usage=None)
    await bench.tasks.settle(attempt, done)
    async with asyncio.timeout(20):
        await asyncio.gather(*readers)
    cutting.cancel()
    log = list((await bench.tasks.read(task_id, 0, 10_000)).events)
    assert seen == [log, log, log]


async def test_a_server_that_forgot_the_scripts_is_told_them_again(bench: Bench) -> None:
    attempt = await begun(bench.tasks)
    await bench.client.script_flush()
    await bench.tasks.append(attempt, [ContentAdded(1, "x")], LEASE)
    assert (await bench.tasks.read(attempt.task.id, 0, 10)).length == 3


async def test_a_store_that_is_not_there_is_unavailable() -> None:
    connection = to_redis("redis://127.0.0.1:1/0")
    tasks, feed = RedisTaskLog(connection, 60.0), RedisEventFeed(connection)
    for call in (
        tasks.get("task_1_a"),
        tasks.create(Task.submit("task_1_a", REQUEST, 1)),
        tasks.read("task_1_a", 0, 1),
        RedisIdempotencyKeys(connection).bind("k", "f", "t"),
        tasks.check(),
    ):
        with pytest.raises(StoreUnavailable):
            await call
    await feed.aclose()
    await connection.aclose()
