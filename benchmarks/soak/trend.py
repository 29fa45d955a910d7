"""Whether a figure that was looked at again and again is flat, or grows."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

SHARE = 0.01
"""By which part of its median a flat figure may grow while it is judged."""


@dataclass(frozen=True, slots=True)
class Trend:
    median: float
    per_hour: float
    """The slope: the median of those between every two points."""
    flat: bool

    def __str__(self) -> str:
        word = "flat" if self.flat else "grows"
        return f"{word}: {self.median:,.0f}, {self.per_hour:+,.0f} an hour"


def trend(seconds: Sequence[float], values: Sequence[float], least: float) -> Trend:
    """Judge a figure at those moments. It is flat unless it grew by more than each of these:
    `least`, SHARE of its median, and the interquartile range of the values without the slope,
    since two looks differ by that anyhow."""
    points = list(zip(seconds, values, strict=True))
    slopes = [(b - a) / (later - at) for (at, a), (later, b) in combinations(points, 2)]
    slope = statistics.median(slopes)
    middle = statistics.median(values)
    first, _, third = statistics.quantiles([value - slope * at for at, value in points])
    grown = slope * (seconds[-1] - seconds[0])
    return Trend(middle, slope * 3600, grown <= max(least, SHARE * abs(middle), third - first))
