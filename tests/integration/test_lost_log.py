"""A real Redis that evicted the log of a task and kept its record: readers are told or start over,
nothing comes twice, and the log that is begun anew is numbered as any other."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

import pytest

from adapters.redis import RedisEventFeed, RedisTaskLog
from adapters.redis.keys import keys_of
from adapters.redis.server import ServerConnection
from application.errors import LeaseLost
from application.follow_task import FollowTask
from application.ports import Batch
from domain.events import ContentAdded, Event, EventId, StatusChanged, TaskErrored, TaskStatus
from domain.task import Attempt, Failure, Task
from tests.builders import LEASE, begun, follow_task, to_redis

FAILURE = Failure("model_error", "It failed.", True)


@dataclass
class Bench:
    connection: ServerConnection
    tasks: RedisTaskLog
    feed: RedisEventFeed
    follow: FollowTask

    async def evict(self, task_id: str) -> None:
        assert await self.connection.call("DEL", keys_of(task_id).log) == 1

    async def task(self) -> Task:
        """A task with an attempt that was given back: three epochs."""
        attempt = await begun(self.tasks)
        attempt = await self.tasks.append(attempt, [ContentAdded(1, "lost")], LEASE)
        await self.tasks.settle(attempt, attempt.task.give_back(1, "model_error"))
        return await self.tasks.get(attempt.task.id)

    async def claim(self, task_id: str) -> Attempt:
        attempt = await self.tasks.claim(task_id, LEASE, 1)
        assert isinstance(attempt, Attempt)
        return attempt

    async def seen(
        self, task_id: str, after: EventId | None = None, seen: list[Batch] | None = None
    ) -> list[Batch]:
        """What a reader gets until its stream ends."""
        seen = [] if seen is None else seen
        following = await self.follow(task_id, after)
        assert following is not None
        async with asyncio.timeout(10), aclosing(following.batches()) as batches:
            async for ready in batches:
                seen.extend(ready)
        return seen

    async def last(self, task_id: str) -> EventId:
        page = await self.tasks.read(task_id, 0, 1_000)
        return EventId(page.batches[-1].epoch, page.batches[-1].last)


@pytest.fixture
async def bench(redis_url: str) -> AsyncIterator[Bench]:
    connection = to_redis(redis_url)
    assert isinstance(connection, ServerConnection)
    feed, tasks = RedisEventFeed(connection), RedisTaskLog(connection, 60.0)
    yield Bench(connection, tasks, feed, follow_task(tasks, feed, silence=0.1))
    await feed.aclose()
    await connection.aclose()


async def _completed(bench: Bench, attempt: Attempt) -> None:
    done = attempt.task.complete(1, text="", finish_reason="stop", model="m", usage=None)
    await bench.tasks.settle(attempt, done)


async def _cancelled(bench: Bench, attempt: Attempt) -> None:
    await bench.tasks.cancel(attempt.task.id, 1)


async def _failed(bench: Bench, attempt: Attempt) -> None:
    await bench.tasks.settle(attempt, attempt.task.fail(1, FAILURE))


@pytest.mark.parametrize("end", [_completed, _cancelled, _failed])
@pytest.mark.parametrize("last_seen", [None, 0, 1, 2, 5, 7])
async def test_a_reader_of_an_ended_task_is_told_and_then_has_all(
    bench: Bench, end: Callable[[Bench, Attempt], Awaitable[None]], last_seen: int | None
) -> None:
    """Whichever event it saw last, even if that was the end: the log can no longer tell."""
    task_id = (await bench.task()).id
    await end(bench, await bench.claim(task_id))
    page = await bench.tasks.read(task_id, 0, 100)
    epochs = [batch.epoch for batch in page.batches for _ in batch.events]
    after = None if last_seen is None else EventId(epochs[max(0, last_seen - 1)], last_seen)
    await bench.evict(task_id)
    (batch,) = await bench.seen(task_id, after)
    (error,) = batch.events
    assert isinstance(error, TaskErrored)
    assert error.code == "log_lost"
    assert await bench.follow(task_id, EventId(batch.epoch, batch.first)) is None
    assert (await bench.tasks.get(task_id)).status.terminal


async def test_a_reader_that_was_there_when_the_log_was_lost_is_told(bench: Bench) -> None:
    """It missed the end, too: the connection of the feed was lost meanwhile."""
    attempt = await begun(bench.tasks)
    following = await bench.follow(attempt.task.id, None)
    assert following is not None
    async with asyncio.timeout(10), aclosing(following.batches()) as batches:
        seen: list[Event] = []
        while not any(batch for batch in await anext(batches)):
            pass
        await bench.connection.call("CLIENT", "KILL", "TYPE", "pubsub")
        await _completed(bench, attempt)
        await bench.evict(attempt.task.id)
        async for ready in batches:
            seen += [event for batch in ready for event in batch.events]
    assert isinstance(seen[-1], TaskErrored)
    assert seen[-1].code == "log_lost"


async def test_a_running_attempt_is_forsaken_and_readers_start_over(bench: Bench) -> None:
    task_id = (await bench.task()).id
    first = await bench.claim(task_id)
    first = await bench.tasks.append(first, [ContentAdded(1, "one")], LEASE)
    last_seen = await bench.last(task_id)
    whole: list[Batch] = []
    readers = [
        asyncio.create_task(bench.seen(task_id, None, whole)),
        asyncio.create_task(bench.seen(task_id, last_seen)),
    ]
    async with asyncio.timeout(5):
        while not (whole and whole[-1].last == last_seen.sequence):
            await asyncio.sleep(0.01)
    await bench.evict(task_id)
    late = asyncio.create_task(bench.seen(task_id, last_seen))
    with pytest.raises(LeaseLost):
        await bench.tasks.append(first, [ContentAdded(1, "two")], LEASE)
    second = await bench.claim(task_id)
    assert second.number == first.number + 1
    second = await bench.tasks.append(second, [ContentAdded(1, "anew")], LEASE)
    done = second.task.complete(1, text="anew", finish_reason="stop", model="m", usage=None)
    await bench.tasks.settle(second, done)
    log = await bench.tasks.read(task_id, 0, 1_000)
    assert [batch.first for batch in log.batches] == [1, 4]
    assert log.batches[0].events[:2] == (
        StatusChanged(log.events[0].at, TaskStatus.PENDING, 2, "lease_lapsed"),
        StatusChanged(log.events[1].at, TaskStatus.RUNNING, 3),
    )
    assert log.batches[0].before is None
    assert log.batches[1].before == log.batches[0].epoch
    assert len(log.events) == log.length == 5
    for after in (None, last_seen, *(EventId(log.batches[0].epoch, n) for n in (1, 3))):
        number = after.sequence if after is not None and after != last_seen else 0
        seen = [event for batch in await bench.seen(task_id, after) for event in batch.events]
        assert seen == list(log.events[number:])
    for reader in (*readers, late):
        batches = await reader
        anew = [n for n, batch in enumerate(batches) if batch.first == 1][-1]
        assert [event for batch in batches[anew:] for event in batch.events] == list(log.events)
        assert len({(b.epoch, n) for b in batches for n in range(b.first, b.last + 1)}) == sum(
            len(batch.events) for batch in batches
        )


async def test_a_silent_attempt_learns_of_it_when_it_renews_its_lease(bench: Bench) -> None:
    attempt = await begun(bench.tasks)
    await bench.tasks.renew(attempt, LEASE)
    await bench.evict(attempt.task.id)
    with pytest.raises(LeaseLost):
        await bench.tasks.renew(attempt, LEASE)
    assert (await bench.claim(attempt.task.id)).number == 2


@pytest.mark.parametrize("comes_back", [False, True])
async def test_readers_of_a_waiting_task_get_what_comes(bench: Bench, comes_back: bool) -> None:
    task_id = (await bench.task()).id
    last_seen = await bench.last(task_id) if comes_back else None
    await bench.evict(task_id)
    reading = asyncio.create_task(bench.seen(task_id, last_seen))
    attempt = await bench.claim(task_id)
    attempt = await bench.tasks.append(attempt, [ContentAdded(1, "text")], LEASE)
    assert await bench.last(task_id) == EventId(
        (await bench.tasks.read(task_id, 0, 1)).batches[0].epoch, 2
    )
    cancelled = await bench.tasks.cancel(task_id, 2)
    assert cancelled.status is TaskStatus.CANCELLED
    log = await bench.tasks.read(task_id, 0, 100)
    assert [event for batch in await reading for event in batch.events] == list(log.events)
    assert [batch.first for batch in log.batches] == [1, 3]


@pytest.mark.parametrize("running", [False, True])
async def test_a_task_without_a_log_can_be_cancelled(bench: Bench, running: bool) -> None:
    task_id = (await bench.task()).id
    if running:
        await bench.claim(task_id)
    await bench.evict(task_id)
    await bench.tasks.cancel(task_id, 2)
    assert [
        type(event).__name__ for batch in await bench.seen(task_id) for event in batch.events
    ] == [
        "StatusChanged",
        "TaskEnded",
    ]


async def test_a_page_of_a_lost_log_is_of_no_epoch(bench: Bench) -> None:
    task_id = (await bench.task()).id
    await bench.evict(task_id)
    for after in range(8):
        page = await bench.tasks.read(task_id, after, 10)
        assert (page.length, page.events, page.before) == (0, (), None)
