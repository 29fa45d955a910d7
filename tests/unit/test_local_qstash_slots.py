"""The slots of queues and flows: a name without a message is forgotten."""

import asyncio
import time

import pytest

from entrypoints.local_qstash import bounds, slots
from entrypoints.local_qstash.slots import Period, Slots
from tests.waiting import within


async def test_a_name_that_nobody_waits_for_is_forgotten() -> None:
    queues = Slots()
    async with queues.hold("queue:a", 1):
        waiting = asyncio.create_task(_held(queues, "queue:a"))
        await asyncio.sleep(0)
        assert len(queues) == 1
    await waiting
    assert len(queues) == 0


async def test_so_is_one_whose_holder_was_cancelled() -> None:
    queues = Slots()
    async with queues.hold("queue:a", 1):
        waiting = asyncio.create_task(_held(queues, "queue:a"))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert len(queues) == 1
    assert len(queues) == 0


async def test_a_rate_is_kept_until_its_period_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(slots, "monotonic", lambda: now)
    flows = Slots()
    await _held(flows, "flow:a", rate=1, period=60.0)
    assert len(flows) == 1
    second = asyncio.create_task(_held(flows, "flow:a", rate=1, period=60.0))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not second.done(), "one each minute"
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    now += 61.0
    await _held(flows, "flow:b")
    assert len(flows) == 0


async def test_those_that_wait_for_a_rate_begin_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """And each new period wakes one of them, not all thousand."""
    now, naps, turn = 1_000.0, 0, asyncio.sleep

    async def nap(seconds: float) -> None:
        nonlocal now, naps
        naps += 1
        until = now + seconds
        await turn(0)
        now = max(now, until)

    monkeypatch.setattr(slots, "monotonic", lambda: now)
    monkeypatch.setattr(asyncio, "sleep", nap)
    flows, begun = Slots(), list[int]()

    async def begin(number: int) -> None:
        async with flows.hold("flow:a", None, 2, 60.0):
            begun.append(number)

    await asyncio.gather(*map(begin, range(7)))
    assert begun == list(range(7))
    assert (now, naps) == (1_180.0, 3)


async def test_a_period_lasts_no_longer_than_the_newest_message_says() -> None:
    """As after a clock that was set back by a day, or a rate whose period was shortened."""
    flows = Slots()
    flows.restore([Period("flow", int(1000 * (time.time() + 86_400)), 1)])
    async with asyncio.timeout(within(5)):
        await _held(flows, "flow", rate=1, period=0.05)


async def test_idle_flows_are_bounded() -> None:
    flows = Slots()
    for number in range(bounds.IDLE_FLOWS + 5):
        await _held(flows, f"flow:{number}", rate=1, period=86_400.0)
    assert len(flows) == bounds.IDLE_FLOWS


async def _held(slots: Slots, name: str, rate: int | None = None, period: float = 1.0) -> None:
    async with slots.hold(name, 1, rate, period):
        await asyncio.sleep(0)
