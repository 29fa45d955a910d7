"""StartTask for SDKs that repeat requests without an idempotency key: a retry never pays again."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from application.accounts import Caller
from application.errors import OverLimit, QueueRefused, QueueUnavailable, StartUncertain
from application.start_by_sdk import REMEMBERED, STAND_IN_AFTER
from application.start_task import Try
from domain.answer import Answer
from domain.attempt import Attempt
from domain.failure import Failure
from tests.builders import LEASE, OTHER_REQUEST, REQUEST
from tests.doubles.starts import CALLER, Bench

FAILED = Failure("model_error", "It failed.", True)


async def _attempt(bench: Bench, task_id: str) -> Attempt:
    attempt = await bench.tasks.claim(task_id, LEASE, 1)
    assert isinstance(attempt, Attempt)
    return attempt


async def _complete(bench: Bench, task_id: str) -> None:
    attempt = await _attempt(bench, task_id)
    done = attempt.task.complete(1, answer=Answer(""), finish_reason="stop", model="m", usage=None)
    await bench.tasks.commit(attempt, done)


async def _cancel(bench: Bench, task_id: str) -> None:
    await bench.tasks.cancel(task_id, 1)


async def _fail_once_asked(bench: Bench, task_id: str) -> None:
    attempt = await _attempt(bench, task_id)
    await bench.tasks.commit(attempt, attempt.task.fail(1, FAILED))


async def test_equal_first_tries_at_once_are_tasks_of_their_own() -> None:
    bench = Bench()
    results = await asyncio.gather(
        *(bench.starter()(REQUEST, CALLER, Try.FIRST) for _ in range(20))
    )
    assert len({each.task.id for each in results}) == len(bench.records) == 20
    assert not any(each.joined for each in results)


async def test_a_retry_joins_the_newest_task() -> None:
    bench = Bench()
    older, newest = await bench.start(key=Try.FIRST), await bench.start(key=Try.FIRST)
    retried = await bench.starter()(REQUEST, CALLER, Try.AGAIN)
    assert retried.joined
    assert retried.task.id == newest.id != older.id
    assert bench.queue.taken == [older.id, newest.id]


@pytest.mark.parametrize("end", [_complete, _cancel, _fail_once_asked])
async def test_a_retry_joins_a_task_that_has_ended(
    end: Callable[[Bench, str], Awaitable[None]],
) -> None:
    bench = Bench()
    first = await bench.start(key=Try.FIRST)
    await end(bench, first.id)
    retried = await bench.starter()(REQUEST, CALLER, Try.AGAIN)
    assert retried.joined
    assert retried.task == await bench.tasks.get(first.id)
    assert retried.task.status.terminal
    assert bench.queue.taken == [first.id]


async def test_retries_of_a_task_that_failed_before_the_model_was_asked_make_one_new_task() -> None:
    bench = Bench()
    first = await bench.start(key=Try.FIRST)
    await bench.tasks.fail(first.id, FAILED, 1)
    again = await asyncio.gather(
        *(bench.starter(wait=5.0)(REQUEST, CALLER, Try.AGAIN) for _ in range(20))
    )
    (new,) = {each.task.id for each in again}
    assert sum(not each.joined for each in again) == 1
    assert set(bench.queue.taken) == {first.id, new}
    assert bench.admits.admitted == [first.id, new]


async def test_retries_whose_first_try_never_arrived_make_one_task() -> None:
    bench = Bench(starts=1)
    results = await asyncio.gather(
        *(bench.starter(wait=5.0)(REQUEST, CALLER, Try.AGAIN) for _ in range(20))
    )
    assert len({each.task.id for each in results}) == 1
    assert sum(not each.joined for each in results) == 1
    assert len(bench.admits.admitted) == len(bench.records) == len(set(bench.queue.taken)) == 1


async def test_a_retry_that_joins_is_refused_by_no_limit() -> None:
    bench = Bench(starts=1)
    first = await bench.start(key=Try.FIRST)
    assert bench.admits.left == 0
    assert (await bench.start(key=Try.AGAIN)).id == first.id


async def test_the_retry_of_a_first_try_that_was_refused_joins_no_older_task() -> None:
    bench = Bench(starts=1)
    older = await bench.start(key=Try.FIRST)
    for which in (Try.FIRST, Try.AGAIN):
        with pytest.raises(OverLimit):
            await bench.start(key=which)
    bench.admits.left = 1
    assert (await bench.start(key=Try.AGAIN)).id != older.id


async def test_only_equal_requests_of_the_same_owner_join() -> None:
    bench = Bench()
    first = await bench.start(key=Try.FIRST)
    assert (await bench.start(OTHER_REQUEST, Try.AGAIN)).id != first.id
    for owner in ("bob", None):
        other = await bench.starter()(REQUEST, Caller(owner, CALLER.address), Try.AGAIN)
        assert other.task.id != first.id
    assert (await bench.start(key=Try.AGAIN)).id == first.id


async def test_no_idempotency_key_is_the_key_of_a_retry() -> None:
    bench, digest = Bench(), REQUEST.digest()
    for owner, key in (("sdk", digest), (None, digest), ("sdk", "x"), (None, f"sdk {digest}")):
        await bench.starter()(REQUEST, Caller(owner, ""), key)
    for owner in (None, "sdk", digest):
        assert not (await bench.starter()(REQUEST, Caller(owner, ""), Try.AGAIN)).joined


async def test_a_retry_publishes_what_the_queue_did_not_confirm() -> None:
    bench = Bench()
    bench.queue.error = QueueUnavailable("away", 7.0)
    with pytest.raises(StartUncertain) as uncertain:
        await bench.start(key=Try.FIRST)
    assert uncertain.value.retry_after == 7.0
    bench.queue.error = None
    retried = await bench.start(key=Try.AGAIN)
    assert retried.message_id is not None
    assert bench.queue.taken == [retried.id, retried.id]


async def test_a_retry_of_a_task_that_the_queue_refused_is_a_new_start() -> None:
    bench = Bench()
    bench.queue.error = QueueRefused("no")
    with pytest.raises(QueueRefused):
        await bench.start(key=Try.FIRST)
    bench.queue.error = None
    retried = await bench.starter()(REQUEST, CALLER, Try.AGAIN)
    assert not retried.joined
    assert bench.queue.taken[1:] == [retried.task.id]


async def test_a_task_is_joined_for_a_time_after_the_last_try() -> None:
    """An SDK waits for 600 seconds, then for 600 more."""
    bench = Bench()
    first = await bench.start(key=Try.FIRST)
    for _ in range(3):
        bench.now += REMEMBERED - 1
        assert (await bench.start(key=Try.AGAIN)).id == first.id
    bench.now += REMEMBERED
    assert (await bench.start(key=Try.AGAIN)).id != first.id


async def test_a_retry_of_a_task_whose_record_is_gone_is_a_new_start() -> None:
    bench = Bench(ttl=STAND_IN_AFTER + 1)
    first = await bench.start(key=Try.FIRST)
    bench.now += STAND_IN_AFTER + 2
    retried = await bench.starter()(REQUEST, CALLER, Try.AGAIN)
    assert not retried.joined
    assert retried.task.id != first.id
    assert bench.queue.taken == [first.id, retried.task.id]
