"""FollowTask under any interleaving of what is added, lost and read."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.memory import MemoryTaskLog
from application.errors import TooManyStreams
from application.fan_out import FanOut
from application.follow_task import Following, FollowTask
from application.ports import PAGE_SIZE, Batch
from application.settle_task import SettleForgotten
from domain.events import ContentAdded, Event, EventId, TaskErrored
from domain.task import Attempt, Failure, Task
from entrypoints.identity import SystemClock
from tests.builders import REQUEST, follow_task

TASK_ID = "task_1_a"


class Follower:
    """One who hangs up after `appetite` reads and comes back with the last id seen, for ever."""

    def __init__(self, follow: FollowTask, appetite: int) -> None:
        self._follow = follow
        self._appetite = appetite
        self._offered = 0
        self.seen: list[Event] = []
        self.last: EventId | None = None
        self.ended = False

    async def read(self, hunger: asyncio.Semaphore) -> None:
        while not self.ended:
            following = await self._follow(TASK_ID, self.last)
            if following is None:
                self.ended = True
                return
            await self._connection(following, hunger)

    async def _connection(self, following: Following, hunger: asyncio.Semaphore) -> None:
        left = self._appetite
        async with aclosing(following.batches(self._at_once)) as batches:
            async for ready in batches:
                for batch in ready:
                    self._take(batch)
                await hunger.acquire()
                left -= 1
                if left == 0 or self.ended:
                    return

    def _at_once(self, batch: Batch) -> bool:
        """Every other one, if this one does that at all."""
        self._offered += 1
        if self._offered % 2 == self._appetite % 3:
            return False
        self._take(batch)
        return True

    def _take(self, batch: Batch) -> None:
        assert batch.first == (self.last.sequence if self.last else 0) + 1
        self.seen.extend(batch.events)
        self.last = EventId(batch.epoch, batch.last)
        self.ended = batch.closes


@settings(max_examples=150, deadline=None)
@given(
    additions=st.lists(st.integers(1, 6), max_size=25),
    turns=st.lists(st.integers(0, 3), min_size=25, max_size=25),
    appetites=st.lists(st.integers(1, 5), min_size=3, max_size=3),
    queue_limit=st.integers(1, 4),
    page=st.integers(1, 7),
)
def test_everyone_sees_everything_once_and_in_order(
    additions: list[int], turns: list[int], appetites: list[int], queue_limit: int, page: int
) -> None:
    async def scenario() -> None:
        feed = FanOut(queue_limit)
        tasks = MemoryTaskLog(feed, 60.0)
        follow = follow_task(tasks, feed, silence=0.001, page=page)
        await tasks.create(Task.submit(TASK_ID, REQUEST, 1))
        attempt = await tasks.claim(TASK_ID, 30.0, 1)
        assert isinstance(attempt, Attempt)
        followers = [Follower(follow, appetite) for appetite in appetites]
        hungers = [asyncio.Semaphore(0) for _ in followers]
        reading: list[asyncio.Task[Any]] = [
            asyncio.create_task(follower.read(hunger))
            for follower, hunger in zip(followers, hungers, strict=True)
        ]
        number = 0
        for size, turn in zip(additions, turns, strict=False):
            events = [ContentAdded(1, str(number + each)) for each in range(size)]
            number += size
            attempt = await tasks.append(attempt, events, 30.0)
            if turn:
                hungers[turn - 1].release()
                await asyncio.sleep(0)
        text = "".join(map(str, range(number)))
        done = attempt.task.complete(2, text=text, finish_reason="stop", model="m", usage=None)
        await tasks.settle(attempt, done)
        for hunger in hungers:
            for _ in range(1_000):
                hunger.release()
        async with asyncio.timeout(10):
            await asyncio.gather(*reading)
        log = list((await tasks.read(TASK_ID, 0, 10_000)).events)
        for follower in followers:
            assert follower.seen == log

    asyncio.run(scenario())


async def test_a_log_made_anew_is_replayed_from_its_start() -> None:
    now = 0.0
    feed = FanOut()
    tasks = MemoryTaskLog(feed, ttl=10.0, elapsed=lambda: now)
    follow = follow_task(tasks, feed, silence=5.0)
    await tasks.create(Task.submit(TASK_ID, REQUEST, 1))
    following = await follow(TASK_ID, None)
    assert following is not None
    batches = following.batches()
    first = await anext(batches)
    now = 11.0  # the store forgets the task, and a delivery makes it anew
    await tasks.create(Task.submit(TASK_ID, REQUEST, 1))
    await tasks.claim(TASK_ID, 30.0, 1)
    anew = await anext(batches)
    assert anew[0].epoch != first[0].epoch
    assert anew[0].first == 1
    assert len(anew[0].events) == 2
    await batches.aclose()


async def test_a_follower_of_a_forgotten_task_is_told() -> None:
    """One that was there before, and hears nothing: no stream stays open for ever."""
    feed = FanOut()
    tasks = MemoryTaskLog(feed, 60.0, patience=0.2)
    follow = follow_task(tasks, feed, silence=0.05, patience=0.2)
    await tasks.create(Task.submit(TASK_ID, REQUEST, SystemClock().now()))
    following = await follow(TASK_ID, None)
    assert following is not None
    batches = following.batches()
    seen: list[Event] = []
    async with asyncio.timeout(5):
        async for ready in batches:
            for batch in ready:
                seen.extend(batch.events)
    assert isinstance(seen[-1], TaskErrored)
    assert seen[-1].code == "forgotten"


async def test_streams_are_bounded() -> None:
    feed = FanOut()
    tasks, clock = MemoryTaskLog(feed, 60.0), SystemClock()
    forgotten = SettleForgotten(tasks, clock, 60.0)
    follow = FollowTask(tasks, feed, clock, forgotten, silence=5.0, max_streams=1)
    await tasks.create(Task.submit(TASK_ID, REQUEST, 1))
    following = await follow(TASK_ID, None)
    assert following is not None
    batches = following.batches()
    await anext(batches)
    with pytest.raises(TooManyStreams):
        await follow(TASK_ID, None)
    await batches.aclose()
    assert await follow(TASK_ID, None) is not None


async def test_a_follower_that_sleeps_holds_little_and_gets_all() -> None:
    """Its queue is bounded by size too, and it catches up from the log in small pages."""
    feed = FanOut()
    tasks = MemoryTaskLog(feed, 60.0)
    follow = follow_task(tasks, feed, silence=5.0)
    await tasks.create(Task.submit(TASK_ID, REQUEST, 1))
    attempt = await tasks.claim(TASK_ID, 30.0, 1)
    assert isinstance(attempt, Attempt)
    following = await follow(TASK_ID, None)
    assert following is not None
    batches = following.batches()
    await anext(batches)
    for _ in range(40):
        attempt = await tasks.append(attempt, [ContentAdded(1, "x" * 50_000)], 30.0)
    end = attempt.task.fail(2, Failure("f", "f", True))
    await tasks.settle(attempt, end)
    sizes = [sum(batch.size for batch in ready) async for ready in batches]
    assert sum(sizes) == 40 * 50_000
    assert max(sizes) <= PAGE_SIZE + 50_000
