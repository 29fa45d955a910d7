"""Calls made at the same time, carried out together: where one call with many items costs hardly
more than one with a single item, whoever is idle calls at once, and whoever is busy calls less
often, with more at a time.

What came last tells what comes next: after a call for one item the next goes at once, in the task
that asks; after one for many it waits, if only a turn of the event loop, for those that follow.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeVar

Item = TypeVar("Item")
Answer = TypeVar("Answer")


class UnansweredCall(Exception):
    """Raised when there are not as many answers as calls: nobody knows whose is whose."""


class Gathering(Generic[Item, Answer]):
    def __init__(
        self,
        carry_out: Callable[[Sequence[Item]], Awaitable[Sequence[Answer | Exception]]],
        *,
        at_once: int,
        limit: int,
        pause: float = 0.0,
        late: Callable[[Item, Answer | Exception], None] = lambda *_: None,
    ) -> None:
        """`carry_out` answers each of its items, at most `limit`, or raises for all. At most
        `at_once` of its calls are under way. While any is, an item waits up to `pause` seconds
        for others, or until a call has ended. `late` is given what was answered for an item
        whose caller had gone."""
        self._carry_out = carry_out
        self._at_once = at_once
        self._limit = limit
        self._pause = pause
        self._late = late
        self._in_company = False  # the last call was for many
        self._waiting: list[tuple[Item, asyncio.Future[Answer]]] = []
        self._under_way = 0
        self._calls: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __call__(self, item: Item) -> Answer:
        """The answer to this one item. Raises what was answered or raised for it.

        How long it takes is for `carry_out` and the caller to bound, the time before a call is
        made included. A caller that is cancelled leaves at once: its item is dropped if no call
        has it yet, its own call is cancelled, and one that it shares goes on for the others."""
        if self._under_way == 0 and not self._in_company:
            return await self._alone(item)
        loop = self._loop or asyncio.get_running_loop()
        self._loop = loop  # asked once: Python makes a system call of it
        answer: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((item, answer))
        if len(self._waiting) == 1:
            # Not yet: others that are about to run may have something to call, too.
            loop.call_later(self._pause if self._under_way else 0.0, self._start)
        return await answer

    async def _alone(self, item: Item) -> Answer:
        self._under_way += 1
        try:
            answers = await self._answers([item])
        finally:
            self._under_way -= 1
            self._start()
        if isinstance(answers[0], Exception):
            raise answers[0]
        return answers[0]

    async def _answers(self, items: Sequence[Item]) -> Sequence[Answer | Exception]:
        answers = await self._carry_out(items)
        if len(answers) != len(items):
            raise UnansweredCall(f"{len(answers)} answers to {len(items)} calls")
        return answers

    def _start(self) -> None:
        while self._waiting and self._under_way < self._at_once:
            waiting = [each for each in self._waiting if not each[1].done()]  # nobody who left
            taken, self._waiting = waiting[: self._limit], waiting[self._limit :]
            if not taken:
                return
            self._under_way += 1
            self._in_company = len(taken) > 1
            # A call for many belongs to none of them.
            call = asyncio.create_task(self._call(taken), context=Context())
            self._calls.add(call)
            call.add_done_callback(self._done)

    def _done(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        self._under_way -= 1
        self._start()

    async def _call(self, taken: Sequence[tuple[Item, asyncio.Future[Answer]]]) -> None:
        answers: Sequence[Answer | Exception]
        try:
            answers = await self._answers([item for item, _ in taken])
        except asyncio.CancelledError:
            for _, future in taken:
                future.cancel()
            raise
        except Exception as error:
            answers = [error] * len(taken)
        for (item, future), answer in zip(taken, answers, strict=True):
            if future.done():  # its caller has gone
                self._late(item, answer)
            elif isinstance(answer, Exception):
                future.set_exception(answer)
            else:
                future.set_result(answer)
