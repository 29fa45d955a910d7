"""A real Redis that evicted the log of a task and kept its record: readers are told or start over,
nothing comes twice, and the log that is begun anew is numbered as any other."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from adapters.live import Hub
from adapters.redis import RedisBroker, RedisTaskLog
from adapters.redis.keys import keys_of
from adapters.redis.server import ServerConnection
from application.errors import LeaseLost
from application.follow_task import FollowTask, NothingLeft
from application.ports import Batch
from domain.answer import Answer
from domain.attempt import Attempt
from domain.events import ContentAdded, StatusChanged, TaskErrored, TaskStatus
from domain.failure import Failure
from domain.position import START, Position
from domain.task import Task
from tests.builders import LEASE, begun, follow_task, to_redis
from tests.doubles.readers import (
    CountingObserver,
    events_of,
    read_to_end,
    started,
)
from tests.waiting import until

FAILURE = Failure("model_error", "It failed.", True)


@dataclass
class Bench:
    connection: ServerConnection
    tasks: RedisTaskLog
    feed: Hub
    follow: FollowTask

    async def evict(self, task_id: str) -> None:
        assert await self.connection.call("DEL", keys_of(task_id).log) == 1

    async def task(self) -> Task:
        """A task with an attempt that was given back: three epochs."""
        attempt = await begun(self.tasks)
        attempt = await self.tasks.append(attempt, [ContentAdded(1, "lost")], LEASE)
        await self.tasks.commit(attempt, attempt.task.requeue(1, "model_error"))
        return await self.tasks.get(attempt.task.id)

    async def claim(self, task_id: str) -> Attempt:
        attempt = await self.tasks.claim(task_id, LEASE, 1)
        assert isinstance(attempt, Attempt)
        return attempt

    async def seen(self, task_id: str, after: Position = START) -> list[Batch]:
        """What a reader gets until its stream ends."""
        return await read_to_end(self.follow, task_id, after)

    async def last(self, task_id: str) -> Position:
        return (await self.tasks.read(task_id, 0, 1_000)).end


@pytest.fixture
async def bench(redis_url: str) -> AsyncIterator[Bench]:
    connection = to_redis(redis_url)
    assert isinstance(connection, ServerConnection)
    feed = Hub(RedisBroker(connection, CountingObserver()))
    tasks = RedisTaskLog(connection, 60.0)
    yield Bench(connection, tasks, feed, follow_task(tasks, feed, ping_interval=0.1))
    await feed.aclose()
    await connection.aclose()


async def _completed(bench: Bench, attempt: Attempt) -> None:
    done = attempt.task.complete(1, answer=Answer(""), finish_reason="stop", model="m", usage=None)
    await bench.tasks.commit(attempt, done)


async def _cancelled(bench: Bench, attempt: Attempt) -> None:
    await bench.tasks.cancel(attempt.task.id, 1)


async def _failed(bench: Bench, attempt: Attempt) -> None:
    await bench.tasks.commit(attempt, attempt.task.fail(1, FAILURE))


@pytest.mark.parametrize("end", [_completed, _cancelled, _failed])
@pytest.mark.parametrize("last_seen", [None, 0, 1, 2, 5, 7])
async def test_a_reader_of_an_ended_task_is_told_and_then_has_all(
    bench: Bench, end: Callable[[Bench, Attempt], Awaitable[None]], last_seen: int | None
) -> None:
    """Whichever event it saw last, even if that was the end: the log can no longer tell."""
    task_id = (await bench.task()).id
    await end(bench, await bench.claim(task_id))
    page = await bench.tasks.read(task_id, 0, 100)
    epochs = [batch.end.epoch for batch in page.batches for _ in batch.events]
    after = START if last_seen is None else Position(epochs[max(0, last_seen - 1)], last_seen)
    await bench.evict(task_id)
    (batch,) = await bench.seen(task_id, after)
    (error,) = batch.events
    assert isinstance(error, TaskErrored)
    assert error.code == "log_lost"
    assert await bench.follow(task_id, batch.end) == NothingLeft()
    assert (await bench.tasks.get(task_id)).status.terminal


async def test_a_reader_that_was_there_when_the_log_was_lost_is_told(bench: Bench) -> None:
    """It missed the end, too: the connection of the feed was lost meanwhile."""
    attempt = await begun(bench.tasks)
    _, sink = await started(bench.follow, attempt.task.id)
    await sink.until(2)
    await bench.connection.call("CLIENT", "KILL", "TYPE", "pubsub")
    await _completed(bench, attempt)
    await bench.evict(attempt.task.id)
    seen = await sink.until_ended()
    assert isinstance(seen[-1], TaskErrored)
    assert seen[-1].code == "log_lost"


async def test_a_running_attempt_is_forsaken_and_readers_start_over(bench: Bench) -> None:
    task_id = (await bench.task()).id
    first = await bench.claim(task_id)
    first = await bench.tasks.append(first, [ContentAdded(1, "one")], LEASE)
    last_seen = await bench.last(task_id)
    _, whole = await started(bench.follow, task_id)
    _, behind = await started(bench.follow, task_id, last_seen)
    await until(lambda: bool(whole.batches) and whole.batches[-1].end == last_seen)
    await bench.evict(task_id)
    _, late = await started(bench.follow, task_id, last_seen)
    with pytest.raises(LeaseLost):
        await bench.tasks.append(first, [ContentAdded(1, "two")], LEASE)
    second = await bench.claim(task_id)
    assert second.number == first.number + 1
    second = await bench.tasks.append(second, [ContentAdded(1, "anew")], LEASE)
    done = second.task.complete(
        1, answer=Answer("anew"), finish_reason="stop", model="m", usage=None
    )
    await bench.tasks.commit(second, done)
    log = await bench.tasks.read(task_id, 0, 1_000)
    assert [batch.first for batch in log.batches] == [1, 4]
    assert log.batches[0].events[:2] == (
        StatusChanged(log.events[0].at, TaskStatus.PENDING, 2, "lease_lapsed"),
        StatusChanged(log.events[1].at, TaskStatus.RUNNING, 3),
    )
    assert log.batches[0].after == START
    assert log.batches[1].after == log.batches[0].end
    assert len(log.events) == log.length == 5
    for after in (START, last_seen, *(Position(log.batches[0].end.epoch, n) for n in (1, 3))):
        offset = 0 if after == last_seen else after.offset
        assert events_of(await bench.seen(task_id, after)) == list(log.events[offset:])
    for sink in (whole, behind, late):
        await sink.until_ended()
        batches = sink.batches
        anew = [n for n, batch in enumerate(batches) if batch.first == 1][-1]
        assert events_of(batches[anew:]) == list(log.events)
        positions = {(b.end.epoch, n) for b in batches for n in range(b.first, b.end.offset + 1)}
        assert len(positions) == len(events_of(batches))


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
    last_seen = await bench.last(task_id) if comes_back else START
    await bench.evict(task_id)
    _, sink = await started(bench.follow, task_id, last_seen)
    attempt = await bench.claim(task_id)
    attempt = await bench.tasks.append(attempt, [ContentAdded(1, "text")], LEASE)
    assert await bench.last(task_id) == Position(
        (await bench.tasks.read(task_id, 0, 1)).end.epoch, 2
    )
    cancelled = await bench.tasks.cancel(task_id, 2)
    assert cancelled.status is TaskStatus.CANCELLED
    log = await bench.tasks.read(task_id, 0, 100)
    assert await sink.until_ended() == list(log.events)
    assert [batch.first for batch in log.batches] == [1, 3]


@pytest.mark.parametrize("running", [False, True])
async def test_a_task_without_a_log_can_be_cancelled(bench: Bench, running: bool) -> None:
    task_id = (await bench.task()).id
    if running:
        await bench.claim(task_id)
    await bench.evict(task_id)
    await bench.tasks.cancel(task_id, 2)
    seen = events_of(await bench.seen(task_id))
    assert [type(event).__name__ for event in seen] == ["StatusChanged", "TaskEnded"]


async def test_a_page_of_a_lost_log_is_at_the_start(bench: Bench) -> None:
    task_id = (await bench.task()).id
    await bench.evict(task_id)
    for after in range(8):
        page = await bench.tasks.read(task_id, after, 10)
        assert (page.length, page.events, page.after) == (0, (), START)
