"""What every TaskLog promises (application/ports.py)."""

import asyncio

import pytest

from application.errors import LeaseLost, UnknownTask
from application.ports import PAGE_SIZE, Busy, Ended, TaskLog
from domain.errors import IllegalTransition
from domain.events import (
    START,
    ContentAdded,
    Event,
    Position,
    StatusChanged,
    TaskEnded,
    TaskErrored,
    TaskStatus,
    Usage,
    fold,
    text_size,
)
from domain.request import Message, Role, TaskRequest
from domain.task import Attempt, Failure, Task
from tests.builders import LEASE, NOW, REQUEST, claim, submit
from tests.contract.stores import ORPHAN_TIMEOUT, Store
from tests.waiting import until

FAILURE = Failure("model_error", "It failed.", True)


async def events(tasks: TaskLog, task_id: str) -> list[Event]:
    return list((await tasks.read(task_id, 0, 10_000)).events)


async def test_a_new_task_waits(store: Store) -> None:
    request = TaskRequest(
        model="m",
        max_tokens=10,
        temperature=0.5,
        messages=(Message(Role.USER, "A\u2028é🌊"), Message(Role.ASSISTANT, "B")),
        system="S",
        metadata={"k": "v"},
    )
    task_id = await submit(store.tasks, request)
    task = await store.tasks.get(task_id)
    assert task.status is TaskStatus.PENDING
    assert task.attempt == 0
    assert task.created_at == NOW
    assert task.request == request
    assert await events(store.tasks, task_id) == [StatusChanged(NOW, TaskStatus.PENDING, 0)]


async def test_creating_again_changes_nothing(store: Store) -> None:
    task_id = await submit(store.tasks)
    attempt = await claim(store.tasks, task_id)
    again = await store.tasks.create(Task.submit(task_id, REQUEST, NOW + 1))
    assert again == attempt.task
    assert len(await events(store.tasks, task_id)) == 2


async def test_an_unknown_task_is_unknown_to_all(store: Store) -> None:
    tasks = store.tasks
    for call in (
        tasks.get("nobody"),
        tasks.claim("nobody", LEASE, NOW),
        tasks.cancel("nobody", NOW),
        tasks.fail("nobody", FAILURE, NOW),
        tasks.read("nobody", 0, 10),
        tasks.note_message("nobody", "msg"),
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
        NOW + 5, text="abc\n\u2028é", finish_reason="stop", model="m-1", usage=usage
    )
    await store.tasks.commit(attempt, done)
    task = await store.tasks.get(task_id)
    assert task == done.task
    assert task.usage == usage
    log = await events(store.tasks, task_id)
    assert log[-1] == TaskEnded(NOW + 5, "abc\n\u2028é", "stop", "m-1", usage)
    assert fold(log).closed


async def test_an_append_made_again_adds_nothing(store: Store) -> None:
    task_id = await submit(store.tasks)
    attempt = await claim(store.tasks, task_id)
    for texts in (["a"], ["b", "c"]):
        added = [ContentAdded(NOW, text) for text in texts]
        once = await store.tasks.append(attempt, added, LEASE)
        assert await store.tasks.append(attempt, added, LEASE) == once
        attempt = once
    assert fold(await events(store.tasks, task_id)).text == "abc"
    assert attempt.logged == len(await events(store.tasks, task_id)) == 5


async def test_a_live_attempt_keeps_others_out(store: Store) -> None:
    task_id = await submit(store.tasks)
    await claim(store.tasks, task_id)
    busy = await store.tasks.claim(task_id, LEASE, NOW)
    assert isinstance(busy, Busy)
    assert 0 < busy.lease_left <= LEASE
    assert len(await events(store.tasks, task_id)) == 2


async def test_many_claims_at_once_give_one_attempt(store: Store) -> None:
    task_id = await submit(store.tasks)
    claims = await asyncio.gather(*[store.tasks.claim(task_id, LEASE, NOW) for _ in range(8)])
    assert sum(isinstance(each, Attempt) for each in claims) == 1
    assert sum(isinstance(each, Busy) for each in claims) == 7


async def test_a_lapsed_lease_is_taken_over_and_the_log_says_so(store: Store) -> None:
    task_id = await submit(store.tasks)
    first = await claim(store.tasks, task_id, lease=0.05)
    await store.tasks.append(first, [ContentAdded(NOW, "lost")], 0.05)
    taken: list[Attempt] = []

    async def take_over() -> bool:
        claimed = await store.tasks.claim(task_id, LEASE, NOW)
        if isinstance(claimed, Attempt):
            taken.append(claimed)
        return bool(taken)

    await until(take_over)
    second = taken[0]
    assert second.number == 2
    log = await events(store.tasks, task_id)
    assert log[3:] == [
        StatusChanged(NOW, TaskStatus.PENDING, 1, "lease_lapsed"),
        StatusChanged(NOW, TaskStatus.RUNNING, 2),
    ]
    await _is_shut_out(store.tasks, first)
    await store.tasks.append(second, [ContentAdded(NOW, "kept")], LEASE)
    assert fold(await events(store.tasks, task_id)).text == "kept"


async def _is_shut_out(tasks: TaskLog, attempt: Attempt) -> None:
    before = await events(tasks, attempt.task.id)
    done = attempt.task.complete(NOW, text="", finish_reason="stop", model="m", usage=None)
    for call in (
        tasks.append(attempt, [ContentAdded(NOW, "zombie")], LEASE),
        tasks.renew(attempt, LEASE),
        tasks.commit(attempt, done),
        tasks.commit(attempt, attempt.task.requeue(NOW, "x")),
    ):
        with pytest.raises(LeaseLost):
            await call
    assert await events(tasks, attempt.task.id) == before


async def test_renewing_holds_the_lease(store: Store) -> None:
    task_id = await submit(store.tasks)
    attempt = await claim(store.tasks, task_id, lease=0.05)
    await store.tasks.renew(attempt, LEASE)
    await asyncio.sleep(0.1)  # past the first lease: nothing tells of a lease that held
    assert isinstance(await store.tasks.claim(task_id, LEASE, NOW), Busy)


async def test_a_lapsed_lease_alone_does_not_stop_the_writer(store: Store) -> None:
    task_id = await submit(store.tasks)
    attempt = await claim(store.tasks, task_id, lease=0.01)
    await asyncio.sleep(0.05)
    await store.tasks.append(attempt, [ContentAdded(NOW, "still here")], LEASE)
    assert isinstance(await store.tasks.claim(task_id, LEASE, NOW), Busy)


async def test_an_attempt_given_back_is_free_at_once(store: Store) -> None:
    task_id = await submit(store.tasks)
    first = await claim(store.tasks, task_id)
    await store.tasks.commit(first, first.task.requeue(NOW, "model_error"))
    assert (await store.tasks.get(task_id)).status is TaskStatus.PENDING
    await _is_shut_out(store.tasks, first)
    assert (await claim(store.tasks, task_id)).number == 2


async def test_an_ended_task_is_not_claimed(store: Store) -> None:
    task_id = await submit(store.tasks)
    attempt = await claim(store.tasks, task_id)
    await store.tasks.commit(attempt, attempt.task.fail(NOW, FAILURE))
    ended = await store.tasks.claim(task_id, LEASE, NOW)
    assert isinstance(ended, Ended)
    assert ended.task.failure == FAILURE
    assert (await events(store.tasks, task_id))[-1] == TaskErrored(
        NOW, "It failed.", "model_error", True
    )


async def test_cancel_keeps_the_text_of_the_last_attempt(store: Store) -> None:
    task_id = await submit(store.tasks)
    first = await claim(store.tasks, task_id)
    await store.tasks.append(first, [ContentAdded(NOW, "lost")], LEASE)
    await store.tasks.commit(first, first.task.requeue(NOW, "x"))
    second = await claim(store.tasks, task_id)
    await store.tasks.append(second, [ContentAdded(NOW, 'k"e'), ContentAdded(NOW, "pt\n")], LEASE)
    task = await store.tasks.cancel(task_id, NOW + 1)
    assert task.status is TaskStatus.CANCELLED
    last = (await events(store.tasks, task_id))[-1]
    assert isinstance(last, TaskEnded)
    assert last.text == 'k"ept\n'
    assert last.finish_reason == "cancelled"
    await _is_shut_out(store.tasks, second)
    with pytest.raises(IllegalTransition):
        await store.tasks.cancel(task_id, NOW)


async def test_a_waiting_task_is_cancelled_with_no_text(store: Store) -> None:
    task_id = await submit(store.tasks)
    await store.tasks.cancel(task_id, NOW)
    folded = fold(await events(store.tasks, task_id))
    assert (folded.status, folded.text, folded.closed) == (TaskStatus.CANCELLED, "", True)


async def test_fail_leaves_a_live_attempt_alone(store: Store) -> None:
    task_id = await submit(store.tasks)
    attempt = await claim(store.tasks, task_id)
    assert isinstance(await store.tasks.fail(task_id, FAILURE, NOW), Busy)
    await store.tasks.append(attempt, [ContentAdded(NOW, "a")], LEASE)


async def test_fail_settles_what_nobody_holds(store: Store) -> None:
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
    assert fold(await events(store.tasks, lapsed)).closed
    await _is_shut_out(store.tasks, attempt)


async def test_a_log_is_read_in_pages(store: Store) -> None:
    task_id = await submit(store.tasks)
    attempt = await claim(store.tasks, task_id)
    await store.tasks.append(attempt, [ContentAdded(NOW, str(n)) for n in range(10)], LEASE)
    whole = await store.tasks.read(task_id, 0, 100)
    assert (whole.after, whole.length, len(whole.events)) == (START, 12, 12)
    page = await store.tasks.read(task_id, 5, 3)
    assert (page.after.offset, page.length, page.caught_up) == (5, 12, False)
    assert page.events == whole.events[5:8]
    assert page.after.epoch == page.end.epoch == whole.end.epoch
    beyond = await store.tasks.read(task_id, 12, 3)
    assert (beyond.after, beyond.length, beyond.events) == (whole.end, 12, ())
    assert beyond.caught_up
    far = await store.tasks.read(task_id, 99, 3)
    assert (far.events, far.after, far.caught_up) == ((), START, False)


async def test_every_page_tells_an_event_the_same_epoch(store: Store) -> None:
    """However the pages are cut: its own, and that of the event before it."""
    task_id = await submit(store.tasks)
    for _ in range(3):
        attempt = await claim(store.tasks, task_id)
        attempt = await store.tasks.append(attempt, [ContentAdded(NOW, "a")] * 2, LEASE)
        await store.tasks.commit(attempt, attempt.task.requeue(NOW, "lost"))
    whole = await store.tasks.read(task_id, 0, 100)
    epochs = [batch.end.epoch for batch in whole.batches for _ in batch.events]
    assert len(epochs) == whole.length == 13
    positions = [START, *map(Position, epochs, range(1, 14)), START]
    for after in range(15):
        for limit in range(1, 15):
            page = await store.tasks.read(task_id, after, limit)
            assert page.after == positions[after]
            offset = after
            for batch in page.batches:
                assert batch.after == positions[offset]
                assert {batch.end.epoch} == set(epochs[offset : batch.end.offset])
                offset = batch.end.offset
            assert offset == max(after, min(after + limit, 13))
            assert page.caught_up == (after + limit >= 13 and after <= 13)


async def test_two_logs_have_two_epochs(store: Store) -> None:
    first, second = await submit(store.tasks), await submit(store.tasks)
    epochs = {await _epoch(store.tasks, each) for each in (first, second)}
    assert len(epochs) == 2
    assert all(epoch.isalnum() for epoch in epochs)


async def _epoch(tasks: TaskLog, task_id: str) -> str:
    return (await tasks.read(task_id, 0, 1)).end.epoch


async def test_tasks_are_forgotten_after_their_time(forgetful_store: Store) -> None:
    tasks = forgetful_store.tasks
    old = await submit(tasks)
    epoch = await _epoch(tasks, old)

    async def gone() -> bool:
        try:
            await tasks.get(old)
        except UnknownTask:
            return True
        return False

    await until(gone)
    with pytest.raises(UnknownTask):
        await tasks.read(old, 0, 1)
    # Made anew under the same id, it is another log.
    await tasks.create(Task.submit(old, REQUEST, NOW))
    assert await _epoch(tasks, old) != epoch


async def test_a_store_that_answers_says_so(store: Store) -> None:
    await store.tasks.check()


async def _forgotten(store: Store, task_id: str) -> bool:
    task = await store.tasks.fail_orphaned(task_id, FAILURE, NOW)
    return task.failure == FAILURE


async def test_a_task_without_a_active_at_is_forgotten(store: Store) -> None:
    task_id = await submit(store.tasks)
    assert not await _forgotten(store, task_id)
    await until(lambda: _forgotten(store, task_id))
    folded = fold(await events(store.tasks, task_id))
    assert (folded.status, folded.closed) == (TaskStatus.FAILED, True)
    with pytest.raises(UnknownTask):
        await store.tasks.fail_orphaned("task_1_nobody", FAILURE, NOW)


async def test_a_live_attempt_is_not_forgotten_and_a_dead_one_is(store: Store) -> None:
    task_id = await submit(store.tasks)
    attempt = await claim(store.tasks, task_id)
    await asyncio.sleep(ORPHAN_TIMEOUT * 1.2)
    assert not await _forgotten(store, task_id)
    await store.tasks.renew(attempt, 0.01)
    await until(lambda: _forgotten(store, task_id))


async def test_one_that_ended_stays_as_it_is(store: Store) -> None:
    task_id = await submit(store.tasks)
    ended = await store.tasks.cancel(task_id, NOW)
    await asyncio.sleep(ORPHAN_TIMEOUT)
    assert await store.tasks.fail_orphaned(task_id, FAILURE, NOW) == ended


async def test_a_page_of_large_events_is_short_and_never_empty(store: Store) -> None:
    task_id = await submit(store.tasks)
    attempt = await claim(store.tasks, task_id)
    large = "x" * (PAGE_SIZE // 4)
    attempt = await store.tasks.append(attempt, [ContentAdded(NOW, large)] * 9, LEASE)
    attempt = await store.tasks.append(attempt, [ContentAdded(NOW, large * 8)], LEASE)
    seen: list[Event] = []
    sizes = []
    while True:
        page = await store.tasks.read(task_id, len(seen), 1_000)
        seen.extend(page.events)
        sizes.append(len(page.events))
        if len(seen) == page.length:
            break
    assert len(seen) == 12
    assert max(sizes) <= 2 + 4
    assert min(sizes) >= 1
    assert sum(text_size(event) for event in seen) == 17 * len(large)
