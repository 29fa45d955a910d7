"""The port that counts what accounts use."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class WindowUsage:
    """What an account has used of its window, which ends in `reset` seconds."""

    granted: bool
    used: int
    reset: float


class Limiter(Protocol):
    """What accounts use, counted over all instances: amounts in a window of time, and places held.
    An account is any text. Every method may raise StoreUnavailable."""

    async def consume(
        self, account: str, amount: int, limit: int | None, window: float
    ) -> WindowUsage:
        """Add `amount` to what the account used, unless that would be more than `limit`; in one
        step. Its window of so many seconds begins with the first use. Raises ValueError for a
        negative amount: what is used never becomes less within a window."""
        ...

    async def acquire(self, account: str, holder: str, limit: int, ttl: float) -> bool:
        """Take one of the account's `limit` places for `ttl` seconds, unless all are taken; in one
        step. A holder takes one place however often it asks."""
        ...

    async def renew(self, account: str, holders: Sequence[str], ttl: float) -> None:
        """Hold these places for `ttl` seconds from now."""
        ...

    async def holders(self, account: str, limit: int) -> Sequence[tuple[str, float]]:
        """Who holds a place and for how many seconds still, the one that ends first before the
        others; at most `limit` of them."""
        ...

    async def postpone(self, account: str, holders: Sequence[str], ttl: float) -> None:
        """Hold those of these places that are still held for `ttl` seconds from now. They come
        last among the holders then, if no place was ever taken for longer."""
        ...

    async def release(self, account: str, holder: str) -> None: ...
