"""A wall clock that is not set while the process runs."""

import time
from collections.abc import Callable

_ELAPSED = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""On Linux it goes on while the machine sleeps."""


def steady_clock() -> Callable[[], float]:
    """Return a clock that gives seconds since 1970, as the system's clock said them when this was
    called and as they have passed since. So no time that it gives is earlier than one before."""
    began = time.time() - time.clock_gettime(_ELAPSED)
    return lambda: began + time.clock_gettime(_ELAPSED)
