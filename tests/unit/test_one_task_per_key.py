"""StartTask with one idempotency key from several processes at once, under any interleaving."""

import asyncio
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from application.errors import IdempotencyConflict, OverLimit, StartUncertain, StoreUnavailable
from application.ports import ABANDONED_AFTER, IDEMPOTENCY_TTL
from application.start_task import Started
from domain.events import TaskStatus
from domain.failure import Failure
from tests.builders import OTHER_REQUEST, REQUEST
from tests.doubles.starts import CALLER, Bench

FAILED = Failure("model_error", "It failed.", True)


async def test_equal_starts_at_once_are_admitted_once() -> None:
    bench = Bench(starts=1)
    results = await asyncio.gather(
        *(bench.starter(wait=5.0)(REQUEST, CALLER, "key") for _ in range(20))
    )
    assert len({each.task.id for each in results}) == 1
    assert len(bench.admits.admitted) == len(bench.records) == len(set(bench.queue.taken)) == 1


async def test_a_start_whose_task_was_deleted_is_a_new_start() -> None:
    """At once, and not after a minute as when a record was lost."""
    bench = Bench()
    first = await bench.start()
    await bench.tasks.delete(first.id)
    second = await bench.start()
    assert second.id != first.id
    assert bench.queue.taken == [first.id, second.id]
    assert await bench.start() == second


async def test_equal_starts_that_are_refused_leave_nothing() -> None:
    bench = Bench(starts=0)
    results = await asyncio.gather(
        *(bench.starter(wait=5.0)(REQUEST, CALLER, "key") for _ in range(20)),
        return_exceptions=True,
    )
    assert {type(each) for each in results} == {OverLimit}
    assert bench.records == {}
    bench.admits.left = 1
    assert (await bench.start(OTHER_REQUEST)).status is TaskStatus.PENDING


@pytest.mark.parametrize("step", ["after bind", "before create"])
async def test_a_start_waits_for_the_one_that_holds_the_key(step: str) -> None:
    bench = Bench()
    first, frozen = await bench.frozen_start(step)
    with pytest.raises(StartUncertain) as uncertain:
        await bench.start()
    assert uncertain.value.retry_after == 5.0
    with pytest.raises(IdempotencyConflict):
        await bench.start(OTHER_REQUEST)
    second = asyncio.create_task(bench.starter(wait=5.0)(REQUEST, CALLER, "key"))
    frozen.go_on.set()
    assert (await first).task.id == (await second).task.id
    assert len(bench.records) == len(bench.admits.admitted) == 1


async def test_a_start_that_was_frozen_makes_no_second_task() -> None:
    """Its key was taken over before its record was there: it goes on with the other's task."""
    for step in ("after bind", "before create"):
        bench = Bench()
        first, frozen = await bench.frozen_start(step)
        bench.now += ABANDONED_AFTER + 1
        second = await bench.start()
        frozen.go_on.set()
        assert (await first).task.id == second.id
        assert set(bench.queue.taken) == {second.id}
        (lost,) = [each for each in bench.records.values() if each.id != second.id]
        assert lost.failure is not None
        assert lost.failure.code == "superseded"


@pytest.mark.parametrize("step", ["after create", "before enqueue"])
async def test_a_start_with_a_record_is_resumed_however_old_the_key_is(step: str) -> None:
    bench = Bench()
    first, frozen = await bench.frozen_start(step)
    bench.now += ABANDONED_AFTER + 1
    second = await bench.start()
    frozen.go_on.set()
    assert (await first).task.id == second.id
    assert len(bench.records) == 1


async def test_a_repeat_that_looked_too_early_does_not_win() -> None:
    """It saw no record, and takes the key over only after the first start has confirmed it."""
    bench = Bench()
    starting, first = await bench.frozen_start("before create")
    bench.now += ABANDONED_AFTER + 1
    repeating, second = await bench.frozen_start("after get")
    first.go_on.set()
    started = await starting
    second.go_on.set()
    assert (await repeating).task.id == started.task.id
    assert set(bench.queue.taken) == {started.task.id}


async def test_a_key_outlives_no_task() -> None:
    """The record's time to live is over, the key's is not: the same request is a new start."""
    bench = Bench(ttl=10.0)
    first = await bench.start()
    bench.now += 11.0
    with pytest.raises(StartUncertain):
        await bench.start()
    bench.now = ABANDONED_AFTER + 1
    second = await bench.start()
    assert second.id != first.id
    assert bench.queue.taken == [first.id, second.id]
    assert second.id in bench.records
    bench.now += ABANDONED_AFTER + 1
    assert (await bench.start(OTHER_REQUEST)).id not in {first.id, second.id}


async def test_a_key_of_a_failed_task_is_free_and_of_others_is_not() -> None:
    bench = Bench()
    first = await bench.start()
    await bench.tasks.fail(first.id, FAILED, 1)
    second = await bench.start(OTHER_REQUEST)
    assert second.id != first.id
    await bench.tasks.cancel(second.id, 1)
    assert (await bench.start(OTHER_REQUEST)).id == second.id
    with pytest.raises(IdempotencyConflict):
        await bench.start(REQUEST)
    bench.now += IDEMPOTENCY_TTL
    assert (await bench.start(REQUEST)).id != second.id


async def test_of_many_repeats_of_a_failed_start_one_makes_the_new_task() -> None:
    bench = Bench()
    first = await bench.start()
    await bench.tasks.fail(first.id, FAILED, 1)
    again = await asyncio.gather(
        *(bench.starter(wait=5.0)(REQUEST, CALLER, "key") for _ in range(20))
    )
    assert len({each.task.id for each in again}) == 1
    assert len(bench.records) == len(bench.admits.admitted) == 2


async def test_a_start_that_broke_before_its_record_frees_its_key() -> None:
    bench = Bench()

    async def away(step: str) -> None:
        if step == "before create":
            raise StoreUnavailable("away")

    with pytest.raises(StoreUnavailable):
        await bench.starter(away)(REQUEST, CALLER, "key")
    assert (await bench.start(OTHER_REQUEST)).status is TaskStatus.PENDING


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32), starters=st.integers(2, 5), starts=st.integers(1, 5))
def test_a_key_has_one_task_whatever_freezes(seed: int, starters: int, starts: int) -> None:
    """Clocks jump between any two steps, by up to a minute and a half."""

    async def scenario() -> None:
        bench, rng = Bench(starts=starts), random.Random(seed)

        async def pause(_: str) -> None:
            for _turn in range(rng.choice((0, 0, 1, 3, 20))):
                await asyncio.sleep(0)
            bench.now += rng.choice((0.0, 0.0, 0.0, 90.0))

        results = await asyncio.gather(
            *(bench.starter(pause)(REQUEST, CALLER, "key") for _ in range(starters)),
            return_exceptions=True,
        )
        started = {each.task.id for each in results if isinstance(each, Started)}
        refused = [each for each in results if not isinstance(each, Started)]
        assert all(isinstance(each, OverLimit | StartUncertain) for each in refused), refused
        assert len(set(bench.queue.taken)) <= 1
        assert started <= set(bench.queue.taken)
        records = bench.records.values()
        assert sum(each.status is TaskStatus.PENDING for each in records) <= 1
        assert set(bench.records) <= set(bench.admits.admitted)
        assert len(bench.admits.admitted) == len(set(bench.admits.admitted))

    asyncio.run(scenario())
