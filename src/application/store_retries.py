"""Repeats the calls that attempts make of a store which is unavailable for a while."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from application.errors import StoreUnavailable

log = structlog.get_logger(__name__)

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds between two calls of a store that is unavailable, at first and at most."""
TOLD_EVERY = 60.0
"""Seconds between two log lines about the same outage."""


class StoreRetries:
    """The retries of all attempts in this process, which tell the log of an outage together: its
    first failure, how many there were once a minute, and that the store works again. (On a full
    disk each running task would write a line a second.)"""

    def __init__(self) -> None:
        self._failures = 0
        """In this outage. 0: the store works, as far as is known."""
        self._began = self._told = self._failed = 0.0
        """Monotonic times: when the outage began, was told last, and was met last."""

    async def while_leased(self, call: Callable[[], Awaitable[T]], lease: float) -> T:
        """Make an idempotent call of the store, and repeat it while the store is unavailable, for
        at most `lease` seconds: then another worker may have the task. Raises StoreUnavailable."""
        until, pause, failed = time.monotonic() + lease, FIRST_PAUSE, False
        while True:
            try:
                result = await call()
            except StoreUnavailable as error:
                failed = True
                self._note_failure(error)
                if time.monotonic() + pause > until:
                    raise
                _raise_if_cancelled()
            else:
                if failed:
                    self._note_recovery()
                _raise_if_cancelled()
                return result
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)

    def works(self) -> None:
        """Note that the store has carried out a write. Ends an outage that no attempt lived to see
        the end of; one that others still meet goes on."""
        if self._failures and time.monotonic() - self._failed > 2 * LONGEST_PAUSE:
            self._note_recovery()

    def _note_failure(self, error: StoreUnavailable) -> None:
        now = time.monotonic()
        if not self._failures:
            self._began = now
        self._failures, self._failed = self._failures + 1, now
        if self._failures == 1 or now - self._told >= TOLD_EVERY:
            self._told = now
            log.warning("store unavailable: retrying", error=str(error), failures=self._failures)

    def _note_recovery(self) -> None:
        if self._failures:
            seconds = round(time.monotonic() - self._began, 1)
            log.warning("store available again", failures=self._failures, seconds=seconds)
            self._failures = 0


def _raise_if_cancelled() -> None:
    """Raise CancelledError if this asyncio task was cancelled and a driver suppressed it, as
    asyncio.wait_for of Python 3.11 does when its future is already done (python/cpython#86296)."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
