"""Several starts find each other by one key: those that come later wait for the one that has it."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from application.errors import StartUncertain
from application.new_tasks import Started
from application.ports import ABANDONED_AFTER, Binding

WAIT = 3.0
"""Seconds for which a start waits for another one with the same key."""
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.5
"""Seconds between two checks of the other start, at first and at most."""
RETRY_AFTER = 5.0
"""The longest Retry-After, in seconds, of a start that waited without success."""


@dataclass(frozen=True, slots=True)
class KeyInUse:
    """The key is bound to a task of which another start has not written the record yet."""

    binding: Binding


@dataclass(frozen=True, slots=True)
class KeyFree:
    """The task that the key is bound to does not count, or will never have a record."""


@dataclass(frozen=True, slots=True)
class KeyLost:
    """The key is bound to another task in the meantime, or may be: the start tries again."""


async def until_started(
    try_start: Callable[[], Awaitable[Started | KeyInUse | KeyLost]], wait: float
) -> Started:
    """Try until the task of the key is started, for at most `wait` seconds. Raises
    StartUncertain."""
    until, pause, task_id = time.monotonic() + wait, FIRST_PAUSE, ""
    while True:
        outcome = await try_start()
        if isinstance(outcome, Started):
            return outcome
        if isinstance(outcome, KeyLost):
            if time.monotonic() >= until:
                raise StartUncertain(1.0)
            continue
        other = outcome.binding
        if time.monotonic() + pause > until:
            raise StartUncertain(min(RETRY_AFTER, max(1.0, ABANDONED_AFTER - other.age)))
        pause = FIRST_PAUSE if other.task_id != task_id else min(LONGEST_PAUSE, pause * 2)
        task_id = other.task_id
        await asyncio.sleep(pause)
