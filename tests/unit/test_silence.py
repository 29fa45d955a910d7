"""The time limit on silence: it counts waits only, each from its beginning."""

import asyncio

import pytest

from adapters.openai.silence import SilenceLimit
from tests.waiting import within


async def test_a_wait_that_lasts_too_long_raises() -> None:
    with pytest.raises(TimeoutError):
        async with SilenceLimit(0.1):
            await asyncio.Event().wait()


async def test_waits_are_not_added_up_and_a_pause_does_not_count() -> None:
    limit = within(0.3)
    async with SilenceLimit(limit) as silence:
        for _ in range(4):
            await asyncio.sleep(limit / 2)
            silence.pause()
            await asyncio.sleep(limit / 4)
            silence.wait()
        silence.pause()
        await asyncio.sleep(2 * limit)
    await asyncio.sleep(1.5 * limit)  # and no timer is left


async def test_a_wait_behind_a_pause_raises() -> None:
    async def waits() -> None:
        async with SilenceLimit(0.1) as silence:
            silence.pause()
            await asyncio.sleep(0.25)
            silence.wait()
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await waits()


async def test_a_fault_within_and_a_cancellation_pass_through() -> None:
    with pytest.raises(LookupError):
        async with SilenceLimit(60.0):
            raise LookupError

    async def waits() -> None:
        async with SilenceLimit(60.0):
            await asyncio.Event().wait()

    waiting = asyncio.create_task(waits())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
