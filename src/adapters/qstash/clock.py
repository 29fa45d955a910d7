"""What time it is by QStash's clock, which signs deliveries for a few minutes from now.

Each answer of QStash bears a `Date` (RFC 9110, 6.6.1): the second in which it was made. How far
this machine's clock is from it is known to a second or so, and the median of a few answers is used.
Within that precision the machine's own clock is the better one.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from statistics import median

SAMPLES = 9
SLOWEST = 4.0
"""Seconds that an answer may take to be of use: the server's clock was read at an unknown moment
in between."""
MAX_AGE = 600.0
"""Seconds after which an answer counts no more once there is a newer one."""
PRECISION = 2.0
"""Seconds of offset below which a clock is not known to be wrong: a `Date` has no fractions, and
some servers renew it once a second."""
OFF = 5.0
"""Seconds of offset above which a clock is called wrong."""


@dataclass(frozen=True, slots=True)
class _Sample:
    offset: float
    at: float
    """By the monotonic clock."""
    wall_at_zero: float
    """What the wall clock would have shown when the monotonic one began: another value later means
    that the wall clock was set, or that the machine slept."""


class QueueClock:
    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._samples: deque[_Sample] = deque(maxlen=SAMPLES)

    def begin(self) -> float:
        """A mark of the moment for `compare`."""
        return self._monotonic()

    def compare(self, date: str, began: float) -> None:
        """Learn from the `Date` of an answer that has just begun to arrive, to a request that began
        at this mark. What is no date is passed over."""
        try:
            theirs = parsedate_to_datetime(date)
            seconds = (theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC)).timestamp() + 0.5
        except (ValueError, TypeError, OverflowError):
            return
        wall, now = self._wall(), self._monotonic()
        took = now - began
        if took > SLOWEST:
            return
        while self._samples and now - self._samples[0].at > MAX_AGE:
            self._samples.popleft()
        self._samples.append(_Sample(seconds - (wall - took / 2), now, wall - now))

    def offset(self) -> float | None:
        """Seconds by which QStash's clock is ahead of this machine's, negative if it is behind;
        0.0 within the precision of the measure, None if nothing is known."""
        wall_at_zero = self._wall() - self._monotonic()
        valid = [
            each.offset
            for each in self._samples
            if abs(each.wall_at_zero - wall_at_zero) < PRECISION
        ]
        if not valid:
            return None
        offset = median(valid)
        return offset if abs(offset) > PRECISION else 0.0

    def now(self) -> float:
        """Seconds since the Unix epoch by QStash's clock, as far as it is known."""
        return self._wall() + (self.offset() or 0.0)
