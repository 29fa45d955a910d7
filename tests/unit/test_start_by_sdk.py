"""StartTask for SDKs that repeat requests without an idempotency key: a retry never pays again."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from application.accounts import Caller
from application.errors import OverLimit, QueueRefused, QueueUnavailable, StartUncertain
from application.start_by_sdk import REMEMBERED, STAND_IN_AFTER
from application.start_task import Started, Try
from domain.answer import Answer
from domain.events import TaskStatus
from domain.task import Attempt, Failure
from tests.builders import LEASE, OTHER_REQUEST, REQUEST
from tests.doubles.starts import CALLER, Bench, Frozen

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


@pytest.mark.parametrize("step", ["after rebind", "before create"])
async def test_a_retry_waits_for_the_first_try_to_create_the_task(step: str) -> None:
    bench, frozen = Bench(), Frozen(step)
    first = asyncio.create_task(bench.starter(frozen)(REQUEST, CALLER, Try.FIRST))
    await frozen.reached.wait()
    with pytest.raises(StartUncertain) as uncertain:
        await bench.start(key=Try.AGAIN)
    assert uncertain.value.retry_after == 5.0
    retry = asyncio.create_task(bench.starter(wait=5.0)(REQUEST, CALLER, Try.AGAIN))
    frozen.go_on.set()
    assert (await first).task.id == (await retry).task.id
    assert len(bench.records) == len(bench.admits.admitted) == 1


@pytest.mark.parametrize("step", ["after rebind", "before create"])
async def test_a_retry_stands_in_for_a_first_try_that_died(step: str) -> None:
    bench, frozen = Bench(), Frozen(step)
    first = asyncio.create_task(bench.starter(frozen)(REQUEST, CALLER, Try.FIRST))
    await frozen.reached.wait()
    bench.now += STAND_IN_AFTER + 1
    retried = await bench.start(key=Try.AGAIN)
    assert retried.message_id is not None
    assert (await bench.start(key=Try.AGAIN)).id == retried.id
    assert bench.queue.taken == [retried.id]
    first.cancel()
    await asyncio.wait([first])


@pytest.mark.parametrize("step", ["after rebind", "before create"])
async def test_one_retry_stands_in_for_a_first_try_that_was_frozen(step: str) -> None:
    bench, frozen = Bench(), Frozen(step)
    first = asyncio.create_task(bench.starter(frozen)(REQUEST, CALLER, Try.FIRST))
    await frozen.reached.wait()
    bench.now += STAND_IN_AFTER + 1
    before = len(bench.admits.admitted)
    retries = await asyncio.gather(
        *(bench.starter(wait=5.0)(REQUEST, CALLER, Try.AGAIN) for _ in range(20))
    )
    assert len(bench.admits.admitted) == before + 1
    assert sum(not each.joined for each in retries) == 1
    published = list(bench.queue.taken)
    frozen.go_on.set()
    (started,) = {(await first).task.id, *(each.task.id for each in retries)}
    assert set(bench.queue.taken) == set(bench.records) == {started}
    assert bench.queue.taken == published


@pytest.mark.parametrize("step", ["after rebind", "before create"])
async def test_a_first_try_that_was_frozen_starts_its_task_beside_a_newer_one(step: str) -> None:
    bench, frozen = Bench(), Frozen(step)
    first = asyncio.create_task(bench.starter(frozen)(REQUEST, CALLER, Try.FIRST))
    await frozen.reached.wait()
    newer = await bench.start(key=Try.FIRST)
    frozen.go_on.set()
    older = await first
    assert older.task.status is TaskStatus.PENDING
    assert set(bench.queue.taken) == {older.task.id, newer.id}
    assert (await bench.start(key=Try.AGAIN)).id == newer.id


async def test_a_retry_that_may_not_stand_in_starts_no_other_task() -> None:
    """The first try may only be frozen, and admitted before the limit was reached."""
    bench, frozen = Bench(starts=1), Frozen("before create")
    first = asyncio.create_task(bench.starter(frozen)(REQUEST, CALLER, Try.FIRST))
    await frozen.reached.wait()
    bench.now += STAND_IN_AFTER + 1
    with pytest.raises(OverLimit):
        await bench.start(key=Try.AGAIN)
    bench.admits.left = 1
    with pytest.raises(StartUncertain):
        await bench.start(key=Try.AGAIN)
    frozen.go_on.set()
    assert (await first).task.id == (await bench.start(key=Try.AGAIN)).id
    assert len(bench.records) == 1


@pytest.mark.parametrize(
    ("step", "joined"),
    [
        ("before create", False),
        ("before bind", True),
        ("before enqueue", True),
        ("after enqueue", True),
        ("before note_message", True),
    ],
)
async def test_the_start_of_a_client_that_hung_up_is_joined_once_it_has_a_record(
    step: str, joined: bool
) -> None:
    bench, frozen = Bench(), Frozen(step)
    first = asyncio.create_task(bench.starter(frozen)(REQUEST, CALLER, Try.FIRST))
    await frozen.reached.wait()
    first.cancel()
    await asyncio.wait([first])
    assert first.cancelled()
    retried = await bench.starter()(REQUEST, CALLER, Try.AGAIN)
    assert retried.joined is joined
    assert retried.task.message_id is not None
    assert set(bench.queue.taken) == set(bench.records) == {retried.task.id}


async def test_a_retry_does_not_join_what_its_first_try_gave_up_in_the_meantime() -> None:
    """It saw the record of a start whose client then hung up, before its binding told of it."""
    bench, first, retry = Bench(), Frozen("after create"), Frozen("after get")
    starting = asyncio.create_task(bench.starter(first)(REQUEST, CALLER, Try.FIRST))
    await first.reached.wait()
    retrying = asyncio.create_task(bench.starter(retry, wait=5.0)(REQUEST, CALLER, Try.AGAIN))
    await retry.reached.wait()
    starting.cancel()
    await asyncio.wait([starting])
    second = await bench.start(key=Try.AGAIN)
    retry.go_on.set()
    assert (await retrying).task.id == second.id
    assert bench.queue.taken == [second.id]


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


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), retries=st.integers(1, 4), starts=st.integers(1, 5))
def test_a_request_has_one_task_whatever_freezes_or_hangs_up(
    seed: int, retries: int, starts: int
) -> None:
    """Clocks jump between any two steps, by up to a minute and a half; any client may hang up."""

    async def scenario() -> None:
        bench, rng = Bench(starts=starts), random.Random(seed)

        async def pause(_: str) -> None:
            for _turn in range(rng.choice((0, 0, 1, 3, 20))):
                await asyncio.sleep(0)
            if bench.now < REMEMBERED / 2:
                bench.now += rng.choice((0.0, 0.0, 0.0, 90.0))

        def call(which: Try) -> asyncio.Task[Started]:
            return asyncio.create_task(bench.starter(pause)(REQUEST, CALLER, which))

        tries = [call(Try.FIRST)]
        while not bench.keys._bound:  # a retry comes after the first try
            await asyncio.sleep(0)
        tries += [call(Try.AGAIN) for _ in range(retries)]
        for each in tries:
            for _turn in range(rng.choice((0, 3, 10))):
                await asyncio.sleep(0)
            if rng.random() < 0.3:
                each.cancel()
        results = await asyncio.gather(*tries, return_exceptions=True)
        started = {each.task.id for each in results if isinstance(each, Started)}
        others = [each for each in results if not isinstance(each, Started)]
        expected = OverLimit | StartUncertain | asyncio.CancelledError
        assert all(isinstance(each, expected) for each in others), others
        assert len(set(bench.queue.taken)) <= 1
        assert started <= set(bench.queue.taken)
        assert set(bench.records) <= set(bench.admits.admitted)

    asyncio.run(scenario())
