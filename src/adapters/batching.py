"""Micro-batching: calls that are made at the same time go out as one call.

It pays where one call with many items costs hardly more than a call with a single item. An idle
batcher calls at once; a busy one calls less often, with more items at a time.

The last call tells what to expect of the next: after a call for one item the next item goes at
once, in the task that asks; after a call for several an item waits for others that are about to
come, at least one turn of the event loop.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class MismatchedResults(Exception):
    """Raised when a call returned another number of results than it had items."""


class MicroBatcher(Generic[Item, Result]):
    def __init__(
        self,
        call: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        *,
        max_calls: int,
        max_items: int,
        pause: float = 0.0,
        abandoned: Callable[[Item, Result | Exception], None] = lambda *_: None,
    ) -> None:
        """`call` returns a result, or an exception to raise, for each of its items, or raises for
        all of them. It is given at most `max_items`, and at most `max_calls` are under way at
        once. While any is, an item waits up to `pause` seconds for others, or until a call has
        ended. `abandoned` is given the result of an item whose caller no longer waits for it."""
        self._call = call
        self._max_calls = max_calls
        self._max_items = max_items
        self._pause = pause
        self._abandoned = abandoned
        self._last_was_shared = False
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._under_way = 0
        self._shared: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, item: Item) -> Result:
        """Return the result of this one item, or raise its exception.

        How long that takes is for `call` and the caller to bound, the time before the call is made
        included. A caller that is cancelled leaves at once: its item is dropped if no call has it
        yet, a call for it alone is cancelled, and a shared call goes on for the others."""
        if self._under_way == 0 and not self._last_was_shared:
            return await self._single(item)
        loop = self._loop or asyncio.get_running_loop()
        self._loop = loop  # asked once: Python makes a system call of it
        result: asyncio.Future[Result] = loop.create_future()
        self._waiting.append((item, result))
        if len(self._waiting) == 1:
            # Not yet: other tasks that are about to run may have an item, too.
            loop.call_later(self._pause if self._under_way else 0.0, self._start)
        return await result

    async def _single(self, item: Item) -> Result:
        self._under_way += 1
        try:
            results = await self._results([item])
        finally:
            self._under_way -= 1
            self._start()
        if isinstance(results[0], Exception):
            raise results[0]
        return results[0]

    async def _results(self, items: Sequence[Item]) -> Sequence[Result | Exception]:
        results = await self._call(items)
        if len(results) != len(items):
            raise MismatchedResults(f"{len(results)} results of {len(items)} items")
        return results

    def _start(self) -> None:
        while self._waiting and self._under_way < self._max_calls:
            waiting = [each for each in self._waiting if not each[1].done()]
            batch, self._waiting = waiting[: self._max_items], waiting[self._max_items :]
            if not batch:
                return
            self._under_way += 1
            self._last_was_shared = len(batch) > 1
            # A shared call belongs to none of its callers, so it carries the context of none.
            call = asyncio.create_task(self._share(batch), context=Context())
            self._shared.add(call)
            call.add_done_callback(self._done)

    def _done(self, call: asyncio.Task[None]) -> None:
        self._shared.discard(call)
        self._under_way -= 1
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
