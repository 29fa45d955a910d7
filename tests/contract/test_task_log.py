"""What every TaskLog promises (application/ports/)."""

import pytest

from application.errors import UnknownTask
from application.ports import Busy
from domain.answer import Answer
from domain.errors import IllegalTransition
from domain.events import (
    ContentAdded,
    StatusChanged,
    TaskEnded,
    TaskStatus,
    Usage,
    fold,
)
from domain.failure import Failure
from domain.request import TaskRequest
from domain.task import Task
from tests.builders import LEASE, NOW, REQUEST, claim, submit
from tests.contract.stores import Store, assert_shut_out, events_of
from tests.waiting import until

FAILURE = Failure("model_error", "It failed.", True)


async def test_a_new_task_waits(store: Store) -> None:
    request = TaskRequest(
        model="m",
        max_tokens=10,
        temperature=0.5,
        messages=(
            {"role": "user", "content": "A\u2028é🌊"},
            {"role": "assistant", "content": "B"},
        ),
        system="S",
        metadata={"k": "v"},
    )
    task_id = await submit(store.tasks, request)
    task = await store.tasks.get(task_id)
    assert task.status is TaskStatus.PENDING
    assert task.attempt == 0
    assert task.created_at == NOW
    assert task.requested_model == "m"
    assert await store.tasks.request(task_id) == request
    assert await events_of(store.tasks, task_id) == [StatusChanged(NOW, TaskStatus.PENDING, 0)]


async def test_a_bound_that_is_lowered_leaves_older_tasks_readable(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    task_id = await submit(store.tasks)
    monkeypatch.setattr("domain.request.MAX_TOKENS_LIMIT", 1)
    assert REQUEST.faults()
    assert await store.tasks.request(task_id) == REQUEST
    assert (await claim(store.tasks, task_id)).request == REQUEST


async def test_creating_again_changes_nothing(store: Store) -> None:
    task_id = await submit(store.tasks)
    attempt = await claim(store.tasks, task_id)
    again = await store.tasks.create(Task.submit(task_id, REQUEST, NOW + 1))
    assert again == attempt.task
    assert len(await events_of(store.tasks, task_id)) == 2


async def test_a_retry_names_its_task_whatever_becomes_of_it(store: Store) -> None:
    retry, lost = (f"task_1_{id(store):x}{each}" for each in "ab")
    await store.tasks.create(Task.submit(retry, REQUEST, NOW, retry_of="task_1_old"))
    attempt = await claim(store.tasks, retry)
    assert attempt.task.retry_of == "task_1_old"
    await store.tasks.commit(attempt, attempt.task.requeue(NOW, "x"))
    assert (await store.tasks.get(retry)).retry_of == "task_1_old"
    assert (await store.tasks.cancel(retry, NOW)).retry_of == "task_1_old"
    # The store has lost it, and a delivery without the request creates it again.
    await store.tasks.create(Task.restore(lost, None, "m", NOW, None, None, retry_of="task_1_old"))
    assert (await store.tasks.get(lost)).retry_of == "task_1_old"
    assert (await store.tasks.get(await submit(store.tasks))).retry_of is None


async def test_an_unknown_task_is_unknown_to_all(store: Store) -> None:
    tasks = store.tasks
    for call in (
        tasks.get("unknown"),
        tasks.request("unknown"),
        tasks.claim("unknown", LEASE, NOW),
        tasks.cancel("unknown", NOW),
        tasks.fail("unknown", FAILURE, NOW),
        tasks.fail_unqueued("unknown", FAILURE, NOW),
        tasks.read("unknown", 0, 10),
        tasks.note_message("unknown", "msg"),
    ):
        with pytest.raises(UnknownTask):
            await call


async def test_the_message_id_survives_the_attempt_that_did_not_know_it(store: Store) -> None:
    task_id = await submit(store.tasks)
    attempt = await claim(store.tasks, task_id)
    await store.tasks.note_message(task_id, "msg_1")
    assert (await store.tasks.get(task_id)).message_id == "msg_1"
    await store.tasks.commit(attempt, attempt.task.requeue(NOW, "x"))
    assert (await store.tasks.get(task_id)).message_id == "msg_1"
    assert (await claim(store.tasks, task_id)).task.message_id == "msg_1"


async def test_an_attempt_writes_and_completes(store: Store) -> None:
    task_id = await submit(store.tasks)
    attempt = await claim(store.tasks, task_id)
    assert attempt.number == 1
    assert attempt.task.status is TaskStatus.RUNNING
    two = [ContentAdded(NOW, "a"), ContentAdded(NOW, "b")]
    attempt = await store.tasks.append(attempt, two, LEASE)
    attempt = await store.tasks.append(attempt, [ContentAdded(NOW, "c\n\u2028é")], LEASE)
    usage = Usage(1, 2, 3)
    done = attempt.task.complete(
        NOW + 5, answer=Answer("abc\n\u2028é"), finish_reason="stop", model="m-1", usage=usage
    )
    await store.tasks.commit(attempt, done)
    task = await store.tasks.get(task_id)
    assert task == done.task
    assert task.usage == usage
    log = await events_of(store.tasks, task_id)
    assert log[-1] == TaskEnded(NOW + 5, Answer("abc\n\u2028é"), "stop", "m-1", usage)
    assert fold(log).closed


async def test_an_append_made_again_adds_nothing(store: Store) -> None:
    task_id = await submit(store.tasks)
    attempt = await claim(store.tasks, task_id)
    for texts in (["a"], ["b", "c"]):
        added = [ContentAdded(NOW, text) for text in texts]
        once = await store.tasks.append(attempt, added, LEASE)
        assert await store.tasks.append(attempt, added, LEASE) == once
        attempt = once
    assert fold(await events_of(store.tasks, task_id)).answer.text == "abc"
    assert attempt.logged == len(await events_of(store.tasks, task_id)) == 5


async def test_cancel_keeps_the_text_of_the_last_attempt(store: Store) -> None:
    task_id = await submit(store.tasks)
    first = await claim(store.tasks, task_id)
    await store.tasks.append(first, [ContentAdded(NOW, "lost")], LEASE)
    await store.tasks.commit(first, first.task.requeue(NOW, "x"))
    second = await claim(store.tasks, task_id)
    await store.tasks.append(second, [ContentAdded(NOW, 'k"e'), ContentAdded(NOW, "pt\n")], LEASE)
    task = await store.tasks.cancel(task_id, NOW + 1)
    assert task.status is TaskStatus.CANCELLED
    last = (await events_of(store.tasks, task_id))[-1]
    assert isinstance(last, TaskEnded)
    assert last.answer.text == 'k"ept\n'
    assert last.finish_reason == "cancelled"
    await assert_shut_out(store.tasks, second)
    with pytest.raises(IllegalTransition):
        await store.tasks.cancel(task_id, NOW)


async def test_a_waiting_task_is_cancelled_with_no_text(store: Store) -> None:
    task_id = await submit(store.tasks)
    await store.tasks.cancel(task_id, NOW)
    folded = fold(await events_of(store.tasks, task_id))
    assert (folded.status, folded.answer.text, folded.closed) == (TaskStatus.CANCELLED, "", True)


async def test_fail_leaves_a_live_attempt_alone(store: Store) -> None:
    task_id = await submit(store.tasks)
    attempt = await claim(store.tasks, task_id)
    assert isinstance(await store.tasks.fail(task_id, FAILURE, NOW), Busy)
    await store.tasks.append(attempt, [ContentAdded(NOW, "a")], LEASE)


async def test_fail_ends_a_task_without_a_live_attempt(store: Store) -> None:
    waiting = await submit(store.tasks)
    failed = await store.tasks.fail(waiting, FAILURE, NOW)
    assert isinstance(failed, Task)
    assert failed.failure == FAILURE
    with pytest.raises(IllegalTransition):
        await store.tasks.fail(waiting, FAILURE, NOW)

    lapsed = await submit(store.tasks)
    attempt = await claim(store.tasks, lapsed, lease=0.02)

    async def fails() -> bool:
        return isinstance(await store.tasks.fail(lapsed, FAILURE, NOW), Task)

    await until(fails)
    assert fold(await events_of(store.tasks, lapsed)).closed
    await assert_shut_out(store.tasks, attempt)


async def test_a_task_that_the_queue_did_not_take_fails(store: Store) -> None:
    task_id = await submit(store.tasks)
    failed = await store.tasks.fail_unqueued(task_id, FAILURE, NOW)
    assert failed is not None
    assert failed.failure == FAILURE
    assert fold(await events_of(store.tasks, task_id)).closed
    assert await store.tasks.fail_unqueued(task_id, FAILURE, NOW) is None


async def test_a_task_that_the_queue_took_after_all_does_not_fail(store: Store) -> None:
    published, delivered = await submit(store.tasks), await submit(store.tasks)
    await store.tasks.note_message(published, "msg")
    assert await store.tasks.fail_unqueued(published, FAILURE, NOW) is None
    attempt = await claim(store.tasks, delivered)
    assert await store.tasks.fail_unqueued(delivered, FAILURE, NOW) is None
    await store.tasks.commit(attempt, attempt.task.requeue(NOW, "x"))
    assert await store.tasks.fail_unqueued(delivered, FAILURE, NOW) is None
    for task_id in (published, delivered):
        assert (await store.tasks.get(task_id)).status is TaskStatus.PENDING


async def test_a_store_that_answers_says_so(store: Store) -> None:
    await store.tasks.check()
