"""Once a task has ended, the upstream that keeps its answer is told, whatever ended it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from application.deadlines import EndOverdueTask
from application.errors import ModelRefused, ModelUnavailable, QueueUnavailable
from application.manage_task import CancelTask, DeleteTask
from application.outcome import Ack, Retry
from application.ports import Guard
from application.reap import FailOrphanedTasks, HandleExhaustedDeliveries
from domain.attempt import Attempt
from domain.continuation import Opening
from domain.events import TaskStatus
from domain.failure import DEADLINE_EXCEEDED
from domain.task import Task
from tests.builders import LEASE, NOW, after_end, delivery_of
from tests.doubles.model import DrivenModel
from tests.unit.webhook_bench import ORPHAN_TIMEOUT, TASK_ID, Bench
from tests.waiting import until

AWAY = ModelUnavailable("upstream_error", "away")
DEADLINE = 50


class Kept:
    """A task that waits for another attempt, while an upstream keeps what it has said."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.tasks, self.queue, self.clock = self.bench.tasks, self.bench.queue, self.bench.clock
        self.model = DrivenModel(kept_by="upstream")
        self.end = after_end(self.tasks, self.queue, self.clock, self.model)
        self.orphans = FailOrphanedTasks(self.tasks, self.clock, ORPHAN_TIMEOUT, self.end)
        self.cancel = CancelTask(self.tasks, self.queue, self.clock, self.end)
        self.delete = DeleteTask(self.tasks, self.cancel, self.end)
        self.guard = EndOverdueTask(
            self.tasks, self.bench.feed, self.queue, self.clock, self.orphans, self.end
        )
        self.exhausted = HandleExhaustedDeliveries(
            self.tasks, self.bench.feed, self.queue, self.clock, self.end
        )

    async def begin(self, **asked: Any) -> "Kept":
        await self.bench.submit((), **asked)
        attempt = await self.tasks.claim(TASK_ID, LEASE, NOW, lambda _: Opening(keeper="upstream"))
        assert isinstance(attempt, Attempt)
        attempt = await self.tasks.note_response(attempt, "resp_1")
        await self.tasks.commit(attempt, attempt.task.requeue(NOW, "stream_broken"))
        return self

    async def record(self) -> Task:
        return await self.tasks.get(TASK_ID)

    async def is_released(self) -> bool:
        continuation = (await self.record()).continuation
        return continuation is not None and continuation.released

    async def cancels(self) -> None:
        await self.cancel(TASK_ID, "alice")

    async def exhausts(self) -> None:
        await self.exhausted(delivery_of(TASK_ID, created_at=NOW, max_attempts=0), "msg_0")

    async def is_read_when_orphaned(self) -> None:
        self.clock.seconds = ORPHAN_TIMEOUT + 1
        await self.orphans(await self.record())

    async def is_guarded(self) -> None:
        self.clock.seconds = DEADLINE
        assert await self.guard(Guard(TASK_ID)) == Ack()

    async def is_read_when_overdue(self) -> None:
        self.clock.seconds = DEADLINE
        await self.orphans(await self.record())


@pytest.mark.parametrize(
    ("ends", "asked"),
    [
        (Kept.cancels, {}),
        (Kept.exhausts, {}),
        (Kept.is_read_when_orphaned, {}),
        (Kept.is_guarded, {"deadline": DEADLINE}),
        (Kept.is_read_when_overdue, {"deadline": DEADLINE}),
    ],
)
async def test_every_end_tells_the_upstream_once_though_no_attempt_runs(
    ends: Callable[[Kept], Awaitable[None]], asked: dict[str, Any]
) -> None:
    kept = await Kept().begin(**asked)
    await ends(kept)
    await until(kept.is_released)
    assert (await kept.record()).status.terminal
    assert kept.model.released == [("resp_1", False)]
    await kept.orphans(await kept.record())
    await asyncio.sleep(0)
    assert len(kept.model.released) == 1


async def test_a_read_tells_an_upstream_that_was_away_at_the_end() -> None:
    kept = await Kept().begin()
    kept.model.release_error = AWAY
    await kept.cancels()
    assert (await kept.record()).status is TaskStatus.CANCELLED
    assert not await kept.is_released()
    kept.model.release_error = None
    await kept.orphans.each([await kept.record()])
    await until(kept.is_released)
    assert kept.model.released == [("resp_1", False)]


async def test_the_message_of_a_cancelled_task_stays_until_its_upstream_is_told() -> None:
    kept = await Kept().begin()
    await kept.tasks.note_message(TASK_ID, "msg_1")
    kept.model.release_error = AWAY
    await kept.cancels()
    assert kept.queue.withdrawn == []
    with pytest.raises(QueueUnavailable):
        await kept.exhausts()


async def test_the_guard_comes_again_while_the_upstream_is_away() -> None:
    kept = await Kept().begin(deadline=DEADLINE)
    kept.model.release_error = AWAY
    kept.clock.seconds = DEADLINE
    assert await kept.guard(Guard(TASK_ID)) == Retry()
    assert (await kept.record()).failure == DEADLINE_EXCEEDED


async def test_what_the_upstream_refuses_is_not_asked_again() -> None:
    kept = await Kept().begin()
    kept.model.release_error = ModelRefused("invalid_api_key", "No.")
    await kept.cancels()
    assert await kept.is_released()


async def test_another_upstream_is_not_told_of_an_answer_that_it_does_not_have() -> None:
    kept = await Kept().begin()
    kept.model.kept_by = "another"
    await kept.cancels()
    assert kept.model.released == []
    assert not await kept.is_released()


async def test_a_deleted_task_is_released_before_it_is_gone() -> None:
    kept = await Kept().begin()
    await kept.delete(TASK_ID, "alice")
    assert kept.model.released == [("resp_1", False)]


async def test_deleting_tries_once_more_what_could_not_be_done_at_the_end() -> None:
    kept = await Kept().begin()
    kept.model.release_error = AWAY
    await kept.cancels()
    kept.model.release_error = None
    await kept.delete(TASK_ID, "alice")
    assert kept.model.released == [("resp_1", False)]
