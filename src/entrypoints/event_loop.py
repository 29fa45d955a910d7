"""What every process of the service does for its speed."""

import asyncio
import gc
import sys
from collections.abc import Callable


def collect_garbage_less_often() -> None:
    """Python looks for cycles after every 700 new objects by default, and through all objects after
    some 70,000: with a thousand subscribers that is a hundred milliseconds, several times a second
    (docs/performance.md). What a stream allocates dies without any of it."""
    gc.set_threshold(10_000, 20, 100)


def switch_threads_more_often() -> None:
    """By default a thread waits 5 ms for a busy one to give up the GIL. The writer of the data file
    waits several times for each group of writes, and all readers with it (docs/performance.md)."""
    sys.setswitchinterval(0.001)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415  (not on every platform)
    except ImportError:
        return None
    return uvloop.new_event_loop
