"""The deadline of a task that a worker has: its attempt ends, or none begins."""

import asyncio
from dataclasses import replace

import pytest

from application.errors import ModelUnavailable
from application.outcome import Ack, Outcome, Reject, Retry
from domain.events import TaskStatus, fold
from domain.failure import DEADLINE_EXCEEDED
from domain.task import Task
from entrypoints.identity import SystemClock
from tests.builders import REQUEST, delivery_of
from tests.unit.run_task_bench import FINISHED, OWNER, TASK_ID, Bench
from tests.waiting import within

SECOND, HOUR = 1, 3_600


class Limited(Bench):
    """Of a task with a deadline that many seconds from now, and with a guard."""

    def deliver_limited(self, seconds: float, *, max_attempts: int = 4) -> asyncio.Task[Outcome]:
        deadline = SystemClock().now() + round(seconds * 1000)
        whole = replace(REQUEST, deadline=HOUR)
        delivery = delivery_of(TASK_ID, whole, max_attempts=max_attempts, owner=OWNER)
        limited = replace(delivery, deadline=deadline, guard_id="guard_1")
        return asyncio.create_task(self.run(limited))

    async def assert_failed(self, text: str) -> Task:
        task = await self.tasks.get(TASK_ID)
        assert (task.status, task.failure) == (TaskStatus.FAILED, DEADLINE_EXCEEDED)
        assert fold(await self.events()).answer.text == text
        return task


async def test_a_running_attempt_ends_at_the_deadline_and_what_it_said_stays() -> None:
    bench = Limited()
    running = bench.deliver_limited(0.3)
    bench.model.say("Said")
    assert await asyncio.wait_for(running, within(5)) == Ack()
    task = await bench.assert_failed("Said")
    assert task.deadline is not None
    assert task.finished_at is not None
    assert task.finished_at >= task.deadline
    assert bench.model.closed == 1
    assert not bench.queue.withdrawn  # it comes now anyway


async def test_it_ends_though_the_store_hangs() -> None:
    bench = Limited()
    bench.tasks.open.clear()
    running = bench.deliver_limited(0.2)
    bench.model.say("a")
    assert await asyncio.wait_for(running, within(5)) == Ack()
    await bench.assert_failed("")


async def test_a_clock_that_is_set_forward_ends_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of a machine that has slept."""
    bench = Limited()
    running = bench.deliver_limited(HOUR)
    bench.model.say("Said")
    await bench.until_content("Said")
    monkeypatch.setattr("application.attempt_times.CLOCK_READ_EVERY", 0.01)
    later = SystemClock().now() + 2 * HOUR * 1000
    monkeypatch.setattr(SystemClock, "now", lambda _: later)
    assert await asyncio.wait_for(running, within(5)) == Ack()
    await bench.assert_failed("Said")


async def test_no_attempt_begins_when_the_deadline_is_over() -> None:
    bench = Limited()
    bench.model.say("Said", ModelUnavailable("model_error", "It failed."))
    assert await bench.deliver_limited(HOUR) == Retry()
    assert await bench.deliver_limited(-SECOND) == Ack()
    task = await bench.assert_failed("Said")
    assert (task.attempt, bench.model.asked) == (1, 1)


async def test_a_lost_task_is_created_with_its_deadline_and_fails() -> None:
    bench = Limited()
    assert await bench.deliver_limited(-SECOND) == Ack()
    task = await bench.assert_failed("")
    assert (task.attempt, task.guard_id) == (0, "guard_1")


async def test_a_task_that_ends_earlier_withdraws_its_guard() -> None:
    bench = Limited()
    bench.model.say("a", FINISHED)
    assert await bench.deliver_limited(HOUR) == Ack()
    assert bench.queue.withdrawn == ["guard_1"]


async def test_one_that_fails_earlier_does_so_too_and_one_that_is_lost_does_not() -> None:
    bench = Limited()
    fault = ModelUnavailable("model_error", "It failed.")
    bench.model.say(fault)
    assert await bench.deliver_limited(HOUR, max_attempts=2) == Retry()
    assert not bench.queue.withdrawn
    bench.model.say(fault)
    assert await bench.deliver_limited(HOUR, max_attempts=2) == Reject("model_error")
    assert bench.queue.withdrawn == ["guard_1"]
