"""The port of the rate limiter and the concurrency limiter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class WindowUsage:
    """What has been counted in the current window of a counter."""

    granted: bool
    """Whether the amount was added."""
    used: int
    reset: float
    """Seconds until the window ends."""


@dataclass(frozen=True, slots=True)
class HeldSlot:
    """A slot, which lapses in `left` seconds unless it is renewed."""

    holder: str
    left: float


class Limiter(Protocol):
    """Counts over all instances: amounts in a window of time (a rate limiter), and slots that are
    held at the same time (a concurrency limiter).

    A counter is any text: it names what is counted, and for which account (`Account.of`). Each
    method is one atomic step and may raise StoreUnavailable.
    """

    async def consume(
        self, counter: str, amount: int, limit: int | None, window: float
    ) -> WindowUsage:
        """Add `amount` to the counter's current window, unless the sum would exceed `limit`
        (None: no limit). A window lasts `window` seconds from its first use. Raises
        ValueError for a negative amount: what is used never decreases within a window."""
        ...

    async def acquire(self, counter: str, holder: str, limit: int, ttl: float) -> bool:
        """Hold one of the counter's `limit` slots for `ttl` seconds; return False if all are held.
        A holder has one slot, however often it asks."""
        ...

    async def renew(self, counter: str, holders: Sequence[str], ttl: float) -> None:
        """Hold these slots for `ttl` seconds from now, also those that have lapsed."""
        ...

    async def holders(self, counter: str, limit: int) -> Sequence[HeldSlot]:
        """Return at most `limit` of the slots that are held, those that lapse first before the
        others. A slot that has just lapsed may be among them."""
        ...

    async def postpone(self, counter: str, holders: Sequence[str], ttl: float) -> None:
        """Hold for `ttl` seconds from now those of these slots that are still held; do nothing for
        the others. If no slot is held for longer than `ttl`, these then come last in `holders`."""
        ...

    async def release(self, counter: str, holder: str) -> None:
        """Free the slot, if it is held."""
        ...
