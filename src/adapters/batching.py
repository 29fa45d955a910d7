"""Micro-batching: combine concurrent calls into one.

Useful where a call for many items costs little more than a call for one. An idle batcher calls at
once; a busy one calls less often, for more items at a time.

The last call predicts the next one. After a single call the next item is sent at once, in the
caller's own asyncio task. After a shared call an item waits for others, for at least one iteration
of the event loop, and for several pauses while many others come.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

PAUSES, GROWTH = 4, 4
"""Pauses that an item waits at most, and items that have to come in one pause for another one to
follow."""


class MismatchedResults(Exception):
    """Raised when the number of results of a call is not the number of its items."""


class MicroBatcher(Generic[Item, Result]):
    def __init__(
        self,
        call: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        *,
        max_calls: int,
        max_items: int,
        pause: float = 0.0,
        timeout: float | None = None,
        abandoned: Callable[[Item, Result | Exception], None] = lambda *_: None,
    ) -> None:
        """`call`: returns for each item a result or an exception to raise, or raises for all items.
        `max_calls`: calls that may be active at once. `max_items`: items of one call. `pause`:
        seconds for which an item waits for others; when the last active call ends, it waits no
        longer. `timeout`: seconds after which an item raises TimeoutError, wherever it is then.
        `abandoned`: gets the result of an item whose caller was cancelled, or got TimeoutError."""
        self._call = call
        self._max_calls = max_calls
        self._max_items = max_items
        self._pause = pause
        self._timeout = timeout
        self._abandoned = abandoned
        self._last_was_shared = False
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._active = 0
        self._pausing = False
        self._pauses = self._counted = 0
        self._shared: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, item: Item) -> Result:
        """Return the result of an item, or raise its exception.

        If the caller is cancelled, an item that waits is dropped and a single call is cancelled; a
        shared call continues for the others."""
        if self._active == 0 and not self._last_was_shared:
            return await self._single(item)
        loop = self._loop or asyncio.get_running_loop()
        self._loop = loop  # kept, since asking for it is a system call
        result: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((item, result))
        if len(self._waiting) == 1:
            # Later, since other asyncio tasks that are ready to run may have items, too.
            self._pausing, self._pauses, self._counted = True, 1, 0
            loop.call_later(self._pause, self._pause_over, loop)
        if self._timeout is None:
            return await result
        # A timer of its own costs a quarter of an asyncio.timeout.
        limit = loop.call_later(self._timeout, _expire, result)
        try:
            return await result
        finally:
            limit.cancel()

    async def _single(self, item: Item) -> Result:
        self._active += 1
        try:
            async with asyncio.timeout(self._timeout):
                results = await self._results([item])
        finally:
            self._call_over()
        if isinstance(results[0], Exception):
            raise results[0]
        return results[0]

    async def _results(self, items: Sequence[Item]) -> Sequence[Result | Exception]:
        results = await self._call(items)
        if len(results) != len(items):
            raise MismatchedResults(f"{len(results)} results of {len(items)} items")
        return results

    def _start(self) -> None:
        while self._waiting and self._active < self._max_calls:
            waiting = [each for each in self._waiting if not each[1].done()]
            batch, self._waiting = waiting[: self._max_items], waiting[self._max_items :]
            if not batch:
                return
            self._active += 1
            self._last_was_shared = len(batch) > 1
            # A shared call has the context of none of its callers.
            call = asyncio.create_task(self._share(batch), context=Context())
            self._shared.add(call)
            call.add_done_callback(self._done)

    def _done(self, call: asyncio.Task[None]) -> None:
        self._shared.discard(call)
        self._call_over()

    def _call_over(self) -> None:
        self._active -= 1
        # While other calls are active, what has come since is few, and goes with what comes yet.
        if not (self._pausing and self._active):
            self._start()

    def _pause_over(self, loop: asyncio.AbstractEventLoop) -> None:
        came, self._counted = len(self._waiting) - self._counted, len(self._waiting)
        many = came >= GROWTH and self._counted < self._max_items
        if many and self._active and self._pause and self._pauses < PAUSES:
            self._pauses += 1
            loop.call_later(self._pause, self._pause_over, loop)
        else:
            self._pausing = False
            self._start()

    async def _share(self, batch: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        results: Sequence[Result | Exception]
        try:
            results = await self._results([item for item, _ in batch])
        except asyncio.CancelledError:
            for _, future in batch:
                future.cancel()
            raise
        except Exception as error:
            results = [error] * len(batch)
        for (item, future), result in zip(batch, results, strict=True):
            if future.done():
                self._abandoned(item, result)
            elif isinstance(result, Exception):
                future.set_exception(result)
            else:
                future.set_result(result)


def _expire(result: asyncio.Future[Any]) -> None:
    if not result.done():
        result.set_exception(TimeoutError())
