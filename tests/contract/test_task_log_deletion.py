"""What every TaskLog promises of tasks that are deleted, or that ask to be kept for a short time
after their end (application/ports/): they are gone, and do not come back."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from application.errors import DeletedTask, ExpiredTask, LeaseLost, UnknownTask
from application.ports import Ended, Orphaned, TaskLog
from domain.answer import Answer
from domain.events import ContentAdded, TaskEnded, TaskStatus
from domain.failure import Failure
from domain.task import Task
from tests.builders import LEASE, NOW, REQUEST, begun, claim, follow_task, submit
from tests.contract.stores import Store, events_of, in_time
from tests.doubles.readers import events_of as events_in
from tests.doubles.readers import started
from tests.waiting import until

FAILURE = Failure("model_error", "It failed.", True)
BRIEF = replace(REQUEST, ttl=1)
Call = Callable[[TaskLog, str], Awaitable[Any]]
CALLS: list[Call] = [
    lambda tasks, task_id: tasks.create(Task.submit(task_id, REQUEST, NOW)),
    lambda tasks, task_id: tasks.note_message(task_id, "msg_1"),
    lambda tasks, task_id: tasks.get(task_id),
    lambda tasks, task_id: tasks.request(task_id),
    lambda tasks, task_id: tasks.claim(task_id, LEASE, NOW),
    lambda tasks, task_id: tasks.cancel(task_id, NOW),
    lambda tasks, task_id: tasks.fail(task_id, FAILURE, NOW),
    lambda tasks, task_id: tasks.fail_unqueued(task_id, FAILURE, NOW),
    lambda tasks, task_id: tasks.fail_orphaned(task_id, FAILURE, NOW),
    lambda tasks, task_id: tasks.read(task_id, 0, 10),
    lambda tasks, task_id: tasks.delete(task_id),
]


async def _assert_gone_for_good(
    tasks: TaskLog, task_id: str, why: type[DeletedTask] = DeletedTask
) -> None:
    for call in CALLS:
        with pytest.raises(DeletedTask) as gone:
            await call(tasks, task_id)
        assert type(gone.value) is why


async def _is_gone(tasks: TaskLog, task_id: str) -> bool:
    try:
        await tasks.get(task_id)
    except DeletedTask:
        return True
    return False


async def test_a_deleted_task_does_not_come_back(store: Store) -> None:
    task_id = await submit(store.tasks)
    await store.tasks.cancel(task_id, NOW)
    await store.tasks.delete(task_id)
    await _assert_gone_for_good(store.tasks, task_id)


async def test_a_running_attempt_of_a_deleted_task_can_write_no_more(store: Store) -> None:
    attempt = await begun(store.tasks)
    await store.tasks.delete(attempt.task.id)
    for call in (
        store.tasks.append(attempt, [ContentAdded(NOW, "late")], LEASE),
        store.tasks.renew(attempt, LEASE),
        store.tasks.commit(attempt, attempt.task.requeue(NOW, "x")),
    ):
        with pytest.raises(LeaseLost):
            await call
    await _assert_gone_for_good(store.tasks, attempt.task.id)


async def test_another_task_stays(store: Store) -> None:
    mine, other = await submit(store.tasks), await submit(store.tasks)
    await store.tasks.delete(mine)
    assert (await store.tasks.get(other)).status is TaskStatus.PENDING
    assert len(await events_of(store.tasks, other)) == 1


async def test_what_never_was_is_unknown_and_not_deleted(store: Store) -> None:
    with pytest.raises(UnknownTask) as unknown:
        await store.tasks.delete("task_1_nobody")
    assert not isinstance(unknown.value, DeletedTask)
    await submit(store.tasks, task_id=f"task_1_{id(unknown):x}")


async def test_a_reader_of_a_task_that_is_cancelled_and_deleted_gets_the_end(store: Store) -> None:
    attempt = await begun(store.tasks)
    task_id = attempt.task.id
    attempt = await store.tasks.append(attempt, [ContentAdded(NOW, "so far")], LEASE)
    _, sink = await started(follow_task(store.tasks, store.feed), task_id)
    await until(lambda: len(events_in(sink.batches)) == 3)
    await store.tasks.cancel(task_id, NOW)
    await store.tasks.delete(task_id)
    await sink.until_ended()
    last = events_in(sink.batches)[-1]
    assert isinstance(last, TaskEnded)
    assert (last.finish_reason, last.answer) == ("cancelled", Answer("so far"))
    assert sink.complete


async def test_a_tombstone_outlives_the_time_to_live(forgetful_store: Store) -> None:
    tasks = forgetful_store.tasks

    async def one_deleted() -> str:
        task_id = await submit(tasks)
        await tasks.delete(task_id)
        return task_id

    deleted = await in_time(one_deleted)
    expiring = await submit(tasks)

    async def expired() -> bool:
        try:
            await tasks.get(expiring)
        except UnknownTask as error:
            return not isinstance(error, DeletedTask)
        return False

    await until(expired)
    await submit(tasks)  # a store in memory drops what is over when a task is created
    await _assert_gone_for_good(tasks, deleted)


async def _completed(tasks: TaskLog, task_id: str) -> None:
    attempt = await claim(tasks, task_id)
    answer = Answer("Done.")
    done = attempt.task.complete(NOW, answer=answer, finish_reason="stop", model="m", usage=None)
    await tasks.commit(attempt, done)


async def _orphaned(tasks: TaskLog, task_id: str) -> None:
    async def orphaned() -> bool:
        return isinstance(await tasks.fail_orphaned(task_id, FAILURE, NOW), Orphaned)

    await until(orphaned)


ENDS: list[Call] = [
    _completed,
    _orphaned,
    lambda tasks, task_id: tasks.cancel(task_id, NOW),
    lambda tasks, task_id: tasks.fail(task_id, FAILURE, NOW),
    lambda tasks, task_id: tasks.fail_unqueued(task_id, FAILURE, NOW),
]


@pytest.mark.soak
async def test_a_time_to_live_of_its_own_begins_at_the_end_however_it_ends(store: Store) -> None:
    tasks = store.tasks
    waiting = await submit(tasks, BRIEF)
    running = await claim(tasks, await submit(tasks, BRIEF))
    ended = [await submit(tasks, BRIEF) for _ in ENDS]
    assert (await tasks.get(waiting)).ttl == 1
    await asyncio.gather(*(end(tasks, task_id) for end, task_id in zip(ENDS, ended, strict=True)))
    for task_id in ended:
        await until(partial(_is_gone, tasks, task_id))
        await _assert_gone_for_good(tasks, task_id, ExpiredTask)
    # As long ago, those that have not ended were changed.
    assert (await tasks.get(waiting)).status is TaskStatus.PENDING
    await tasks.append(running, [ContentAdded(NOW, "a")], LEASE)


async def test_a_task_is_there_until_its_own_time_to_live_is_over(store: Store) -> None:
    request = replace(REQUEST, ttl=50)
    task_id = await submit(store.tasks, request)
    await store.tasks.cancel(task_id, NOW)
    assert await store.tasks.request(task_id) == request
    assert len(await events_of(store.tasks, task_id)) == 3
    assert await store.tasks.create(Task.submit(task_id, REQUEST, NOW)) == await store.tasks.get(
        task_id
    )
    assert await store.tasks.claim(task_id, LEASE, NOW) == Ended(await store.tasks.get(task_id))
    await store.tasks.delete(task_id)
    await _assert_gone_for_good(store.tasks, task_id)


async def test_a_longer_time_to_live_than_the_log_has_is_that_of_the_log(
    forgetful_store: Store,
) -> None:
    """As after the settings were changed."""
    tasks = forgetful_store.tasks

    async def one_cancelled() -> str:
        task_id = await submit(tasks, replace(REQUEST, ttl=50))
        await tasks.cancel(task_id, NOW)
        return task_id

    task_id = await in_time(one_cancelled)
    await until(lambda: _is_gone(tasks, task_id), timeout=5.0)
