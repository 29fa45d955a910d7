"""StartTask with a first try and its retries in several processes, under any interleaving."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from application.errors import OverLimit, StartUncertain
from application.start_by_sdk import REMEMBERED, STAND_IN_AFTER
from application.start_task import Started, Try
from domain.events import TaskStatus
from tests.builders import REQUEST
from tests.doubles.starts import CALLER, Bench, Frozen


@pytest.mark.parametrize("step", ["after rebind", "before create"])
async def test_a_retry_waits_for_the_first_try_to_create_the_task(step: str) -> None:
    bench = Bench()
    first, frozen = await bench.frozen_start(step, Try.FIRST)
    with pytest.raises(StartUncertain) as uncertain:
        await bench.start(key=Try.AGAIN)
    assert uncertain.value.retry_after == 5.0
    retry = asyncio.create_task(bench.starter(wait=5.0)(REQUEST, CALLER, Try.AGAIN))
    frozen.go_on.set()
    assert (await first).task.id == (await retry).task.id
    assert len(bench.records) == len(bench.admits.admitted) == 1


@pytest.mark.parametrize("step", ["after rebind", "before create"])
async def test_a_retry_stands_in_for_a_first_try_that_died(step: str) -> None:
    bench = Bench()
    first, _ = await bench.frozen_start(step, Try.FIRST)
    bench.now += STAND_IN_AFTER + 1
    retried = await bench.start(key=Try.AGAIN)
    assert retried.message_id is not None
    assert (await bench.start(key=Try.AGAIN)).id == retried.id
    assert bench.queue.taken == [retried.id]
    first.cancel()
    await asyncio.wait([first])


@pytest.mark.parametrize("step", ["after rebind", "before create"])
async def test_one_retry_stands_in_for_a_first_try_that_was_frozen(step: str) -> None:
    bench = Bench()
    first, frozen = await bench.frozen_start(step, Try.FIRST)
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
    bench = Bench()
    first, frozen = await bench.frozen_start(step, Try.FIRST)
    newer = await bench.start(key=Try.FIRST)
    frozen.go_on.set()
    older = await first
    assert older.task.status is TaskStatus.PENDING
    assert set(bench.queue.taken) == {older.task.id, newer.id}
    assert (await bench.start(key=Try.AGAIN)).id == newer.id


async def test_a_retry_that_may_not_stand_in_starts_no_other_task() -> None:
    """The first try may only be frozen, and admitted before the limit was reached."""
    bench = Bench(starts=1)
    first, frozen = await bench.frozen_start("before create", Try.FIRST)
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
    bench = Bench()
    first, _ = await bench.frozen_start(step, Try.FIRST)
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


@settings(max_examples=100, deadline=None)
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
