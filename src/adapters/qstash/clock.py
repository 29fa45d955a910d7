"""The time by QStash's clock. QStash signs deliveries for a few minutes from then.

Each response of QStash has a `Date` (RFC 9110, 6.6.1): the second in which it was made. The offset
of this machine's clock is known from it to a second or so, and the median of a few responses is
used. Within that precision the machine's own clock is the better one.
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
"""Seconds above which a response is not used: the server's clock was read at an unknown moment in
between."""
MAX_AGE = 600.0
"""Seconds after which a response is dropped once there is a newer one."""
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
        *,
        shared: bool = False,
    ) -> None:
        """`shared`: QStash reads the same clock, so nothing is learned from its responses. (A
        process that was frozen, or whose machine slept, sends the `Date` of before for a while.)"""
        self._wall = wall
        self._monotonic = monotonic
        self._shared = shared
        self._samples: deque[_Sample] = deque(maxlen=SAMPLES)

    def begin(self) -> float:
        """The moment, for `compare`, at which a request begins."""
        return self._monotonic()

    def compare(self, date: str, began: float) -> None:
        """Learn from the `Date` of a response that has just begun to arrive, to a request that
        began at that moment. A text that is no date is ignored."""
        if self._shared:
            return
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

    def offset(self) -> float:
        """Seconds by which QStash's clock is ahead of this machine's, negative if it is behind;
        0.0 within the precision of the measure, and as long as nothing is known."""
        wall_at_zero = self._wall() - self._monotonic()
        valid = [
            each.offset
            for each in self._samples
            if abs(each.wall_at_zero - wall_at_zero) < PRECISION
        ]
        if not valid:
            return 0.0
        offset = median(valid)
        return offset if abs(offset) > PRECISION else 0.0

    def now(self) -> float:
        """Seconds since the Unix epoch by QStash's clock, as far as it is known."""
        return self._wall() + self.offset()
