"""Ending asyncio tasks for certain."""

import asyncio
from collections.abc import Iterable
from typing import Any

INSISTENCE = 1.0
"""Seconds after which a task that goes on is cancelled again."""


async def end_tasks(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel, and return once all have ended, however they did. Once is not always enough:
    asyncio.wait_for of Python 3.11 forgets a cancellation that comes as its future is done
    (python/cpython#86296), and drivers use it."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        ended, pending = await asyncio.wait(pending, timeout=INSISTENCE)
        for task in ended:
            if not task.cancelled():
                task.exception()  # seen: nobody has to be told
