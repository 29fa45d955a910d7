"""Calls made at the same time go together, and each has its own answer."""

import asyncio
from collections.abc import Sequence

import pytest

from application.gathering import Gathering, UnansweredCall


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


def _gathering(counter: Counter, pause: float = 0.0) -> Gathering[int, int]:
    return Gathering(counter, at_once=2, limit=3, pause=pause)


async def _started(
    counter: Counter, gathering: Gathering[int, int], *items: int
) -> list[asyncio.Task[int]]:
    """Calls of which the first is under way."""
    counter.open.clear()
    calls = [asyncio.create_task(gathering(item)) for item in items]
    while not counter.calls:
        await asyncio.sleep(0)
    for _ in range(5):
        await asyncio.sleep(0)
    return calls


async def test_one_alone_goes_at_once() -> None:
    counter = Counter()
    gathering = _gathering(counter)
    assert await gathering(2) == 4
    assert await gathering(4) == 8
    assert counter.calls == [[2], [4]]


async def test_those_that_wait_go_together_and_not_too_many() -> None:
    counter = Counter()
    calls = await _started(counter, _gathering(counter), *range(0, 16, 2))
    assert counter.calls == [[0], [2, 4, 6]]
    counter.open.set()
    assert await asyncio.gather(*calls) == list(range(0, 32, 4))
    assert counter.calls == [[0], [2, 4, 6], [8, 10, 12], [14]]


async def test_after_many_the_next_waits_for_others_and_after_one_it_does_not() -> None:
    counter = Counter()
    gathering = _gathering(counter)
    calls = await _started(counter, gathering, 0, 2, 4)
    counter.open.set()
    await asyncio.gather(*calls)
    assert await asyncio.gather(*map(gathering, (6, 8))) == [12, 16]
    assert await gathering(10) == 20
    assert await asyncio.gather(*map(gathering, (12, 14))) == [24, 28]
    assert counter.calls == [[0], [2, 4], [6, 8], [10], [12], [14]]


async def test_while_a_call_is_under_way_the_next_pauses_for_others() -> None:
    counter = Counter()
    gathering = _gathering(counter, pause=0.2)
    calls = await _started(counter, gathering, 0, 2)
    assert counter.calls == [[0]]
    calls.append(asyncio.create_task(gathering(4)))
    while len(counter.calls) == 1:
        await asyncio.sleep(0.001)
    assert counter.calls == [[0], [2, 4]]
    counter.open.set()
    assert await asyncio.gather(*calls) == [0, 4, 8]


async def test_a_call_that_ends_ends_the_pause() -> None:
    counter = Counter()
    gathering = _gathering(counter, pause=3600)
    calls = await _started(counter, gathering, 0, 2, 4)
    assert counter.calls == [[0]]
    counter.open.set()
    assert await asyncio.gather(*calls) == [0, 4, 8]
    assert counter.calls == [[0], [2, 4]]


async def test_a_fault_of_one_is_its_own() -> None:
    counter = Counter()
    calls = await _started(counter, _gathering(counter), 0, 2, 3)
    counter.open.set()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert answers[:2] == [0, 4]
    assert isinstance(answers[2], ValueError)
    with pytest.raises(ValueError, match="5"):
        await _gathering(counter)(5)


async def test_a_fault_of_the_call_is_everybodys_and_the_next_goes_on() -> None:
    counter = Counter()
    gathering = _gathering(counter)
    calls = await _started(counter, gathering, 0, 2, 99, 4, 6)
    counter.open.set()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in answers] == [int, *[ConnectionError] * 3, int]
    with pytest.raises(ConnectionError):
        await gathering(99)
    assert await gathering(8) == 16


async def test_a_call_that_is_not_answered_for_each_is_a_fault() -> None:
    counter = Counter()
    calls = await _started(counter, _gathering(counter), 0, 77, 2)
    counter.open.set()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(each) for each in answers] == [int, UnansweredCall, UnansweredCall]
    with pytest.raises(UnansweredCall):
        await _gathering(counter)(77)


async def test_one_who_left_disturbs_nobody_and_is_not_asked_for() -> None:
    counter = Counter()
    gathering = _gathering(counter)
    calls = await _started(counter, gathering, *range(0, 12, 2))
    for left in (0, 1, 4):  # alone, among others, and still waiting
        calls[left].cancel()
    counter.open.set()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [answers[stayed] for stayed in (2, 3, 5)] == [8, 12, 20]
    assert counter.calls == [[0], [2, 4, 6], [10]]
    assert await gathering(6) == 12
