"""Micro-batching: items that come together share a call, and each has its own result."""

import asyncio
from collections.abc import Sequence

import pytest

from adapters.batching import GROWTH, PAUSES, MicroBatcher, MismatchedResults


class Counter:
    """Doubles numbers; an odd one is a fault. Waits while it is not `open`."""

    def __init__(self) -> None:
        self.calls: list[list[int]] = []
        self.open = asyncio.Event()
        self.open.set()

    async def __call__(self, items: Sequence[int]) -> Sequence[int | Exception]:
        self.calls.append(list(items))
        await self.open.wait()
        if 99 in items:
            raise ConnectionError
        if 77 in items:
            return []
        return [ValueError(item) if item % 2 else 2 * item for item in items]


def _batcher(counter: Counter, pause: float = 0.0) -> MicroBatcher[int, int]:
    return MicroBatcher(counter, max_calls=2, max_items=3, pause=pause)


async def _started(
    counter: Counter, batcher: MicroBatcher[int, int], *items: int
) -> list[asyncio.Task[int]]:
    """Calls of which the first is under way."""
    counter.open.clear()
    calls = [asyncio.create_task(batcher(item)) for item in items]
    while not counter.calls:
        await asyncio.sleep(0)
    for _ in range(5):
        await asyncio.sleep(0)
    return calls


async def test_a_single_call_goes_at_once() -> None:
    counter = Counter()
    batcher = _batcher(counter)
    assert await batcher(2) == 4
    assert await batcher(4) == 8
    assert counter.calls == [[2], [4]]


async def test_items_that_wait_share_a_call_up_to_its_limit() -> None:
    counter = Counter()
    calls = await _started(counter, _batcher(counter), *range(0, 16, 2))
    assert counter.calls == [[0], [2, 4, 6]]
    counter.open.set()
    assert await asyncio.gather(*calls) == list(range(0, 32, 4))
    assert counter.calls == [[0], [2, 4, 6], [8, 10, 12], [14]]


async def test_an_item_waits_for_others_after_a_shared_call_and_not_after_a_single_one() -> None:
    counter = Counter()
    batcher = _batcher(counter)
    calls = await _started(counter, batcher, 0, 2, 4)
    counter.open.set()
    await asyncio.gather(*calls)
    assert await asyncio.gather(*map(batcher, (6, 8))) == [12, 16]
    assert await batcher(10) == 20
    assert await asyncio.gather(*map(batcher, (12, 14))) == [24, 28]
    assert counter.calls == [[0], [2, 4], [6, 8], [10], [12], [14]]


async def test_items_pause_for_others_while_a_call_is_under_way() -> None:
    counter = Counter()
    batcher = _batcher(counter, pause=0.2)
    calls = await _started(counter, batcher, 0, 2)
    assert counter.calls == [[0]]
    calls.append(asyncio.create_task(batcher(4)))
    while len(counter.calls) == 1:
        await asyncio.sleep(0.001)
    assert counter.calls == [[0], [2, 4]]
    counter.open.set()
    assert await asyncio.gather(*calls) == [0, 4, 8]


async def test_the_pause_ends_with_the_call() -> None:
    counter = Counter()
    batcher = _batcher(counter, pause=3600)
    calls = await _started(counter, batcher, 0, 2, 4)
    assert counter.calls == [[0]]
    counter.open.set()
    assert await asyncio.gather(*calls) == [0, 4, 8]
    assert counter.calls == [[0], [2, 4]]


async def test_the_pause_goes_on_while_another_call_is_under_way() -> None:
    first, second, counter = asyncio.Event(), asyncio.Event(), Counter()

    async def call(items: Sequence[int]) -> Sequence[int | Exception]:
        counter.calls.append(list(items))
        await (first if 0 in items else second).wait()
        return items

    batcher = MicroBatcher(call, max_calls=3, max_items=3, pause=0.5)
    calls = await _started(counter, batcher, 0, 2)
    while len(counter.calls) == 1:  # the pause of the second one is over
        await asyncio.sleep(0.001)
    calls.append(asyncio.create_task(batcher(4)))
    await asyncio.sleep(0)
    first.set()
    assert await calls[0] == 0
    calls.append(asyncio.create_task(batcher(6)))
    second.set()
    assert await asyncio.gather(*calls[1:]) == [2, 4, 6]
    assert counter.calls == [[0], [2], [4, 6]]


async def test_an_exception_of_one_item_is_raised_for_it_alone() -> None:
    counter = Counter()
    calls = await _started(counter, _batcher(counter), 0, 2, 3)
    counter.open.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert results[:2] == [0, 4]
    assert isinstance(results[2], ValueError)
    with pytest.raises(ValueError, match="5"):
        await _batcher(counter)(5)


async def test_an_exception_of_the_call_is_raised_for_all_its_items() -> None:
    counter = Counter()
    batcher = _batcher(counter)
    calls = await _started(counter, batcher, 0, 2, 99, 4, 6)
    counter.open.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in results] == [int, *[ConnectionError] * 3, int]
    with pytest.raises(ConnectionError):
        await batcher(99)
    assert await batcher(8) == 16


async def test_a_missing_result_is_raised_for_all_items_of_the_call() -> None:
    counter = Counter()
    calls = await _started(counter, _batcher(counter), 0, 77, 2)
    counter.open.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in results] == [int, MismatchedResults, MismatchedResults]
    with pytest.raises(MismatchedResults):
        await _batcher(counter)(77)


async def test_a_caller_that_leaves_does_not_disturb_the_others() -> None:
    counter = Counter()
    batcher = _batcher(counter)
    calls = await _started(counter, batcher, *range(0, 12, 2))
    for left in (0, 1, 4):  # alone, among others, and still waiting
        calls[left].cancel()
    counter.open.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert [results[stayed] for stayed in (2, 3, 5)] == [8, 12, 20]
    assert counter.calls == [[0], [2, 4, 6], [10]]
    assert await batcher(6) == 12


async def test_an_item_waits_several_pauses_while_many_come() -> None:
    counter = Counter()
    batcher = MicroBatcher(counter, max_calls=3, max_items=100, pause=1.0)
    calls = await _started(counter, batcher, 0, *range(2, 2 + 2 * GROWTH, 2))
    await asyncio.sleep(1.2)  # the first pause is over, in which enough came for another one
    assert counter.calls == [[0]]
    calls.append(asyncio.create_task(batcher(100)))
    while len(counter.calls) == 1:
        await asyncio.sleep(0.001)
    assert counter.calls[1] == [*range(2, 2 + 2 * GROWTH, 2), 100]
    counter.open.set()
    await asyncio.gather(*calls)


async def test_an_item_that_comes_among_many_waits_four_pauses_at_most() -> None:
    counter, pause = Counter(), 0.1
    batcher = MicroBatcher(counter, max_calls=3, max_items=10_000, pause=pause)
    calls = await _started(counter, batcher, 0)
    began = asyncio.get_running_loop().time()
    while len(counter.calls) == 1:
        calls += [asyncio.create_task(batcher(2)) for _ in range(GROWTH)]
        await asyncio.sleep(0.005)
    assert asyncio.get_running_loop().time() - began >= PAUSES * pause
    counter.open.set()
    await asyncio.gather(*calls)


@pytest.mark.parametrize("place", [0, 1, 3])
async def test_an_item_has_a_time_limit_of_its_own_wherever_it_is(place: int) -> None:
    """Alone in a call, in one that it shares, or waiting for a call."""
    counter, late = Counter(), []
    batcher = MicroBatcher(
        counter,
        max_calls=2,
        max_items=2,
        timeout=0.3,
        abandoned=lambda item, result: late.append((item, result)),
    )
    calls = await _started(counter, batcher, *range(0, 10, 2))
    assert counter.calls == [[0], [2, 4]]
    with pytest.raises(TimeoutError):
        await calls[place]
    counter.open.set()
    await asyncio.gather(*calls, return_exceptions=True)
    assert (2, 4) in late  # the shared call went on
    assert await batcher(8) == 16
