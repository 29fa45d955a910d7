"""Deadlines of tasks: what ends those that wait, those that run, and those that are not read."""

import asyncio
from dataclasses import replace

import pytest

from adapters.live import Hub
from adapters.memory import MemoryTaskLog
from application.deadlines import EARLY, EXHAUSTED_PAUSE, EndOverdueTask
from application.errors import QueueUnavailable, StoreUnavailable
from application.manage_task import CancelTask
from application.outcome import Ack, Retry
from application.ports import ORPHAN_TIMEOUT, Guard
from application.reap import FailOrphanedTasks, HandleExhaustedDeliveries
from domain.attempt import Attempt
from domain.events import ContentAdded, TaskStatus, fold
from domain.failure import DEADLINE_EXCEEDED
from domain.request import DEFAULT_BOUNDS
from domain.request_times import DEADLINE_LIMIT
from domain.task import Task
from tests.builders import NOW, REQUEST, after_end, delivery_of
from tests.doubles.queue import RecordingQueue
from tests.waiting import within

TASK_ID = "task_1_a"
LIMITED = replace(REQUEST, deadline=60)
GUARD = Guard(TASK_ID)


@pytest.mark.parametrize("deadline", [-1, 0, DEADLINE_LIMIT + 1])
def test_a_deadline_has_bounds(deadline: int) -> None:
    faults = replace(REQUEST, deadline=deadline).faults(DEFAULT_BOUNDS, NOW)
    assert [(each.field, each.message) for each in faults] == [
        ("deadline", f"must be from 1 to {DEADLINE_LIMIT}")
    ]


def test_a_deadline_is_behind_the_time_at_which_the_task_may_begin() -> None:
    for delay, not_before in ((59, None), (None, NOW + 59_999), (None, NOW - 90_000)):
        accepted = replace(LIMITED, delay=delay, not_before=not_before)
        assert not accepted.faults(DEFAULT_BOUNDS, NOW)
    for delay, not_before in ((60, None), (61, None), (None, NOW + 60_000)):
        refused = replace(LIMITED, delay=delay, not_before=not_before)
        assert [each.field for each in refused.faults(DEFAULT_BOUNDS, NOW)] == ["deadline"]


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> int:
        return NOW + int(self.seconds * 1000)


class Bench:
    """A task with a deadline after a minute, and a clock."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.feed = Hub()
        self.queue = RecordingQueue()
        self.tasks = MemoryTaskLog(self.feed, 1e6, elapsed=lambda: self.clock.seconds)
        orphans = FailOrphanedTasks(self.tasks, self.clock, ORPHAN_TIMEOUT)
        self.after_end = after_end(self.tasks, self.queue, self.clock)
        self.end_overdue = EndOverdueTask(
            self.tasks, self.feed, self.queue, self.clock, orphans, self.after_end
        )

    async def submit(self) -> None:
        submitted = Task.submit(TASK_ID, LIMITED, NOW)
        await self.tasks.create(
            replace(submitted, task=replace(submitted.task, guard_id="guard_1"))
        )

    async def attempt(self, lease: float = 30.0) -> Attempt:
        attempt = await self.tasks.claim(TASK_ID, lease, self.clock.now())
        assert isinstance(attempt, Attempt)
        return await self.tasks.append(attempt, [ContentAdded(NOW, "Said")], lease)

    async def between_attempts(self) -> None:
        """The attempt is lost, and the next delivery is to come."""
        await self.submit()
        attempt = await self.attempt()
        await self.tasks.commit(attempt, attempt.task.requeue(NOW, "model_error"))

    async def record(self) -> Task:
        return await self.tasks.get(TASK_ID)

    async def assert_failed(self, text: str = "") -> None:
        task = await self.record()
        assert (task.status, task.failure) == (TaskStatus.FAILED, DEADLINE_EXCEEDED)
        assert fold((await self.tasks.read(TASK_ID, 0, 100)).events).answer.text == text


# The guard


async def test_the_guard_fails_a_task_that_waits_and_what_was_said_stays() -> None:
    bench = Bench()
    await bench.between_attempts()
    bench.clock.seconds = 60
    assert await bench.end_overdue(GUARD) == Ack()
    await bench.assert_failed("Said")
    assert await bench.end_overdue(GUARD) == Ack()


async def test_the_guard_leaves_a_running_task_to_its_attempt() -> None:
    bench = Bench()
    await bench.submit()
    bench.clock.seconds = 60
    attempt = await bench.attempt()
    guarding = asyncio.create_task(bench.end_overdue(GUARD))
    done, _ = await asyncio.wait({guarding}, timeout=0.05)
    assert not done
    await bench.tasks.commit(attempt, attempt.task.fail(1, DEADLINE_EXCEEDED))
    assert await asyncio.wait_for(guarding, within(5)) == Ack()


async def test_the_guard_fails_a_task_whose_worker_is_frozen_once_its_lease_has_lapsed() -> None:
    bench = Bench()
    await bench.submit()
    bench.clock.seconds = 60
    await bench.attempt(lease=0.1)
    guarding = asyncio.create_task(bench.end_overdue(GUARD))
    await asyncio.sleep(0)
    bench.clock.seconds = 61
    assert await asyncio.wait_for(guarding, within(5)) == Ack()
    await bench.assert_failed("Said")


async def test_a_guard_that_is_early_waits_or_is_followed_by_another_one() -> None:
    bench = Bench()
    await bench.submit()
    assert await bench.end_overdue(GUARD) == Ack()
    assert (bench.queue.guards, bench.queue.delays) == ([GUARD.again()], [60])
    bench.clock.seconds = 60 - EARLY
    guarding = asyncio.create_task(bench.end_overdue(GUARD))
    done, _ = await asyncio.wait({guarding}, timeout=0.05)
    assert not done
    bench.clock.seconds = 60
    await bench.tasks.cancel(TASK_ID, bench.clock.now())
    assert await asyncio.wait_for(guarding, within(5)) == Ack()


async def test_the_guard_creates_no_task() -> None:
    bench = Bench()
    assert await bench.end_overdue(GUARD) == Ack()
    await bench.submit()
    await bench.tasks.delete(TASK_ID)
    bench.clock.seconds = 60
    assert await bench.end_overdue(GUARD) == Ack()


async def test_the_guard_comes_again_if_it_cannot_do_its_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    await bench.submit()
    bench.clock.seconds = 60

    async def away(*_: object) -> Task:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(bench.tasks, "fail", away)
        assert await bench.end_overdue(GUARD) == Retry()
    assert await bench.end_overdue(GUARD) == Ack()


async def test_behind_a_guard_that_is_exhausted_another_one_comes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()
    await bench.submit()
    bench.clock.seconds = 60

    async def away(*_: object) -> Task:
        raise StoreUnavailable("away")

    for guard in (GUARD, GUARD.again()):
        with monkeypatch.context() as patch:
            patch.setattr(bench.tasks, "get", away)
            bench.queue.error = QueueUnavailable("away")
            assert await bench.end_overdue.exhausted(guard) == Retry(), "its callback comes again"
            bench.queue.error = None
            assert await bench.end_overdue.exhausted(guard) == Ack()
        assert bench.queue.guards.pop() == guard.again()
        assert bench.queue.delays.pop() == EXHAUSTED_PAUSE
    assert await bench.end_overdue.exhausted(guard.again()) == Ack()
    await bench.assert_failed()
    assert await bench.end_overdue.exhausted(GUARD) == Ack()
    await bench.tasks.delete(TASK_ID)
    assert await bench.end_overdue.exhausted(GUARD) == Ack()
    assert not bench.queue.guards, "none comes once the task has ended, or is gone"


# What meets the task before the guard does


async def test_each_read_fails_a_task_whose_deadline_is_over() -> None:
    bench = Bench()
    await bench.between_attempts()
    fail_if_orphaned = FailOrphanedTasks(bench.tasks, bench.clock, 3600.0)
    bench.clock.seconds = 59.9
    assert not (await fail_if_orphaned(await bench.record())).status.terminal
    bench.clock.seconds = 60
    assert (await fail_if_orphaned(await bench.record())).failure == DEADLINE_EXCEEDED
    await bench.assert_failed("Said")


async def test_a_list_and_a_watch_fail_it_too() -> None:
    bench = Bench()
    await bench.submit()
    bench.clock.seconds = 60
    fail_if_orphaned = FailOrphanedTasks(bench.tasks, bench.clock, 3600.0)
    (task,) = await fail_if_orphaned.each([await bench.record()])
    assert task.failure == DEADLINE_EXCEEDED


async def test_a_read_leaves_a_running_task_to_its_attempt() -> None:
    bench = Bench()
    await bench.submit()
    await bench.attempt(lease=100)
    bench.clock.seconds = 60
    read = await FailOrphanedTasks(bench.tasks, bench.clock, 3600.0)(await bench.record())
    assert read.status is TaskStatus.RUNNING


async def test_a_task_is_not_enqueued_again_when_its_deadline_is_over() -> None:
    bench = Bench()
    await bench.between_attempts()
    bench.clock.seconds = 60
    ran_out = HandleExhaustedDeliveries(
        bench.tasks, bench.feed, bench.queue, bench.clock, bench.after_end
    )
    failed = await ran_out(delivery_of(TASK_ID, LIMITED, created_at=NOW), "msg_0")
    assert failed is not None
    assert failed.failure == DEADLINE_EXCEEDED
    assert not bench.queue.messages


# The end before the deadline


async def test_a_task_that_is_cancelled_withdraws_its_message_and_its_guard() -> None:
    bench = Bench()
    await bench.submit()
    await bench.tasks.note_message(TASK_ID, "msg_1")
    await CancelTask(bench.tasks, bench.queue, bench.clock, bench.after_end)(TASK_ID)
    assert sorted(bench.queue.withdrawn) == ["guard_1", "msg_1"]
