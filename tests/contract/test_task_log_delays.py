"""What every TaskLog promises of tasks that are delayed (application/ports/): their times count
from the end of the delay."""

import secrets
import time
from dataclasses import replace
from typing import Any

import pytest

from application.errors import DeletedTask, UnknownTask
from application.ports import Orphaned
from domain.failure import Failure
from domain.task import Submitted, Task
from domain.task_filter import TaskFilter
from tests.builders import REQUEST, claim
from tests.contract.stores import ORPHAN_TIMEOUT, Store
from tests.waiting import until

FAILURE = Failure("model_error", "It failed.", True)
PRECISION = 50
"""Milliseconds by which the clocks of a store and a test may differ."""


def _now() -> int:
    return time.time_ns() // 1_000_000


def _delayed(milliseconds: int, owner: str | None = None) -> Submitted:
    now = _now()
    request = replace(REQUEST, not_before=now + milliseconds)
    return Task.submit(f"task_1_{secrets.token_hex(6)}", request, now, owner)


async def test_the_record_says_until_when_a_task_is_delayed(store: Store) -> None:
    submitted = _delayed(60_000)
    task = await store.tasks.create(submitted)
    assert task.not_before == submitted.request.not_before  # type: ignore[union-attr]
    await store.tasks.note_message(task.id, "msg_1")
    attempt = await claim(store.tasks, task.id)  # by a person, say: the store does not refuse it
    assert attempt.task == replace(task, **_changed(attempt.task))
    assert (await store.tasks.get(task.id)).not_before == task.not_before


def _changed(task: Task) -> dict[str, Any]:
    names = ("status", "attempt", "updated_at", "started_at", "message_id")
    return {name: getattr(task, name) for name in names}


@pytest.mark.soak
async def test_a_delayed_task_is_orphaned_an_orphan_timeout_after_its_delay(store: Store) -> None:
    submitted = _delayed(800)
    task = await store.tasks.create(submitted)
    await store.tasks.note_message(task.id, "msg_1")
    # One that the store had lost, and that its delivery creates again, waits no more.
    again = await store.tasks.create(_restored(submitted.task, not_before=_now() - 60_000))

    async def orphaned(task_id: str) -> bool:
        outcome = await store.tasks.fail_orphaned(task_id, FAILURE, _now())
        return isinstance(outcome, Orphaned)

    await until(lambda: orphaned(again.id))
    assert not await orphaned(task.id)
    await until(lambda: orphaned(task.id))
    assert task.not_before is not None
    assert _now() >= task.not_before + ORPHAN_TIMEOUT * 1000 - PRECISION


def _restored(task: Task, not_before: int) -> Submitted:
    created_at = task.created_at - 120_000
    return Task.restore(
        f"{task.id}_lost", REQUEST, "m", created_at, None, None, not_before=not_before
    )


@pytest.mark.soak
async def test_a_delayed_task_expires_a_time_to_live_after_its_delay(
    forgetful_store: Store,
) -> None:
    tasks, owner = forgetful_store.tasks, f"owner_{secrets.token_hex(6)}"
    task = await tasks.create(_delayed(1_500, owner))
    await tasks.note_message(task.id, "msg_1")

    async def gone() -> bool:
        page = await forgetful_store.index.page(owner, TaskFilter(), None, 10)
        listed = [each.id for each in page.tasks]
        try:
            await tasks.get(task.id)
            log = await tasks.read(task.id, 0, 10)
        except UnknownTask:
            return True
        assert listed == [task.id]
        assert log.length == 1
        return False

    await until(gone)
    assert task.not_before is not None
    assert _now() >= task.not_before + 500 - PRECISION


async def test_one_that_was_cancelled_before_its_time_does_not_come_back(
    forgetful_store: Store,
) -> None:
    """Its message may have stayed in the queue, for longer than the store keeps the record."""
    tasks, submitted = forgetful_store.tasks, _delayed(3_600_000)
    await tasks.create(submitted)
    await tasks.cancel(submitted.task.id, _now())

    async def gone() -> bool:
        try:
            await tasks.get(submitted.task.id)
        except DeletedTask:
            return True
        return False

    await until(gone)
    with pytest.raises(DeletedTask):
        await tasks.create(submitted)
