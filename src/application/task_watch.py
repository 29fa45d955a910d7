"""TaskWatch: tells a worker when the status of its task changes."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress

from application.errors import FeedClosed
from application.ports import Batch, EventFeed, Subscriber
from domain.events import PieceAdded


class TaskWatch(Subscriber):
    """A subscriber that lets one coroutine wait for a change of the status, and ignores pieces of
    the answer."""

    def __init__(self) -> None:
        self.ended = False
        """Whether the task has ended."""
        self.missed_events = False
        """Whether a change may have been missed. The worker asks the store and resets this."""
        self._feed_closed = False
        self._changed = asyncio.Event()

    def offer(self, batch: Batch) -> None:
        if not all(isinstance(event, PieceAdded) for event in batch.events):
            self.ended = self.ended or batch.closes
            self._changed.set()

    def missed(self) -> None:
        self.missed_events = True
        self._changed.set()

    def closed(self) -> None:
        self._feed_closed = True
        self._changed.set()

    async def change(self, timeout: float | None = None) -> None:
        """Wait until the status has changed or may have changed, for at most `timeout` seconds.
        Raises FeedClosed when this process stops delivering events."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._changed.wait()
        self._changed.clear()
        if self._feed_closed:
            raise FeedClosed


@asynccontextmanager
async def watching(feed: EventFeed, task_id: str) -> AsyncGenerator[TaskWatch, None]:
    """Watch a task from now on. Raises StoreUnavailable."""
    watch = TaskWatch()
    await feed.subscribe(task_id, watch)
    try:
        yield watch
    finally:
        feed.unsubscribe(task_id, watch)
