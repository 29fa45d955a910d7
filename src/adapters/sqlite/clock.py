"""The time for which this process was awake."""

import threading
import time
from collections.abc import Callable

LONGEST_GAP = 2.0
"""Seconds between two readings that count at most."""


class AwakeClock:
    """Counts the seconds for which this process could work.

    It stands still while the process is frozen or the machine sleeps: nothing could renew a lease
    then, or deliver a task. To tell that from a time without work, it has to be read more often
    than every LONGEST_GAP seconds, which the housekeeping does. Any thread may read it.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._read_at = monotonic()
        self._awake = 0.0

    def __call__(self) -> float:
        """Return the seconds since the clock was made."""
        with self._lock:
            now = self._monotonic()
            self._awake += min(now - self._read_at, LONGEST_GAP)
            self._read_at = now
            return self._awake
