"""Calls of the same moment are made once, and never joined to one that has begun."""

import asyncio

import pytest

from application.errors import StoreUnavailable
from application.joined_calls import CALLS, JoinedCalls
from tests.builders import claim
from tests.unit.watch_bench import Bench, said
from tests.waiting import until, within


class Counted:
    def __init__(self) -> None:
        self.calls: list[str] = []
        self.may_end = asyncio.Event()

    async def __call__(self, argument: str) -> int:
        self.calls.append(argument)
        number = len(self.calls)
        await self.may_end.wait()
        if argument == "fails":
            raise StoreUnavailable("gone")
        return number


async def test_equal_calls_of_a_moment_are_made_once_and_later_ones_anew() -> None:
    joined, call = JoinedCalls(), Counted()
    first = [asyncio.create_task(joined(call, each)) for each in ("a", "a", "b", "a")]
    await until(lambda: call.calls == ["a", "b"])
    later = asyncio.create_task(joined(call, "a"))
    await until(lambda: call.calls == ["a", "b", "a"])
    first[0].cancel()  # the others get their result all the same
    call.may_end.set()
    assert await asyncio.gather(*first[1:], later) == [1, 2, 1, 3]


async def test_those_who_wait_go_on_one_after_the_other() -> None:
    """Whatever else is ready to run gets its turn in between."""
    joined, call, resumed = JoinedCalls(), Counted(), 0
    call.may_end.set()

    async def wait() -> None:
        nonlocal resumed
        await joined(call, "a")
        resumed += 1

    waiting = [asyncio.create_task(wait()) for _ in range(5)]
    seen = {resumed}
    while resumed < len(waiting):
        await asyncio.sleep(0)
        seen.add(resumed)
    assert seen == set(range(len(waiting) + 1))
    assert call.calls == ["a"]


async def test_few_calls_are_made_at_once() -> None:
    """Of callers that wait, and of some that are gone before or while their call is made."""
    joined, call = JoinedCalls(), Counted()
    callers = [asyncio.create_task(joined(call, str(each))) for each in range(5 * CALLS)]
    await until(lambda: len(call.calls) == CALLS)
    for gone in (callers[0], callers[CALLS]):
        gone.cancel()
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(call.calls) == CALLS
    call.may_end.set()
    results = await asyncio.gather(*callers, return_exceptions=True)
    assert len([each for each in results if isinstance(each, int)]) == 5 * CALLS - 2
    again = [asyncio.create_task(joined(call, f"again {each}")) for each in range(CALLS)]
    await asyncio.wait_for(asyncio.gather(*again), within(5))


async def test_all_get_the_exception() -> None:
    joined, call = JoinedCalls(), Counted()
    call.may_end.set()
    results = await asyncio.gather(
        joined(call, "fails"), joined(call, "fails"), return_exceptions=True
    )
    assert [type(each) for each in results] == [StoreUnavailable, StoreUnavailable]
    with pytest.raises(StoreUnavailable):
        await joined(call, "fails")
    assert call.calls == ["fails", "fails"]


async def test_the_watches_of_an_owner_read_a_change_once() -> None:
    bench = Bench()
    task_id = await bench.create()
    watches = [await bench.watch(), await bench.watch()]
    for each in watches:
        assert said(await each.next(1)) == [(task_id, "pending")]
    before = bench.index.reads
    await claim(bench.tasks, task_id)
    for each in watches:
        assert said(await each.next(1)) == [(task_id, "running")]
    assert bench.index.reads == before + 1
