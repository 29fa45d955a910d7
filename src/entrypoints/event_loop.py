"""What every process of the service does for its speed."""

import asyncio
import gc
from collections.abc import Callable


def collect_garbage_less_often() -> None:
    """Python looks for cycles after every 700 new objects by default, and through all objects after
    some 70,000: with a thousand subscribers that is a hundred milliseconds, several times a second
    (docs/performance.md). What a stream allocates dies without any of it."""
    gc.set_threshold(10_000, 20, 100)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415  (not on every platform)
    except ImportError:
        return None
    return uvloop.new_event_loop
