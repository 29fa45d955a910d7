"""Turns of chats over every store: many of them at once."""

import asyncio
import secrets

import pytest

from application.accounts import Accounts, Caller, Limits
from application.chats import Chats
from application.errors import OverLimit
from application.running_slots import SlotReleasingLog
from application.start_task import StartTask, Turn
from domain.events import TaskStatus
from domain.request import TaskRequest
from tests.builders import quotas_of
from tests.contract.stores import Store
from tests.doubles.queue import RecordingQueue
from tests.doubles.starts import get_task, start_task
from tests.waiting import within

ROUNDS, AT_ONCE = 3, 6
NO_LIMITS = Limits()


def _starter(store: Store, queue: RecordingQueue, limits: Limits = NO_LIMITS) -> StartTask:
    accounts = Accounts(limits, NO_LIMITS)
    tasks = SlotReleasingLog(store.tasks, store.limiter, accounts)
    quotas = quotas_of(store.limiter, tasks, accounts)
    return start_task(tasks, store.keys, queue, quotas, wait=within(10.0))


def _request() -> TaskRequest:
    return TaskRequest(model="m", prompt=secrets.token_hex(8))


def _caller() -> Caller:
    return Caller(secrets.token_hex(8), "192.0.2.1")


def _turn(reject: bool = False) -> Turn:
    return Turn(chat_id=secrets.token_hex(8), trigger="submit-message", reject=reject)


@pytest.mark.soak
async def test_equal_turns_at_once_are_one_task(store: Store) -> None:
    queue, caller = RecordingQueue(), _caller()
    start = _starter(store, queue, Limits(starts=ROUNDS))
    for _ in range(ROUNDS):
        request, turn, before = _request(), _turn(), len(set(queue.taken))
        results = await asyncio.gather(*(start(request, caller, turn) for _ in range(AT_ONCE)))
        assert len({each.task.id for each in results}) == 1
        assert sum(not each.joined for each in results) == 1
        assert len(set(queue.taken)) == before + 1


@pytest.mark.soak
async def test_of_different_turns_at_once_one_runs_and_is_the_newest(store: Store) -> None:
    queue, caller = RecordingQueue(), _caller()
    start, chats = _starter(store, queue), Chats(store.keys, get_task(store.tasks))
    for _ in range(ROUNDS):
        turn = _turn()
        results = await asyncio.gather(*(start(_request(), caller, turn) for _ in range(AT_ONCE)))
        newest = await chats.newest(turn.chat_id, caller.owner)
        assert newest is not None
        tasks = [await store.tasks.get(each.task.id) for each in results]
        assert len({each.id for each in tasks}) == AT_ONCE
        assert [each.id for each in tasks if not each.status.terminal] == [newest.id]
        assert sum(each.status is TaskStatus.CANCELLED for each in tasks) == AT_ONCE - 1


async def test_a_turn_that_joins_after_another_one_finds_the_newest(store: Store) -> None:
    queue, caller, turn = RecordingQueue(), _caller(), _turn()
    start, first, second = _starter(store, queue), _request(), _request()
    older = await start(first, caller, turn)
    newer = await start(second, caller, turn)
    joined = await start(second, caller, turn)
    assert joined.joined
    assert joined.task.id == newer.task.id
    again = await start(first, caller, turn)
    assert not again.joined
    assert again.task.id != older.task.id
    assert (await store.tasks.get(newer.task.id)).status is TaskStatus.CANCELLED


async def test_another_turn_gets_the_slot_of_the_task_that_it_cancels(store: Store) -> None:
    queue, caller, turn = RecordingQueue(), _caller(), _turn()
    start = _starter(store, queue, Limits(running=1))
    for _ in range(ROUNDS):
        assert not (await start(_request(), caller, turn)).joined
    with pytest.raises(OverLimit):
        await start(_request(), caller, _turn())
