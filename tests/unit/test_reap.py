"""Tasks that no delivery will end: they fail or are enqueued again, and a live attempt is waited
for."""

import asyncio
from dataclasses import replace

import pytest

from adapters.live import Hub
from adapters.memory import MemoryTaskLog
from application.errors import DeletedTask, QueueUnavailable, UnknownTask
from application.ports import Delivery
from application.reap import (
    EXHAUSTED,
    INPUT_LOST,
    QUEUEING_LIMIT,
    FailOrphanedTasks,
    HandleExhaustedDeliveries,
)
from domain.answer import Answer
from domain.attempt import Attempt
from domain.events import ContentAdded, TaskErrored, TaskStatus
from domain.failure import Failure
from domain.request import TaskRequest
from domain.task import Task
from tests.builders import OTHER_REQUEST, REQUEST, after_end, delivery_of, naming_delivery_of
from tests.doubles.queue import RecordingQueue
from tests.waiting import within

TASK_ID = "task_1_a"
NOW = 1_700_000_000_000
ORPHAN_TIMEOUT = 100.0


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def now(self) -> int:
        return NOW + int(self.seconds * 1000)


class Bench:
    def __init__(self) -> None:
        self.clock = Clock()
        self.queue = RecordingQueue()
        self.feed = Hub()
        self.tasks = MemoryTaskLog(
            self.feed, 1e6, ORPHAN_TIMEOUT, elapsed=lambda: self.clock.seconds
        )
        self.exhausted = HandleExhaustedDeliveries(
            self.tasks, self.feed, self.queue, self.clock, after_end(self.tasks, self.queue)
        )
        self.orphans = FailOrphanedTasks(self.tasks, self.clock, ORPHAN_TIMEOUT)

    async def submit(self) -> Task:
        return await self.tasks.create(Task.submit(TASK_ID, REQUEST, NOW))

    async def attempt(self, lease: float) -> Attempt:
        attempt = await self.tasks.claim(TASK_ID, lease, NOW)
        assert isinstance(attempt, Attempt)
        return attempt

    async def ran_out(self, max_attempts: int = 1, created_at: int = NOW) -> Task:
        delivery = delivery_of(TASK_ID, created_at=created_at, max_attempts=max_attempts)
        return await self._handled(delivery)

    async def ran_out_by_name(self, request: TaskRequest = REQUEST, max_attempts: int = 4) -> Task:
        """Of a delivery whose request is in the store only."""
        delivery = naming_delivery_of(TASK_ID, request, created_at=NOW, max_attempts=max_attempts)
        return await self._handled(delivery)

    async def _handled(self, delivery: Delivery) -> Task:
        task = await self.exhausted(delivery, "msg_0")
        assert task is not None
        return task

    async def read(self) -> Task:
        return await self.orphans(await self.tasks.get(TASK_ID))


# Deliveries that ran out


async def test_a_live_attempt_is_waited_for() -> None:
    bench = Bench()
    await bench.submit()
    attempt = await bench.attempt(lease=30.0)
    failing = asyncio.create_task(bench.ran_out())
    for text in ("a", "b"):
        attempt = await bench.tasks.append(attempt, [ContentAdded(1, text)], 30.0)
        done, _ = await asyncio.wait({failing}, timeout=0.05)
        assert not done
    end = attempt.task.complete(2, answer=Answer("ab"), finish_reason="stop", model="m", usage=None)
    await bench.tasks.commit(attempt, end)
    assert (await asyncio.wait_for(failing, within(5))).status is TaskStatus.COMPLETED


async def test_one_that_is_lost_while_it_is_enqueued_again_is_queued(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its delivery creates it again."""
    bench = Bench()
    await bench.submit()

    async def expire(_: Task) -> None:
        bench.clock.seconds += 2e6

    monkeypatch.setattr(bench.queue, "before_answer", expire)
    assert (await bench.ran_out(max_attempts=2)).message_id == f"msg_{TASK_ID}"
    with pytest.raises(UnknownTask):
        await bench.tasks.get(TASK_ID)


async def test_one_that_went_silent_is_failed_when_its_lease_lapses() -> None:
    bench = Bench()
    await bench.submit()
    await bench.attempt(lease=0.1)
    failing = asyncio.create_task(bench.ran_out())
    await asyncio.sleep(0)
    bench.clock.seconds = 0.2
    task = await asyncio.wait_for(failing, within(5))
    assert task.failure is not None
    assert task.failure.code == "deliveries_exhausted"
    assert bench.queue.messages == []


async def test_with_attempts_left_it_is_enqueued_again() -> None:
    """As when its deliveries met nothing but busy instances."""
    bench = Bench()
    await bench.submit()
    for _ in range(2):  # the callback may come twice
        task = await bench.ran_out(max_attempts=1)
        assert (task.status, task.message_id) == (TaskStatus.PENDING, task.message_id)
    assert bench.queue.messages == [(TASK_ID, "msg_0"), (TASK_ID, "msg_0")]  # one message to QStash
    await bench.attempt(lease=0.0)
    assert (await bench.ran_out(max_attempts=1)).status is TaskStatus.FAILED


async def test_an_attempt_that_a_stop_ended_is_left() -> None:
    bench = Bench()
    await bench.submit()
    attempt = await bench.attempt(lease=30.0)
    stopped = attempt.task.requeue(NOW, "shutting_down", counted=False)
    await bench.tasks.commit(attempt, stopped)
    assert (await bench.ran_out(max_attempts=1)).status is TaskStatus.PENDING
    assert bench.queue.messages == [(TASK_ID, "msg_0")]
    await bench.attempt(lease=0.0)
    assert (await bench.ran_out(max_attempts=1)).failure == EXHAUSTED


async def test_a_running_one_with_attempts_left_gets_a_standby() -> None:
    bench = Bench()
    await bench.submit()
    await bench.attempt(lease=30.0)
    task = await bench.ran_out(max_attempts=2)
    assert task.status is TaskStatus.RUNNING
    assert bench.queue.messages == [(TASK_ID, "msg_0")]


async def test_one_that_the_store_lost_is_made_again() -> None:
    bench = Bench()
    assert (await bench.ran_out(max_attempts=4)).status is TaskStatus.PENDING
    assert bench.queue.messages == [(TASK_ID, "msg_0")]


async def test_one_that_is_too_old_is_failed() -> None:
    bench = Bench()
    bench.clock.seconds = QUEUEING_LIMIT + 1
    assert (await bench.ran_out(max_attempts=4)).status is TaskStatus.FAILED
    assert bench.queue.messages == []


async def test_its_age_counts_from_the_end_of_its_delay() -> None:
    bench = Bench()
    week = 7 * 86_400
    delivery = replace(delivery_of(TASK_ID, created_at=NOW), not_before=NOW + week * 1000)
    bench.clock.seconds = week + QUEUEING_LIMIT - 1
    assert (await bench.exhausted(delivery, "msg_0")).status is TaskStatus.PENDING  # type: ignore[union-attr]
    bench.clock.seconds += 2
    assert (await bench.exhausted(delivery, "msg_0")).status is TaskStatus.FAILED  # type: ignore[union-attr]


async def test_a_queue_that_is_away_is_told_so_that_the_callback_comes_again() -> None:
    bench = Bench()
    bench.queue.error = QueueUnavailable("away")
    with pytest.raises(QueueUnavailable):
        await bench.ran_out(max_attempts=4)
    assert (await bench.tasks.get(TASK_ID)).status is TaskStatus.PENDING


async def test_one_that_has_ended_is_left_alone() -> None:
    bench = Bench()
    await bench.submit()
    await bench.tasks.cancel(TASK_ID, NOW)
    assert (await bench.ran_out(max_attempts=4)).status is TaskStatus.CANCELLED
    assert bench.queue.messages == []


async def test_one_whose_request_is_in_the_store_is_enqueued_again_with_it() -> None:
    bench = Bench()
    await bench.submit()
    assert (await bench.ran_out_by_name()).status is TaskStatus.PENDING
    assert bench.queue.messages == [(TASK_ID, "msg_0")]
    assert bench.queue.requests == [REQUEST]
    await bench.attempt(lease=0.0)
    failed = await bench.ran_out_by_name(max_attempts=1)
    assert failed.failure == EXHAUSTED


async def test_one_whose_request_is_lost_is_failed() -> None:
    """The store has lost all of it, and the callback creates it again to say so."""
    bench = Bench()
    failed = await bench.ran_out_by_name()
    assert failed.failure == INPUT_LOST
    assert INPUT_LOST.retryable
    last = (await bench.tasks.read(TASK_ID, 0, 10)).events[-1]
    assert isinstance(last, TaskErrored)
    assert (last.code, last.retryable) == ("input_lost", True)
    assert bench.queue.messages == []
    assert await bench.ran_out_by_name() == failed


async def test_another_request_under_its_id_is_not_its_own() -> None:
    bench = Bench()
    await bench.submit()
    assert (await bench.ran_out_by_name(OTHER_REQUEST)).failure == INPUT_LOST
    assert bench.queue.messages == []


async def test_the_failure_callback_of_a_deleted_task_changes_nothing() -> None:
    bench = Bench()
    await bench.submit()
    await bench.tasks.delete(TASK_ID)
    assert await bench.exhausted(delivery_of(TASK_ID, max_attempts=4), "msg_0") is None
    assert bench.queue.messages == []
    with pytest.raises(DeletedTask):
        await bench.tasks.get(TASK_ID)


async def test_a_failure_callback_that_waits_for_an_attempt_sees_that_the_task_is_deleted() -> None:
    bench = Bench()
    await bench.submit()
    await bench.attempt(lease=30.0)
    waiting = asyncio.create_task(bench.exhausted(delivery_of(TASK_ID, max_attempts=1), "msg_0"))
    await asyncio.wait({waiting}, timeout=0.05)
    assert not waiting.done()
    await bench.tasks.cancel(TASK_ID, NOW)
    await bench.tasks.delete(TASK_ID)
    assert await asyncio.wait_for(waiting, within(5)) is None


# Tasks that the queue forgot


async def test_an_orphaned_task_fails_when_it_is_read() -> None:
    bench = Bench()
    await bench.submit()
    bench.clock.seconds = ORPHAN_TIMEOUT - 1
    assert (await bench.read()).status is TaskStatus.PENDING
    bench.clock.seconds = ORPHAN_TIMEOUT + 1
    task = await bench.read()
    assert task.failure == Failure(
        "forgotten", "The queue lost the task before it was finished.", True
    )
    page = await bench.tasks.read(TASK_ID, 0, 10)
    assert isinstance(page.events[-1], TaskErrored)
    assert await bench.read() == task


async def test_a_task_whose_attempt_is_alive_or_was_lost_lately_is_not_orphaned() -> None:
    bench = Bench()
    await bench.submit()
    attempt = await bench.attempt(lease=30.0)
    for _ in range(20):
        bench.clock.seconds += 20
        await bench.tasks.renew(attempt, 30.0)
    assert (await bench.read()).status is TaskStatus.RUNNING
    bench.clock.seconds += 31  # the lease has lapsed: a delivery may still come
    assert (await bench.read()).status is TaskStatus.RUNNING
    await bench.tasks.commit(attempt, attempt.task.requeue(NOW, "shutting_down"))
    bench.clock.seconds += ORPHAN_TIMEOUT - 1
    assert (await bench.read()).status is TaskStatus.PENDING
    bench.clock.seconds += 2
    assert (await bench.read()).status is TaskStatus.FAILED


async def test_our_own_clock_alone_fails_nothing() -> None:
    bench = Bench()
    await bench.submit()
    bench.clock.seconds = ORPHAN_TIMEOUT + 1
    await bench.tasks.note_message(TASK_ID, "msg_1")  # just now, by the log's clock
    assert (await bench.read()).status is TaskStatus.PENDING


async def test_an_unknown_task_stays_unknown() -> None:
    with pytest.raises(UnknownTask):
        await Bench().tasks.fail_orphaned("task_1_b", Failure("f", "f", True), NOW)
