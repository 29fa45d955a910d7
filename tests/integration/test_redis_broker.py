"""The hub on a real Redis whose connections are cut: nobody misses or repeats an event."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import structlog
from redis.asyncio import Redis

from adapters.live import Hub
from adapters.redis import RedisBroker, RedisIdempotencyKeys, RedisTaskLog
from adapters.redis.connection import PROBE
from adapters.redis.keys import keys_of, owner_keys
from adapters.redis.server import ServerConnection
from application.errors import StoreUnavailable
from domain.answer import Answer
from domain.events import ContentAdded, Event
from domain.task import Task
from tests.builders import LEASE, REQUEST, begun, follow_task, to_redis
from tests.doubles.readers import (
    CountingObserver,
    RecordingWatcher,
    events_of,
    read_to_end,
    started,
    subscribed,
)
from tests.waiting import within


@dataclass
class Bench:
    client: Redis
    tasks: RedisTaskLog
    feed: Hub
    observer: CountingObserver

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
    observer = CountingObserver()
    feed = Hub(RedisBroker(connection, observer))
    yield Bench(connection.client, RedisTaskLog(connection, 60.0), feed, observer)
    await feed.aclose()
    await connection.aclose()


async def test_one_connection_for_any_number_of_subscribers(bench: Bench) -> None:
    attempts = [await begun(bench.tasks) for _ in range(5)]
    opened = [subscribed(bench.feed, each.task.id) for each in attempts for _ in range(4)]
    subscribers = [await each.__aenter__() for each in opened]
    assert await bench.listening() == 1
    for attempt in attempts:
        await bench.tasks.append(attempt, [ContentAdded(1, "x")], LEASE)
    for subscriber in subscribers:
        await subscriber.receive(1)
    channels = await bench.client.pubsub_channels("longtask:*")
    assert len(channels) == 5
    for each in opened:
        await each.__aexit__(None, None, None)
    async with asyncio.timeout(within(5)):
        while await bench.client.pubsub_channels("longtask:*"):
            await asyncio.sleep(0.01)


async def test_delivery_goes_on_after_a_lost_connection_which_is_told(bench: Bench) -> None:
    attempt = await begun(bench.tasks)
    async with subscribed(bench.feed, attempt.task.id) as subscriber:
        await bench.cut()
        await subscriber.miss()
        await bench.tasks.append(attempt, [ContentAdded(1, "after")], LEASE)
        assert events_of(await subscriber.receive(1)) == [ContentAdded(1, "after")]


async def test_a_probe_of_an_instance_that_uses_rest_is_neither_an_event_nor_a_notice(
    bench: Bench,
) -> None:
    attempt, watcher = await begun(bench.tasks), RecordingWatcher()
    task = attempt.task
    await bench.feed.watch(task.owner, watcher)
    async with subscribed(bench.feed, task.id) as subscriber:
        for channel in (keys_of(task.id).channel, owner_keys(task.owner).channel):
            assert await bench.client.publish(channel, PROBE) == 1
        await bench.tasks.append(attempt, [ContentAdded(1, "x")], LEASE)
        await subscriber.receive(1)
        assert not subscriber.is_closed
        await bench.tasks.cancel(task.id, 1)
        assert set(await watcher.notices(1)) == {task.id}


async def test_log_lines_of_the_hub_are_those_of_no_request(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    attempt = await begun(bench.tasks)
    with structlog.contextvars.bound_contextvars(request_id="the-first-one"):
        async with subscribed(bench.feed, attempt.task.id) as subscriber:
            await bench.cut()
            await subscriber.miss()
    lost = [
        line.getMessage()
        for line in caplog.records
        if "subscribing connection lost" in line.getMessage()
    ]
    assert lost
    assert "the-first-one" not in "".join(lost)


@pytest.mark.soak
async def test_a_server_that_falls_silent_is_noticed(bench: Bench) -> None:
    attempt = await begun(bench.tasks)
    async with subscribed(bench.feed, attempt.task.id) as subscriber:
        await bench.client.client_pause(int(within(4.0) * 1000))  # it reads and sends nothing
        await subscriber.miss()
        await bench.tasks.append(attempt, [ContentAdded(1, "after")], LEASE)
        await subscriber.receive(1)


@pytest.mark.parametrize(
    "message",
    [
        b"not one of ours",
        b'1 - e 3 [["z",1,"a kind of tomorrow"]]',
        b'99 - e 3 [["c",1,"x"]]',
        b"1 - e 3 []",
    ],
)
async def test_a_message_that_cannot_be_read_ends_the_readers_of_its_task_alone(
    bench: Bench, message: bytes
) -> None:
    attempt, other = await begun(bench.tasks), await begun(bench.tasks)
    follow = follow_task(bench.tasks, bench.feed)
    _, sink = await started(follow, attempt.task.id)
    await sink.until(2)
    async with subscribed(bench.feed, other.task.id) as subscriber:
        await bench.client.publish(keys_of(attempt.task.id).channel, message)
        assert len(await sink.until_ended()) == 2
        await bench.tasks.append(other, [ContentAdded(1, "after")], LEASE)
        assert events_of(await subscriber.receive(1)) == [ContentAdded(1, "after")]
        assert subscriber.misses == 0
    assert bench.observer.reconnects == 0


async def test_an_unknown_event_in_the_log_ends_its_readers_alone(bench: Bench) -> None:
    attempt, other = await begun(bench.tasks), await begun(bench.tasks)
    keys = keys_of(attempt.task.id)
    pushed: Any = bench.client.rpush(keys.log, b'["z",1,"a kind of tomorrow"]')
    await pushed
    follow = follow_task(bench.tasks, bench.feed)
    assert events_of(await read_to_end(follow, attempt.task.id)) == []
    reader, sink = await started(follow, other.task.id)
    await sink.until(2)
    reader.close()


async def test_readers_in_haste_do_not_close_the_channel_of_another(
    bench: Bench,
) -> None:
    attempt = await begun(bench.tasks)
    task_id = attempt.task.id

    async def come_and_go() -> None:
        for _ in range(30):
            async with subscribed(bench.feed, task_id):
                await asyncio.sleep(0)

    await asyncio.gather(*[come_and_go() for _ in range(5)])
    async with subscribed(bench.feed, task_id) as subscriber:
        await bench.tasks.append(attempt, [ContentAdded(1, "heard")], LEASE)
        await subscriber.receive(1)


async def test_readers_see_everything_once_while_the_connection_is_cut(
    bench: Bench,
) -> None:
    attempt = await begun(bench.tasks)
    task_id = attempt.task.id
    follow = follow_task(bench.tasks, bench.feed, page=50)
    seen: list[list[Event]] = [[], [], []]

    async def read(events: list[Event]) -> None:
        for batch in await read_to_end(follow, task_id, timeout=60):
            assert batch.first == len(events) + 1
            events.extend(batch.events)

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
    done = attempt.task.complete(
        2, answer=Answer(text), finish_reason="stop", model="m", usage=None
    )
    await bench.tasks.commit(attempt, done)
    async with asyncio.timeout(within(20)):
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
    tasks, feed = RedisTaskLog(connection, 60.0), Hub(RedisBroker(connection, CountingObserver()))
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
