"""The beginnings of deliveries, many of them in portions, and other long work in portions: what
holds the event loop makes all other clients wait."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence

from entrypoints.local_qstash.message import QueuedMessage

BEGUN_AT_ONCE = 50
"""Messages. Each takes some 100 µs until its delivery waits for something."""
PORTION = 0.01
"""Seconds."""


class Portions:
    """Is told of each step of a long work, and lets others go on once a portion is done."""

    def __init__(self) -> None:
        self._until = time.monotonic() + PORTION

    async def step(self) -> None:
        if time.monotonic() >= self._until:
            await asyncio.sleep(0)
            self._until = time.monotonic() + PORTION


class Beginnings:
    """The messages that are kept and whose deliveries have not begun yet, in the order in which
    they were kept. A few begin at once."""

    def __init__(self, begin: Callable[[QueuedMessage], None]) -> None:
        self._begin = begin
        self._waiting: OrderedDict[str, QueuedMessage] = OrderedDict()
        self._beginning: asyncio.Task[None] | None = None

    def add(self, messages: Sequence[QueuedMessage]) -> None:
        """Called once these are kept."""
        if not self._waiting and len(messages) <= BEGUN_AT_ONCE:
            for each in messages:
                self._begin(each)
            return
        self._waiting.update((each.id, each) for each in messages)
        if self._beginning is None:
            self._beginning = asyncio.create_task(self._begin_in_portions())

    def withdraw(self, message_id: str) -> bool:
        """Let a message not begin. Returns False if it has, or is not known."""
        return self._waiting.pop(message_id, None) is not None

    async def done(self) -> None:
        """Wait until all have begun that are kept by now."""
        if self._beginning is not None:
            await asyncio.wait([self._beginning])

    def close(self) -> None:
        self._waiting.clear()

    async def _begin_in_portions(self) -> None:
        try:
            while self._waiting:
                for _ in range(min(BEGUN_AT_ONCE, len(self._waiting))):
                    self._begin(self._waiting.popitem(last=False)[1])
                await asyncio.sleep(0)
        finally:
            self._beginning = None
