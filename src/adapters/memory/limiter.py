"""Limiter in the memory of one process. A method is atomic because it never awaits."""

import time
from collections.abc import Callable, Sequence
from heapq import nsmallest

from application.ports import HeldSlot, Limiter, WindowUsage

SWEEP_INTERVAL = 60.0
"""Seconds between two sweeps, which drop windows and slots that are over."""


class MemoryLimiter(Limiter):
    def __init__(self, elapsed: Callable[[], float] = time.monotonic) -> None:
        """`elapsed`: a monotonic clock, in seconds."""
        self._elapsed = elapsed
        self._swept = elapsed()
        self._used: dict[str, tuple[int, float]] = {}
        self._held: dict[str, dict[str, float]] = {}

    async def consume(
        self, counter: str, amount: int, limit: int | None, window: float
    ) -> WindowUsage:
        if amount < 0:
            raise ValueError("a negative amount")
        now = self._elapsed()
        self._sweep(now)
        used, until = self._used.get(counter, (0, 0.0))
        if until <= now:
            used, until = 0, now + window
        granted = limit is None or used + amount <= limit
        if granted and amount:
            used += amount
            self._used[counter] = (used, until)
        return WindowUsage(granted, used, until - now)

    async def acquire(self, counter: str, holder: str, limit: int, ttl: float) -> bool:
        now = self._elapsed()
        self._sweep(now)
        held = [name for name, until in self._held.get(counter, {}).items() if until > now]
        if holder not in held and len(held) >= limit:
            return False
        await self.renew(counter, [holder], ttl)
        return True

    async def renew(self, counter: str, holders: Sequence[str], ttl: float) -> None:
        until = self._elapsed() + ttl
        self._held.setdefault(counter, {}).update(dict.fromkeys(holders, until))

    async def holders(self, counter: str, limit: int) -> Sequence[HeldSlot]:
        now, held = self._elapsed(), self._held.get(counter, {})
        first = nsmallest(limit, held, key=held.__getitem__)
        return [HeldSlot(holder, held[holder] - now) for holder in first]

    async def postpone(self, counter: str, holders: Sequence[str], ttl: float) -> None:
        held = self._held.get(counter, {})
        await self.renew(counter, [each for each in holders if each in held], ttl)

    async def release(self, counter: str, holder: str) -> None:
        self._held.get(counter, {}).pop(holder, None)

    def _sweep(self, now: float) -> None:
        if now - self._swept < SWEEP_INTERVAL:
            return
        self._swept = now
        for counter in [name for name, (_, until) in self._used.items() if until <= now]:
            del self._used[counter]
        for counter, held in list(self._held.items()):
            for holder in [name for name, until in held.items() if until <= now]:
                del held[holder]
            if not held:
                del self._held[counter]
