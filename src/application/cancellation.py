"""Reliable cancellation of asyncio tasks."""

import asyncio
from collections.abc import Iterable
from typing import Any

RETRY_AFTER = 1.0
"""Seconds after which a task that is still running is cancelled again."""


async def end_tasks(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks and wait until all have ended. Their exceptions are ignored.

    One cancellation may not be enough: drivers use asyncio.wait_for, which in Python 3.11 loses a
    cancellation that arrives when its future is done (python/cpython#86296).
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        ended, pending = await asyncio.wait(pending, timeout=RETRY_AFTER)
        for task in ended:
            if not task.cancelled():
                task.exception()  # retrieved, so that asyncio does not log it
