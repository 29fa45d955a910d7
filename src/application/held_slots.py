"""HeldSlots: the slots that a process holds, renewed until they are left.

So the slots of a process that died lapse, and those of a living one never do.
"""

from collections import Counter

import structlog

from application.errors import StoreUnavailable
from application.ports import Limiter

log = structlog.get_logger(__name__)


class HeldSlots:
    def __init__(self, limiter: Limiter, ttl: float, what: str) -> None:
        """`ttl`: seconds after which a slot lapses unless it is renewed. `what`: what has the
        slots, for the log."""
        self._limiter = limiter
        self._ttl = ttl
        self._what = what
        self._held: dict[str, Counter[str]] = {}

    def enter(self, counter: str, holder: str) -> None:
        """Keep a slot that was acquired from now on until `leave`. A holder that has entered twice
        has to leave twice."""
        self._held.setdefault(counter, Counter())[holder] += 1

    async def leave(self, counter: str, holder: str) -> None:
        """Release a slot, also one that has not been entered. If the store is unavailable, the slot
        lapses."""
        if (holders := self._held.get(counter)) is not None:
            holders[holder] -= 1
            if holders[holder] > 0:
                return
            del holders[holder]
            if not holders:
                del self._held[counter]
        try:
            await self._limiter.release(counter, holder)
        except StoreUnavailable as error:
            log.warning("slot not released: it lapses", of=self._what, error=str(error))

    async def renew(self) -> None:
        """Renew all of them. To be called several times in their time to live."""
        for counter in list(self._held):
            holders = list(self._held.get(counter, ()))
            try:
                await self._limiter.renew(counter, holders, self._ttl)
                # What was left during the call may have been given its slot back by it.
                for left in set(holders).difference(self._held.get(counter, ())):
                    await self._limiter.release(counter, left)
            except StoreUnavailable as error:
                log.warning("slots not renewed", of=self._what, error=str(error))
