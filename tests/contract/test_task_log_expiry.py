"""What every TaskLog promises of tasks whose time is over, or that no delivery will end
(application/ports/)."""

import asyncio
import secrets

import pytest

from application.errors import UnknownTask
from application.ports import NotOrphaned, Orphaned
from domain.events import (
    TaskStatus,
    fold,
)
from domain.failure import Failure
from tests.builders import NOW, claim, submit
from tests.contract.stores import ORPHAN_TIMEOUT, Store, epoch_of, events_of, in_time
from tests.waiting import until

FAILURE = Failure("model_error", "It failed.", True)


async def test_a_task_expires_after_its_time_to_live(forgetful_store: Store) -> None:
    tasks = forgetful_store.tasks
    old = f"task_1_{secrets.token_hex(6)}"

    async def epoch_of_it() -> str:
        await submit(tasks, task_id=old)
        return await epoch_of(tasks, old)

    epoch = await in_time(epoch_of_it)

    async def gone() -> bool:
        try:
            await tasks.get(old)
        except UnknownTask:
            return True
        return False

    await until(gone)
    with pytest.raises(UnknownTask):
        await tasks.read(old, 0, 1)
    # Created again under the same id, it is another log.
    assert await in_time(epoch_of_it) != epoch


async def _orphaned(store: Store, task_id: str) -> bool:
    outcome = await store.tasks.fail_orphaned(task_id, FAILURE, NOW)
    assert outcome.task == await store.tasks.get(task_id)
    return isinstance(outcome, Orphaned)


async def test_a_task_without_a_heartbeat_is_orphaned(store: Store) -> None:
    task_id = await submit(store.tasks)
    assert not await _orphaned(store, task_id)
    await until(lambda: _orphaned(store, task_id))
    folded = fold(await events_of(store.tasks, task_id))
    assert (folded.status, folded.closed) == (TaskStatus.FAILED, True)
    with pytest.raises(UnknownTask):
        await store.tasks.fail_orphaned("task_1_nobody", FAILURE, NOW)


async def test_a_task_is_orphaned_only_once_its_attempt_is_dead(store: Store) -> None:
    task_id = await submit(store.tasks)
    attempt = await claim(store.tasks, task_id)
    await asyncio.sleep(ORPHAN_TIMEOUT * 1.2)
    assert not await _orphaned(store, task_id)
    await store.tasks.renew(attempt, 0.01)
    await until(lambda: _orphaned(store, task_id))


async def test_a_task_that_ended_is_not_orphaned(store: Store) -> None:
    task_id = await submit(store.tasks)
    ended = await store.tasks.cancel(task_id, NOW)
    await asyncio.sleep(ORPHAN_TIMEOUT)
    assert await store.tasks.fail_orphaned(task_id, FAILURE, NOW) == NotOrphaned(ended)
