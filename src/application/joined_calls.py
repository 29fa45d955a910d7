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


class JoinedCalls:
    def __init__(self) -> None:
        self._next: dict[tuple[Any, ...], asyncio.Task[Any]] = {}
        """The calls that are about to be made."""
        self._turn = asyncio.Lock()

    async def __call__(self, call: Callable[P, Awaitable[R]], *args: P.args, **_: P.kwargs) -> R:
        """Return the result of a call that began after this one, or raise its exception. The
        arguments must be hashable, and the result is others', too."""
        key = call, *args
        joined = self._next.get(key)
        if joined is None:
            joined = asyncio.create_task(self._make(key), context=Context())
            joined.add_done_callback(_look_at)
            self._next[key] = joined
        result: R = await asyncio.shield(joined)
        async with self._turn:
            await asyncio.sleep(0)
        return result

    async def _make(self, key: tuple[Any, ...]) -> Any:
        await asyncio.sleep(0)  # those who were woken together make their calls meanwhile
        del self._next[key]
        call, *arguments = key
        return await call(*arguments)


def _look_at(call: "asyncio.Task[Any]") -> None:
    """Mark its exception as seen, though all who waited may have gone."""
    if not call.cancelled():
        call.exception()
