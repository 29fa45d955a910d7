"""What every TaskLog keeps of an answer that an upstream keeps (Continuation)."""

import asyncio
import secrets
from dataclasses import replace

import pytest

from application.errors import DeletedTask, LeaseLost, UnknownTask
from application.ports import Openings
from domain.answer import Answer
from domain.attempt import Attempt
from domain.continuation import Continuation, Opening
from domain.events import ContentAdded, Event, StatusChanged, TaskStatus
from domain.failure import CONTINUATION_LOST, Failure
from domain.task import Task
from tests.builders import LEASE, NOW, REQUEST, follow_task, submit
from tests.contract.stores import Store, assert_shut_out, events_of
from tests.doubles.readers import events_of as events_in
from tests.doubles.readers import started
from tests.waiting import until

KEEPER = "upstream_1"
LONG = "x" * 20_000
"""So many fill several rows of the file."""


class _LogUnread(Exception):
    """The log has to be read before the task is claimed."""


def _anew(_: Task) -> Opening:
    return Opening(keeper=KEEPER)


def _resumed(task: Task) -> Opening:
    """As a worker decides."""
    continuation = task.continuation
    if continuation is None:
        return _anew(task)
    return Opening(resumed=True, added=continuation.advanced_by == task.attempt)


def _said(*texts: str) -> list[Event]:
    return [ContentAdded(NOW, text) for text in texts]


async def _claim(
    store: Store, task_id: str, opening: Openings = _resumed, lease: float = LEASE
) -> Attempt:
    attempt = await store.tasks.claim(task_id, lease, NOW, opening)
    assert isinstance(attempt, Attempt)
    return attempt


async def _begun(store: Store) -> Attempt:
    return await _claim(store, await submit(store.tasks))


async def _continuation(store: Store, task_id: str) -> Continuation | None:
    return (await store.tasks.get(task_id)).continuation


def _last_statuses(events: list[Event]) -> list[tuple[TaskStatus, int, str | None, bool]]:
    found = [each for each in events if isinstance(each, StatusChanged)]
    return [(each.status, each.attempt, each.reason, each.resumed) for each in found[-2:]]


async def test_an_attempt_that_begins_anew_notes_who_keeps_its_answer(store: Store) -> None:
    attempt = await _begun(store)
    assert attempt.task.continuation == Continuation(1, KEEPER)
    assert await store.tasks.get(attempt.task.id) == attempt.task


async def test_what_was_noted_is_there_for_the_next_attempt(store: Store) -> None:
    attempt = await _begun(store)
    task_id = attempt.task.id
    noted = await store.tasks.note_response(attempt, "resp 1: ü")
    assert noted.task == await store.tasks.get(task_id)
    assert noted.task.continuation == Continuation(1, KEEPER, "resp 1: ü")
    assert await store.tasks.note_response(attempt, "resp 1: ü") == noted  # repeated
    attempt = await store.tasks.append(noted, _said("a", "b"), LEASE, 7)
    assert (attempt.cursor, attempt.logged) == (7, 4)
    assert await _continuation(store, task_id) == Continuation(1, KEEPER, "resp 1: ü", 7, 4, 1)
    attempt = await store.tasks.append(attempt, _said("c"), LEASE)  # half an event of the upstream
    assert (attempt.cursor, attempt.logged) == (None, 5)
    kept = Continuation(1, KEEPER, "resp 1: ü", 7, 4, 1)
    assert await _continuation(store, task_id) == kept
    # It writes the record as it was when it began.
    await store.tasks.commit(attempt, attempt.task.requeue(NOW, "stopping", added=True))
    assert await _continuation(store, task_id) == kept
    again = await _claim(store, task_id)
    assert again.task.continuation == kept
    assert again.logged == 7
    assert again.task.counted_attempts == 1
    again = await store.tasks.append(again, _said("d"), LEASE, 9)
    assert await _continuation(store, task_id) == Continuation(1, KEEPER, "resp 1: ü", 9, 8, 2)
    assert _last_statuses(await events_of(store.tasks, task_id)) == [
        (TaskStatus.PENDING, 1, "stopping", False),
        (TaskStatus.RUNNING, 2, None, True),
    ]


async def test_a_lapsed_lease_is_taken_over_with_all_that_was_noted(store: Store) -> None:
    attempt = await _claim(store, await submit(store.tasks), _anew, lease=0.05)
    task_id = attempt.task.id
    attempt = await store.tasks.note_response(attempt, "resp_1")
    attempt = await store.tasks.append(attempt, _said("a"), 0.05, 3)

    async def taken_over() -> bool:
        nonlocal attempt
        claimed = await store.tasks.claim(task_id, LEASE, NOW, _resumed)
        if isinstance(claimed, Attempt):
            lost, attempt = attempt, claimed
            await assert_shut_out(store.tasks, lost)
            with pytest.raises(LeaseLost):
                await store.tasks.append(lost, _said("zombie"), LEASE, 100)
            with pytest.raises(LeaseLost):
                await store.tasks.note_response(lost, "zombie")
        return isinstance(claimed, Attempt)

    await until(taken_over)
    assert attempt.number == 2
    assert attempt.task.continuation == Continuation(1, KEEPER, "resp_1", 3, 3, 1)
    assert await store.tasks.get(task_id) == attempt.task
    assert attempt.task.counted_attempts == 1


async def test_an_opening_that_raises_leaves_the_task_as_it_is(store: Store) -> None:
    attempt = await store.tasks.append(await _begun(store), _said("a"), LEASE, 3)
    task_id = attempt.task.id
    await store.tasks.commit(attempt, attempt.task.requeue(NOW, "stopping"))
    before, events = await store.tasks.get(task_id), await events_of(store.tasks, task_id)

    def unsure(_: Task) -> Opening:
        raise _LogUnread

    others = [store.tasks.get(task_id) for _ in range(3)]  # at the same time
    claimed, *found = await asyncio.gather(
        store.tasks.claim(task_id, LEASE, NOW, unsure), *others, return_exceptions=True
    )
    assert isinstance(claimed, _LogUnread)
    assert found == [before] * 3
    assert await events_of(store.tasks, task_id) == events
    assert (await _claim(store, task_id)).number == 2


async def test_a_repeated_append_writes_its_cursor_once(store: Store) -> None:
    attempt = await _begun(store)
    first = await store.tasks.append(attempt, _said("a"), LEASE, 5)
    await store.tasks.append(first, _said("b"), LEASE, 6)
    await store.tasks.append(attempt, _said("a"), LEASE, 5)
    assert await _continuation(store, attempt.task.id) == Continuation(1, KEEPER, None, 6, 4, 1)
    assert len(await events_of(store.tasks, attempt.task.id)) == 4


async def test_a_cursor_stands_behind_all_events_of_its_append(store: Store) -> None:
    attempt = await _begun(store)
    attempt = await store.tasks.append(attempt, _said(LONG, LONG, LONG), LEASE, 0)
    expected = Continuation(1, KEEPER, None, 0, 5, 1)
    assert await _continuation(store, attempt.task.id) == expected
    attempt = await store.tasks.append(attempt, [], LEASE, 2)
    assert await _continuation(store, attempt.task.id) == expected
    assert len(await events_of(store.tasks, attempt.task.id)) == 5


async def test_an_attempt_that_begins_anew_knows_nothing_of_the_one_before(store: Store) -> None:
    attempt = await store.tasks.note_response(await _begun(store), "resp_1")
    attempt = await store.tasks.append(attempt, _said("a"), LEASE, 3)
    dropped = replace(attempt.task, continuation=None)
    await store.tasks.commit(attempt, dropped.requeue(NOW, "model_error"))
    assert await _continuation(store, attempt.task.id) is None
    again = await _claim(store, attempt.task.id)
    assert again.task.continuation == Continuation(2, KEEPER)
    await store.tasks.append(again, _said("b"), LEASE, 1)
    expected = Continuation(2, KEEPER, None, 1, again.logged + 1, 2)
    assert await _continuation(store, attempt.task.id) == expected


async def test_notes_of_a_task_without_a_continuation_are_left_out(store: Store) -> None:
    attempt = await _claim(store, await submit(store.tasks), lambda _: Opening())
    assert await store.tasks.note_response(attempt, "resp_1") == attempt
    await store.tasks.append(attempt, _said("a"), LEASE, 3)
    assert await store.tasks.get(attempt.task.id) == attempt.task
    await store.tasks.cancel(attempt.task.id, NOW)
    await store.tasks.note_released(attempt.task.id)
    assert await _continuation(store, attempt.task.id) is None


async def test_a_restart_is_one_step_and_needs_no_delivery(store: Store) -> None:
    attempt = await store.tasks.note_response(await _begun(store), "resp_1")
    attempt = await store.tasks.append(attempt, _said("a"), LEASE, 3)
    task_id = attempt.task.id
    _, sink = await started(follow_task(store.tasks, store.feed), task_id)
    change = attempt.task.restart(NOW, KEEPER)
    anew = await store.tasks.restart(attempt, change, LEASE)
    assert (anew.number, anew.logged, anew.request) == (2, 5, attempt.request)
    assert anew.task == await store.tasks.get(task_id)
    assert anew.task.continuation == Continuation(2, KEEPER)
    assert anew.task.counted_attempts == 2
    assert _last_statuses(await events_of(store.tasks, task_id)) == [
        (TaskStatus.PENDING, 1, CONTINUATION_LOST, False),
        (TaskStatus.RUNNING, 2, None, False),
    ]
    with pytest.raises(LeaseLost):
        await store.tasks.restart(attempt, change, LEASE)
    await assert_shut_out(store.tasks, attempt)
    assert not isinstance(await store.tasks.claim(task_id, LEASE, NOW), Attempt), "it has the lease"
    await store.tasks.renew(anew, LEASE)
    await store.tasks.append(anew, _said("b"), LEASE)
    events = await events_of(store.tasks, task_id)
    await until(lambda: events_in(sink.batches) == events)


async def test_only_of_a_task_that_has_ended_it_is_noted_that_the_upstream_was_told(
    store: Store,
) -> None:
    task_id = f"task_1_{secrets.token_hex(6)}"
    await store.tasks.create(Task.submit(task_id, REQUEST, NOW, "alice"))
    attempt = await store.tasks.note_response(await _claim(store, task_id), "resp_1")
    attempt = await store.tasks.append(attempt, _said("a"), LEASE, 3)
    await store.tasks.note_released(task_id)
    assert await _continuation(store, task_id) == Continuation(1, KEEPER, "resp_1", 3, 3, 1)
    ended = await store.tasks.cancel(task_id, NOW)
    events = await events_of(store.tasks, task_id)
    task = await store.tasks.get(task_id)
    assert ended.continuation is not None
    assert ended.continuation.response_id == "resp_1"
    assert task.continuation == Continuation(1, KEEPER, "resp_1", 3, 3, 1)
    await asyncio.gather(*(store.tasks.note_released(task_id) for _ in range(3)))
    assert await store.tasks.get(task_id) == replace(
        task, continuation=Continuation(1, KEEPER, "resp_1", 3, 3, 1, released=True)
    )
    assert (await store.index.records([task_id])) == [await store.tasks.get(task_id)]
    assert await events_of(store.tasks, task_id) == events
    await store.tasks.delete(task_id)
    with pytest.raises(DeletedTask):
        await store.tasks.note_released(task_id)
    with pytest.raises(UnknownTask):
        await store.tasks.note_released("task_1_none")


async def test_however_a_task_ends_its_upstream_is_known(store: Store) -> None:
    attempt = await store.tasks.note_response(await _begun(store), "resp_1")
    attempt = await store.tasks.append(attempt, _said("a"), LEASE, 3)
    done = attempt.task.complete(
        NOW, answer=Answer("a"), finish_reason="stop", model="m", usage=None
    )
    await store.tasks.commit(attempt, done)
    kept = await _continuation(store, attempt.task.id)
    assert kept == Continuation(1, KEEPER, "resp_1", 3, 3, 1)

    waits = await store.tasks.note_response(await _begun(store), "resp_2")
    await store.tasks.commit(waits, waits.task.requeue(NOW, "stopping"))
    failed = await store.tasks.fail(waits.task.id, Failure("x", "It failed.", True), NOW)
    assert isinstance(failed, Task)
    assert failed.continuation == Continuation(1, KEEPER, "resp_2")
    assert await store.tasks.get(waits.task.id) == failed
