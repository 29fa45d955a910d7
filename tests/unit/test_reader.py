"""A reader under any interleaving of what is added, missed and read."""

import asyncio
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.live import Hub
from adapters.memory import MemoryTaskLog
from application.follow_task import FollowTask
from application.ports import PAGE_SIZE, Batch
from application.reader import Reader
from domain.answer import Answer
from domain.events import ContentAdded, Event, TaskErrored
from domain.failure import Failure
from domain.position import START, Position
from domain.task import Task
from entrypoints.identity import SystemClock
from tests.builders import REQUEST, begun, claim, follow_task
from tests.doubles.readers import (
    CountingObserver,
    RecordingSink,
    events_of,
    read_to_end,
    started,
)
from tests.waiting import until, within

TASK_ID = "task_1_a"


class Follower:
    """A client that reads in fits, hangs up after so many of them, and comes back with the last id
    that it saw, until the end."""

    def __init__(self, follow: FollowTask, fits: int) -> None:
        self._follow = follow
        self._fits = fits
        self.seen: list[Event] = []
        self.last = START

    async def read(self, fit: asyncio.Semaphore) -> None:
        while True:
            reader = await self._follow(TASK_ID, self.last)
            if not isinstance(reader, Reader):
                return
            sink = RecordingSink()
            reader.start(sink)
            for _ in range(self._fits):
                sink.taking.set()
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                sink.taking.clear()
                await fit.acquire()
            reader.close()
            assert sink.ended.is_set()
            for batch in sink.batches:
                assert batch.first == self.last.offset + 1
                self.seen.extend(batch.events)
                self.last = batch.end


@settings(max_examples=150, deadline=None)
@given(
    additions=st.lists(st.integers(1, 6), max_size=25),
    turns=st.lists(st.integers(0, 3), min_size=25, max_size=25),
    fits=st.lists(st.integers(1, 5), min_size=3, max_size=3),
    waiting=st.integers(1, 4),
    page=st.integers(1, 7),
)
def test_all_readers_see_everything_once_and_in_order(
    additions: list[int], turns: list[int], fits: list[int], waiting: int, page: int
) -> None:
    async def scenario() -> None:
        hub = Hub()
        tasks = MemoryTaskLog(hub, 60.0)
        follow = follow_task(tasks, hub, ping_interval=0.001, page=page, waiting_batches=waiting)
        await tasks.create(Task.submit(TASK_ID, REQUEST, 1))
        attempt = await claim(tasks, TASK_ID)
        followers = [Follower(follow, each) for each in fits]
        semaphores = [asyncio.Semaphore(0) for _ in followers]
        reading: list[asyncio.Task[Any]] = [
            asyncio.create_task(follower.read(fit))
            for follower, fit in zip(followers, semaphores, strict=True)
        ]
        number = 0
        for size, turn in zip(additions, turns, strict=False):
            events = [ContentAdded(1, str(number + each)) for each in range(size)]
            number += size
            attempt = await tasks.append(attempt, events, 30.0)
            if turn:
                semaphores[turn - 1].release()
                await asyncio.sleep(0)
        text = "".join(map(str, range(number)))
        done = attempt.task.complete(
            2, answer=Answer(text), finish_reason="stop", model="m", usage=None
        )
        await tasks.commit(attempt, done)
        for fit in semaphores:
            for _ in range(1_000):
                fit.release()
        async with asyncio.timeout(within(20)):
            await asyncio.gather(*reading)
        log = list((await tasks.read(TASK_ID, 0, 10_000)).events)
        for follower in followers:
            assert follower.seen == log

    asyncio.run(scenario())


async def test_a_live_reader_needs_no_task_of_its_own() -> None:
    hub = Hub()
    tasks = MemoryTaskLog(hub, 60.0)
    attempt = await begun(tasks)
    before = len(asyncio.all_tasks())
    readers = [await started(follow_task(tasks, hub), attempt.task.id) for _ in range(20)]
    for _, sink in readers:
        await sink.until(2)
    await until(lambda: len(asyncio.all_tasks()) == before)
    await tasks.append(attempt, [ContentAdded(1, "live")], 30.0)
    assert len(asyncio.all_tasks()) == before
    for reader, sink in readers:
        assert sink.events[-1] == ContentAdded(1, "live")
        reader.close()


async def test_a_log_that_was_created_again_is_read_from_its_start() -> None:
    now = 0.0
    hub = Hub()
    tasks = MemoryTaskLog(hub, ttl=10.0, elapsed=lambda: now)
    await tasks.create(Task.submit(TASK_ID, REQUEST, 1))
    reader, sink = await started(follow_task(tasks, hub), TASK_ID)
    await sink.until(1)
    now = 11.0  # the record expires, and a delivery creates it again
    await tasks.create(Task.submit(TASK_ID, REQUEST, 1))
    await claim(tasks, TASK_ID)
    await sink.until(3)
    first, *again = sink.batches
    assert again[0].end.epoch != first.end.epoch
    assert again[0].first == 1
    assert len(events_of(again)) == 2
    reader.close()


async def test_a_reader_of_an_orphaned_task_is_told() -> None:
    """It was there before, and no event comes: no stream stays open for ever."""
    hub = Hub()
    tasks = MemoryTaskLog(hub, 60.0, orphan_timeout=0.2)
    follow = follow_task(tasks, hub, ping_interval=0.05, orphan_timeout=0.2)
    await tasks.create(Task.submit(TASK_ID, REQUEST, SystemClock().now()))
    *_, last = events_of(await read_to_end(follow, TASK_ID))
    assert isinstance(last, TaskErrored)
    assert last.code == "forgotten"


async def test_a_reader_pings_while_nothing_comes_and_only_then() -> None:
    hub = Hub()
    tasks = MemoryTaskLog(hub, 60.0)
    attempt = await begun(tasks)
    reader, sink = await started(follow_task(tasks, hub, ping_interval=0.4), attempt.task.id)
    async with asyncio.timeout(within(10)):
        while sink.pings < 2:
            await asyncio.sleep(0.01)
    pings = sink.pings
    loop = asyncio.get_running_loop()
    busy_until = loop.time() + 0.8
    while loop.time() < busy_until:
        attempt = await tasks.append(attempt, [ContentAdded(1, "x")], 30.0)
        await asyncio.sleep(0.01)
    assert sink.pings <= pings + 1
    reader.close()
    assert sink.ended.is_set()


async def test_a_slow_reader_is_sent_to_the_log_and_gets_all_in_bounded_pieces() -> None:
    hub, observer = Hub(), CountingObserver()
    tasks = MemoryTaskLog(hub, 60.0)
    attempt = await begun(tasks)
    follow = follow_task(tasks, hub, observer=observer)
    _, sink = await started(follow, attempt.task.id)
    await sink.until(2)
    sink.taking.clear()
    for _ in range(40):
        attempt = await tasks.append(attempt, [ContentAdded(1, "x" * 50_000)], 30.0)
    await tasks.commit(attempt, attempt.task.fail(2, Failure("f", "f", True)))
    await until(lambda: observer.misses == 1)
    sink.taking.set()
    await sink.until_ended()
    sizes = [batch.size for batch in sink.batches]
    assert sum(sizes) == 40 * 50_000
    assert max(sizes) <= PAGE_SIZE + 50_000


async def test_a_reader_that_was_closed_is_written_nothing_more() -> None:
    hub = Hub()
    tasks = MemoryTaskLog(hub, 60.0)
    attempt = await begun(tasks)
    reader, sink = await started(follow_task(tasks, hub), attempt.task.id)
    await sink.until(2)
    reader.close()
    await tasks.append(attempt, [ContentAdded(1, "x")], 30.0)
    reader.offer((await tasks.read(attempt.task.id, 2, 1)).batches[0])  # as from a hub in mid-turn
    reader.missed()
    reader.close()
    await asyncio.sleep(0)
    assert len(sink.events) == 2


async def test_a_sink_is_told_whether_its_end_is_that_of_the_log() -> None:
    """A stream may be held open behind the last event, and nowhere else."""
    hub = Hub()
    tasks = MemoryTaskLog(hub, 60.0)
    attempt = await begun(tasks)
    task_id, follow = attempt.task.id, follow_task(tasks, hub)
    gone, left_out = await started(follow, task_id)
    _, live = await started(follow, task_id)
    await left_out.until(2)
    await live.until(2)
    gone.close()
    await tasks.commit(attempt, attempt.task.fail(2, Failure("f", "f", True)))
    await live.until_ended()
    _, late = await started(follow, task_id)
    await late.until_ended()
    unfinished = (await begun(tasks)).task.id
    _, stopped = await started(follow, unfinished)
    await stopped.until(2)
    hub.close()
    await stopped.until_ended()
    sinks = (left_out, live, late, stopped)
    assert [sink.complete for sink in sinks] == [False, True, True, False]


async def test_a_position_beyond_the_log_starts_over() -> None:
    hub = Hub()
    tasks = MemoryTaskLog(hub, 60.0)
    attempt = await begun(tasks)
    epoch = (await tasks.read(attempt.task.id, 0, 1)).batches[0].end.epoch
    for position in (Position(epoch, 9), Position("other", 1), Position("other", 0)):
        reader, sink = await started(follow_task(tasks, hub), attempt.task.id, position)
        await sink.until(2)
        assert sink.batches[0].first == 1
        reader.close()


async def test_a_reader_that_comes_when_the_feed_is_closed_is_ended_and_written_nothing() -> None:
    hub = Hub()
    tasks = MemoryTaskLog(hub, 60.0)
    attempt = await begun(tasks)
    failed: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.append(context))
    hub.close()
    assert await read_to_end(follow_task(tasks, hub), attempt.task.id) == []
    await asyncio.sleep(0)
    assert failed == []


class LostSink(RecordingSink):
    """A connection that is closing: it takes nothing, and nothing waits for it."""

    def write_all(self, batches: Sequence[Batch]) -> bool:
        return False


async def test_a_reader_whose_sink_takes_nothing_lets_others_run() -> None:
    """The store of the memory never waits: the loop that learns of the lost connection must run."""
    hub = Hub()
    tasks = MemoryTaskLog(hub, 60.0)
    attempt = await begun(tasks)
    reader, sink = await follow_task(tasks, hub)(attempt.task.id), LostSink()
    assert isinstance(reader, Reader)
    reader.start(sink)
    for _ in range(20):
        await asyncio.sleep(0)
    reader.close()
    await asyncio.sleep(0)
    assert sink.ended.is_set()
    assert len(asyncio.all_tasks()) == 1
