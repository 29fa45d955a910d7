"""How long tests wait for what must happen: seconds on an idle machine, more on a busy one."""

import asyncio
import inspect
import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

CORES = os.cpu_count() or 1


def within(seconds: float) -> float:
    """A time limit of `seconds` on an idle machine, on this one as busy as it is now: longer by as
    many times as there are processes that want each of its cores."""
    return seconds * max(1.0, os.getloadavg()[0] / CORES)


def eventually(condition: Callable[[], T | None], timeout: float = 15.0) -> T:
    """The condition's first true answer; fails loudly if there is none in time."""
    began = time.monotonic()
    while True:
        answer = condition()
        if answer:
            return answer
        assert time.monotonic() - began < within(timeout), f"not in {timeout} s: {condition}"
        time.sleep(0.01)


async def until(condition: Callable[[], object], timeout: float = 10.0) -> None:
    """The same for what this event loop does meanwhile. The condition may have to be awaited."""
    async with asyncio.timeout(within(timeout)):
        while True:
            answer = condition()
            if await answer if inspect.isawaitable(answer) else answer:
                return
            await asyncio.sleep(0.01)
