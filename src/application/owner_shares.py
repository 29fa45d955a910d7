"""OwnerShares: hold the share of a task's owner while a delivery of the task is handled.

The queue holds the tasks of an owner back by the owner's share, but it knows one key of each
message only. A task whose request names a key of its own is held back by that one, so its owner's
share is held here, over all instances. All tasks of the owner count:

- One that the queue already holds back by the share waits here if others run instead of it: those
  with keys of their own, and those of a process that has died, until their slots lapse. No more
  wait than the share has slots, and none for longer than a lease: they take up room here.
- Of those with keys of their own any number may be delivered. They are postponed, for longer the
  older they are, so that thousands of them do not keep all instances busy.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import monotonic

import structlog

from application.held_slots import HeldSlots
from application.ports import Clock, Delivery, Limiter
from domain.flow_control import Share, Shares

log = structlog.get_logger(__name__)

WAIT = 0.5
"""Seconds after which a delivery that waits looks again whether a slot is free."""
SOONEST, LATEST, AGE_SHARE = 5.0, 120.0, 0.5
"""Seconds for which a delivery is postponed at least and at most, and in between, as a share of the
time since its task was to begin."""


class OwnerShares:
    def __init__(
        self,
        limiter: Limiter,
        shares: Shares,
        clock: Clock,
        lease: float,
        *,
        queue_holds_shares: bool = True,
    ) -> None:
        """`lease`: of each attempt, in seconds. The slot of a process that has died lapses after as
        long. `queue_holds_shares`: whether the queue is one for all instances, so that it keeps the
        rates of owners."""
        self._limiter = limiter
        self._shares = shares
        self._clock = clock
        self._ttl = lease
        self._queue_holds_shares = queue_holds_shares
        self._held = HeldSlots(limiter, lease, "shares")

    def of(self, owner: str | None) -> Share | None:
        """Return the share of an owner, None if it has none."""
        return self._shares.of(owner)

    @asynccontextmanager
    async def held(
        self, delivery: Delivery, stopping: asyncio.Event
    ) -> AsyncIterator[float | None]:
        """Yield None while the share is held, or at once if the owner has none or `stopping` is
        set. Yield the seconds after which the task is to be delivered again if the share is used
        up. Raises StoreUnavailable."""
        share = self._shares.of(delivery.owner)
        if share is None:
            yield None
            return
        counter = _counter(delivery.owner)
        if share.parallelism is not None:
            if not await self._acquired(counter, share.parallelism, delivery, stopping):
                yield None if stopping.is_set() else self._postponed(delivery)
                return
            self._held.enter(counter, delivery.task_id)
        try:
            reset = await self._rate_reset(counter, share, delivery)
            yield None if reset is None else max(reset, self._postponed(delivery))
        finally:
            if share.parallelism is not None:
                await self._held.leave(counter, delivery.task_id)

    async def running(self, owner: str | None) -> int | None:
        """Return how many tasks of an owner run now, over all instances. None: its share has no
        parallelism. Raises StoreUnavailable."""
        share = self._shares.of(owner)
        if share is None or share.parallelism is None:
            return None
        return len(await self._limiter.holders(_counter(owner), share.parallelism))

    async def keep(self) -> None:
        """Renew what this process holds, for as long as it lives."""
        while True:
            await asyncio.sleep(self._ttl / 3)
            await self.renew()

    async def renew(self) -> None:
        """Renew what this process holds. To be called several times in a lease."""
        await self._held.renew()

    async def _acquired(
        self, counter: str, limit: int, delivery: Delivery, stopping: asyncio.Event
    ) -> bool:
        """Acquire a slot. Two deliveries of one task share it: one of them waits for the other."""
        until = monotonic() + self._ttl
        while not await self._limiter.acquire(counter, delivery.task_id, limit, self._ttl):
            if delivery.own_flow or monotonic() >= until:
                return False
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), WAIT)
            if stopping.is_set():
                return False
        return True

    async def _rate_reset(self, counter: str, share: Share, delivery: Delivery) -> float | None:
        """Count the task in the owner's rate. Return the seconds until the next period if that
        leaves no room for it."""
        if share.rate is None:
            return None
        kept = self._queue_holds_shares and not delivery.own_flow
        usage = await self._limiter.consume(
            f"{counter}:{share.period}", 1, None if kept else share.rate, share.period
        )
        return None if usage.granted else usage.reset

    def _postponed(self, delivery: Delivery) -> float:
        due = max(delivery.created_at, delivery.not_before or 0)
        age = (self._clock.now() - due) / 1000
        seconds = min(LATEST, max(SOONEST, AGE_SHARE * age))
        log.info("share of the owner used up: delivery postponed", seconds=round(seconds))
        return seconds


def _counter(owner: str | None) -> str:
    return "share:all" if owner is None else f"share:key:{owner}"
