"""Joins calls that are made at the same moment with the same arguments: each is made once.

Those who wait for it go on one after the other, each in an iteration of the event loop of its own.
So hundreds of them that all have something to do with the result do not hold up the event loop.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

CALLS = 10
"""Calls that are made, or whose results wait to be taken, at once: a result may have megabytes."""


class _Call:
    __slots__ = ("task", "waiting")

    def __init__(self, task: "asyncio.Task[Any]") -> None:
        self.task = task
        self.waiting = 0


class JoinedCalls:
    def __init__(self) -> None:
        self._next: dict[tuple[Any, ...], _Call] = {}
        """The calls that are about to be made."""
        self._free = asyncio.Semaphore(CALLS)
        self._turn = asyncio.Lock()

    async def __call__(self, call: Callable[P, Awaitable[R]], *args: P.args, **_: P.kwargs) -> R:
        """Return the result of a call that began after this one, or raise its exception. The
        arguments must be hashable, and the result is others', too."""
        key = call, *args
        joined = self._next.get(key)
        if joined is None:
            task = asyncio.create_task(self._make(key), context=Context())
            joined = self._next[key] = _Call(task)
            task.add_done_callback(_look_at)
        joined.waiting += 1
        try:
            result: R = await asyncio.shield(joined.task)
            async with self._turn:
                await asyncio.sleep(0)
            return result
        finally:
            joined.waiting -= 1
            if joined.waiting == 0 and joined.task.done():
                self._free.release()

    async def _make(self, key: tuple[Any, ...]) -> Any:
        await self._free.acquire()
        await asyncio.sleep(0)  # those who were woken together make their calls meanwhile
        joined = self._next.pop(key)
        call, *arguments = key
        try:
            return await call(*arguments)
        finally:
            if joined.waiting == 0:  # all who waited have gone
                self._free.release()


def _look_at(call: "asyncio.Task[Any]") -> None:
    """Mark its exception as seen, though all who waited may have gone."""
    if not call.cancelled():
        call.exception()
