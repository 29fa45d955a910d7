"""The port of the rate limiter and the concurrency limiter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class WindowUsage:
    """What an account has used of its window."""

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
    """Counts over all instances what accounts use: amounts in a window of time (a rate limiter),
    and slots that are held at the same time (a concurrency limiter).

    An account is any text. Each method is one atomic step and may raise StoreUnavailable.
    """

    async def consume(
        self, account: str, amount: int, limit: int | None, window: float
    ) -> WindowUsage:
        """Add `amount` to what the account has used of its window, unless the sum would exceed
        `limit` (None: no limit). A window lasts `window` seconds from its first use. Raises
        ValueError for a negative amount: what is used never decreases within a window."""
        ...

    async def acquire(self, account: str, holder: str, limit: int, ttl: float) -> bool:
        """Hold one of the account's `limit` slots for `ttl` seconds; return False if all are held.
        A holder has one slot, however often it asks."""
        ...

    async def renew(self, account: str, holders: Sequence[str], ttl: float) -> None:
        """Hold these slots for `ttl` seconds from now, also those that have lapsed."""
        ...

    async def holders(self, account: str, limit: int) -> Sequence[HeldSlot]:
        """Return at most `limit` of the slots that are held, those that lapse first before the
        others. A slot that has just lapsed may be among them."""
        ...

    async def postpone(self, account: str, holders: Sequence[str], ttl: float) -> None:
        """Hold those of these slots that are still held for `ttl` seconds from now. So they come
        last in `holders`, if no slot was ever held for longer."""
        ...

    async def release(self, account: str, holder: str) -> None:
        """Free the slot, if it is held."""
        ...
