"""Retries of SDKs over every store: many of them at once."""

import asyncio
import secrets
from typing import Any, cast

from application.accounts import Accounts, Caller, Limits
from application.ports import IdempotencyKeys
from application.start_task import StartTask, Try
from domain.request import TaskRequest
from tests.builders import quotas_of
from tests.contract.stores import Store
from tests.doubles.queue import RecordingQueue
from tests.doubles.starts import Frozen, Slow, start_task
from tests.waiting import within

ROUNDS, AT_ONCE = 5, 10


def _starter(
    store: Store, queue: RecordingQueue, starts: int, keys: IdempotencyKeys | None = None
) -> StartTask:
    limits = Accounts(Limits(starts=starts), Limits())
    quotas = quotas_of(store.limiter, store.tasks, limits)
    return start_task(store.tasks, keys or store.keys, queue, quotas, wait=within(5.0))


def _request() -> TaskRequest:
    return TaskRequest(model="m", prompt=secrets.token_hex(8))


async def test_a_first_try_and_its_retries_at_once_are_one_task(store: Store) -> None:
    queue, caller = RecordingQueue(), Caller(secrets.token_hex(8), "192.0.2.1")
    start = _starter(store, queue, starts=ROUNDS)
    for _ in range(ROUNDS):
        request, before = _request(), len(set(queue.taken))
        bound = Frozen("after rebind")
        slow = _starter(store, queue, starts=ROUNDS, keys=cast(Any, Slow(store.keys, bound)))
        first = asyncio.create_task(slow(request, caller, Try.FIRST))
        await bound.reached.wait()
        retries = [start(request, caller, Try.AGAIN) for _ in range(AT_ONCE)]
        bound.go_on.set()
        results = await asyncio.gather(first, *retries)
        assert len({each.task.id for each in results}) == 1
        assert sum(not each.joined for each in results) == 1
        assert len(set(queue.taken)) == before + 1


async def test_retries_at_once_without_a_first_try_are_one_task(store: Store) -> None:
    queue, caller = RecordingQueue(), Caller(secrets.token_hex(8), "192.0.2.1")
    start = _starter(store, queue, starts=ROUNDS)
    for _ in range(ROUNDS):
        request = _request()
        results = await asyncio.gather(*(start(request, caller, Try.AGAIN) for _ in range(AT_ONCE)))
        assert len({each.task.id for each in results}) == 1
        assert sum(not each.joined for each in results) == 1


async def test_a_retry_joins_the_newest_of_equal_requests(store: Store) -> None:
    queue, caller, request = RecordingQueue(), Caller(secrets.token_hex(8), ""), _request()
    start = _starter(store, queue, starts=2)
    first = await start(request, caller, Try.FIRST)
    second = await start(request, caller, Try.FIRST)
    retried = await start(request, caller, Try.AGAIN)
    assert retried.joined
    assert retried.task.id == second.task.id != first.task.id
