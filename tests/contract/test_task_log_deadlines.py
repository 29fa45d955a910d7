"""What every TaskLog keeps of a deadline, and how a task whose deadline is over ends on it."""

import asyncio
import secrets
from dataclasses import replace

from application.deadlines import EndOverdueTask, fail_overdue
from application.outcome import Ack
from application.ports import ORPHAN_TIMEOUT, Busy, Guard
from application.reap import FailOrphanedTasks
from domain.answer import Answer
from domain.events import ContentAdded, TaskErrored, TaskStatus, fold
from domain.failure import DEADLINE_EXCEEDED
from domain.task import Task
from entrypoints.identity import SystemClock
from tests.builders import LEASE, NOW, REQUEST, after_end, claim
from tests.contract.stores import Store, events_of
from tests.doubles.queue import RecordingQueue
from tests.waiting import within

GUARD_ID = "msg_guard"


async def limited(store: Store) -> Task:
    """A new task whose deadline is long over."""
    submitted = Task.submit(f"task_1_{secrets.token_hex(6)}", replace(REQUEST, deadline=60), NOW)
    guarded = replace(submitted.task, guard_id=GUARD_ID)
    return await store.tasks.create(replace(submitted, task=guarded))


async def test_every_record_of_a_task_says_its_deadline_and_its_guard(store: Store) -> None:
    task = await limited(store)
    await store.tasks.note_message(task.id, "msg_1")
    attempt = await claim(store.tasks, task.id)
    await store.tasks.commit(
        attempt,
        attempt.task.complete(
            NOW, answer=Answer(), finish_reason="stop", model="m", usage=None, valid=None
        ),
    )
    ended = await store.tasks.get(task.id)
    for each in (task, attempt.task, ended):
        assert (each.deadline, each.guard_id) == (NOW + 60_000, GUARD_ID)
    (listed,) = await store.index.records([task.id])
    assert listed == ended


async def test_a_task_that_waits_fails_with_all_that_was_said(store: Store) -> None:
    task = await limited(store)
    attempt = await claim(store.tasks, task.id)
    attempt = await store.tasks.append(attempt, [ContentAdded(NOW, "Said")], LEASE)
    assert isinstance(await fail_overdue(store.tasks, task.id, NOW), Busy)
    await store.tasks.commit(attempt, attempt.task.requeue(NOW, "model_error"))
    failed = await fail_overdue(store.tasks, task.id, NOW)
    assert isinstance(failed, Task)
    assert (failed.status, failed.failure) == (TaskStatus.FAILED, DEADLINE_EXCEEDED)
    events = await events_of(store.tasks, task.id)
    assert fold(events).answer.text == "Said"
    assert events[-1] == TaskErrored(
        NOW, DEADLINE_EXCEEDED.message, DEADLINE_EXCEEDED.code, DEADLINE_EXCEEDED.retryable
    )
    assert await fail_overdue(store.tasks, task.id, NOW + 1) == failed


async def test_the_guard_waits_for_a_worker_and_ends_what_a_frozen_one_has_left(
    store: Store,
) -> None:
    clock = SystemClock()
    orphans = FailOrphanedTasks(store.tasks, clock, ORPHAN_TIMEOUT)
    queue = RecordingQueue()
    end = after_end(store.tasks, queue, clock)
    guard = EndOverdueTask(store.tasks, store.feed, queue, clock, orphans, end)
    task = await limited(store)
    attempt = await claim(store.tasks, task.id)
    guarding = asyncio.create_task(guard(Guard(task.id)))
    done, _ = await asyncio.wait({guarding}, timeout=0.1)
    assert not done
    await store.tasks.commit(attempt, attempt.task.fail(NOW, DEADLINE_EXCEEDED))
    assert await asyncio.wait_for(guarding, within(5)) == Ack()
    frozen = await limited(store)
    await claim(store.tasks, frozen.id, lease=0.2)
    assert await asyncio.wait_for(guard(Guard(frozen.id)), within(5)) == Ack()
    assert (await store.tasks.get(frozen.id)).failure == DEADLINE_EXCEEDED
    await store.tasks.delete(frozen.id)
    assert await guard(Guard(frozen.id)) == Ack()
