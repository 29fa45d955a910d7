"""When a message may be delivered: the order of a queue, the parallelism and rate of a flow.

Source of the rules: QStash's documentation, features/queues and features/flowcontrol.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic

from entrypoints.local_qstash.bounds import IDLE_FLOWS


@dataclass(frozen=True, slots=True)
class Period:
    """How many have begun in the current period of a rate."""

    name: str
    """That of the slots."""
    ends_at: int
    """Milliseconds since the Unix epoch."""
    begun: int


class _Slots:
    """Slots for at most `limit` holders at once, given in order of arrival. A newer message may
    change the limit. A rate, if there is one, limits how many may begin within one period."""

    def __init__(self) -> None:
        self._limit: int | None = None
        self._held = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._rate_turn = asyncio.Lock()
        """Only the first of those that wait for the rate looks at the time."""
        self.begun = 0
        self.ends_at = 0
        """When the rate's period ends, in milliseconds since the Unix epoch."""
        self.matters_until = 0.0
        """The same in seconds of `monotonic`: until then the count matters."""

    @property
    def idle(self) -> bool:
        return not (self._held or self._waiting)

    def begin_period(self, left: float) -> None:
        """Begin a period of the rate that ends in `left` seconds."""
        self.begun = 0
        self._end_in(left)

    def _end_in(self, left: float) -> None:
        self.matters_until = monotonic() + left
        self.ends_at = int(1000 * (time.time() + left))

    @asynccontextmanager
    async def hold(self, limit: int | None, rate: int | None, period: float) -> AsyncIterator[None]:
        self._limit = limit
        self._admit()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._admit()
        try:
            await turn
            if rate is not None:
                async with self._rate_turn:
                    await self._keep_rate(rate, period)
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._held -= 1
            else:
                with contextlib.suppress(ValueError):
                    self._waiting.remove(turn)
            self._admit()

    def _admit(self) -> None:
        while self._waiting and (self._limit is None or self._held < self._limit):
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._held += 1

    async def _keep_rate(self, rate: int, period: float) -> None:
        while True:
            left = self.matters_until - monotonic()
            if left <= 0:
                self.begin_period(period)
            elif left > period:  # the period was longer, or the clock has been set back
                self._end_in(left := period)
            if self.begun < rate:
                self.begun += 1
                return
            await asyncio.sleep(left)


class Slots:
    """Slots by name. A name that no message uses is dropped when its period has ended, or earlier
    if there are more than IDLE_FLOWS of them (the oldest first)."""

    def __init__(self, note: Callable[[Period], Awaitable[None]] | None = None) -> None:
        """`note`: keeps how many have begun in a period, before each of them does."""
        self._note = note
        self._busy: dict[str, _Slots] = {}
        self._idle: dict[str, _Slots] = {}

    def __len__(self) -> int:
        return len(self._busy) + len(self._idle)

    def restore(self, periods: Iterable[Period]) -> None:
        """Go on with the periods of an earlier process."""
        for each in periods:
            left = each.ends_at / 1000 - time.time()
            if left > 0:
                slots = self._idle[each.name] = _Slots()
                slots.begin_period(left)
                slots.begun = each.begun

    @asynccontextmanager
    async def hold(
        self, name: str, limit: int | None, rate: int | None = None, period: float = 1.0
    ) -> AsyncIterator[None]:
        """Wait for a slot of this name and hold it. `period` is in seconds."""
        slots = self._busy.get(name) or self._idle.pop(name, None) or _Slots()
        self._busy[name] = slots
        try:
            async with slots.hold(limit, rate, period):
                if rate is not None and self._note is not None:
                    await self._note(Period(name, slots.ends_at, slots.begun))
                yield
        finally:
            # Of several that are cancelled at the same time, the first may find it idle already.
            if slots.idle and self._busy.get(name) is slots:
                del self._busy[name]
                self._idle[name] = slots
                self._forget()

    def _forget(self) -> None:
        now = monotonic()
        for name in [name for name, each in self._idle.items() if each.matters_until <= now]:
            del self._idle[name]
        while len(self._idle) > IDLE_FLOWS:
            del self._idle[next(iter(self._idle))]
