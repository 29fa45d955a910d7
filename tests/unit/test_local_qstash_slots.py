"""The lines of queues and flows by their names: how long they are known, and what is kept."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from entrypoints.local_qstash import bounds
from entrypoints.local_qstash.line import Limits
from entrypoints.local_qstash.slots import LINGER, Period, Slots
from tests.waiting import until, within


class AheadClock:
    """That of the event loop, with some time that did not pass."""

    def __init__(self) -> None:
        self.ahead = 0.0

    def time(self) -> float:
        return asyncio.get_running_loop().time() + self.ahead

    def call_at(self, when: float, callback: Callable[[], Any]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_at(when - self.ahead, callback)


ONE = Limits(parallelism=1)
ONE_EACH_MINUTE = Limits(1, rate=1, period=60.0)


async def test_a_name_that_nothing_uses_is_known_for_a_moment() -> None:
    slots = Slots(clock=(clock := AheadClock()))
    async with slots.hold("queue:a", ONE):
        waiting = asyncio.create_task(_held(slots, "queue:a"))
        cancelled = asyncio.create_task(_held(slots, "queue:a"))
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        clock.ahead += LINGER
        assert slots.names() == ["queue:a"]
    await waiting
    assert slots.names() == ["queue:a"]
    clock.ahead += LINGER
    assert slots.names() == []


async def test_a_rate_is_kept_until_its_period_ends() -> None:
    slots = Slots(clock=(clock := AheadClock()))
    minutes = Limits(1, rate=1, period=5 * LINGER)
    await _held(slots, "flow:a", minutes)
    clock.ahead += 2 * LINGER
    assert slots.names() == ["flow:a"]
    second = asyncio.create_task(_held(slots, "flow:a", minutes))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not second.done(), "one in each period"
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    clock.ahead += 4 * LINGER
    assert slots.names() == []


async def test_what_is_set_for_a_name_stays() -> None:
    slots = Slots(clock=(clock := AheadClock()))
    with slots.changed("queue:paused") as paused, slots.changed("flow:pinned") as pinned:
        paused.pause()
        pinned.pin(1, None)
    clock.ahead += 2 * LINGER
    assert slots.names() == ["queue:paused", "flow:pinned"]
    with slots.changed("queue:paused") as paused, slots.changed("flow:pinned") as pinned:
        paused.resume()
        pinned.unpin(parallelism=True, rate=False)
    clock.ahead += LINGER
    assert slots.names() == []


async def test_a_period_lasts_no_longer_than_the_newest_message_says() -> None:
    """As after a clock that was set back by a day, or a rate whose period was shortened."""
    slots = Slots()
    slots.restore([Period("flow", int(1000 * (time.time() + 86_400)), 1)])
    async with asyncio.timeout(within(5)):
        await _held(slots, "flow", Limits(1, rate=1, period=0.05))


async def test_what_begins_in_a_period_is_kept_before_it_begins() -> None:
    noted: list[Period] = []
    gate = asyncio.Event()

    async def note(period: Period) -> None:
        noted.append(period)
        await gate.wait()

    slots = Slots(note)
    holding = asyncio.create_task(_held(slots, "flow", ONE_EACH_MINUTE))
    await until(lambda: noted)
    assert (noted[0].name, noted[0].begun) == ("flow", 1)
    assert 50 < noted[0].ends_at / 1000 - time.time() <= 60
    assert not holding.done()
    gate.set()
    await holding
    with slots.changed("flow") as line:
        line.reset()
    await slots.note_period("flow")
    assert noted[1].begun == 0
    again = Slots()
    again.restore(noted[:1])
    with again.changed("flow") as line:
        line.give(ONE_EACH_MINUTE)
    assert line.begun == 1


async def test_lines_share_the_slots_of_all_in_turn() -> None:
    """A long line does not keep the others waiting until it is through."""
    slots, begun = Slots(parallelism=1), list[str]()

    async def begin(name: str) -> None:
        async with slots.hold(name):
            begun.append(name)
            await asyncio.sleep(0)

    async with slots.hold("$"):
        tasks = [asyncio.create_task(begin(name)) for name in ["a"] * 4 + ["b"] * 2]
        async with slots.hold("b", needs_room=False):
            await asyncio.sleep(0)
        assert begun == []
    await asyncio.gather(*tasks)
    assert begun == ["a", "b", "a", "b", "a", "a"]


async def test_idle_flows_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    slots = Slots()
    with slots.changed("paused") as paused:
        paused.pause()
    for number in range(bounds.IDLE_FLOWS + 5):
        await _held(slots, f"flow:{number}", Limits(1, rate=1, period=86_400.0))
    assert len(slots) == bounds.IDLE_FLOWS + 1
    assert slots.names()[:2] == ["paused", "flow:5"]


async def test_a_start_forgets_the_period_of_no_key_with_messages() -> None:
    """However many keys it finds periods of, and messages of."""
    slots = Slots()
    at = int(1000 * (time.time() + 3_600))
    number = 2 * bounds.IDLE_FLOWS
    limits = Limits(1, rate=1, period=86_400.0)
    given = [(f"flow:{each}", limits) for each in range(0, number, 2)]
    slots.restore([Period(f"flow:{each}", at, 1) for each in range(number)], given)
    tasks = [asyncio.create_task(_held(slots, name)) for name, _ in given[5:]]
    await asyncio.sleep(0)  # each has joined its line
    with slots.changed("another") as another:
        another.reset()
    assert {name for name, _ in given[5:]} <= set(slots.names())
    assert [line.begun for name in slots.names() if (line := slots.get(name))][:5] == [1] * 5
    assert len(slots) == bounds.IDLE_FLOWS + len(tasks)
    for each in tasks:
        each.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(slots) == bounds.IDLE_FLOWS


async def _held(slots: Slots, name: str, limits: Limits = ONE) -> None:
    async with slots.hold(name, limits):
        await asyncio.sleep(0)
