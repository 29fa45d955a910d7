"""Live delivery inside one process: who listens to which task, and what waits for each.

This is the half of every EventFeed that has nothing to do with where batches come from. The memory
adapter puts batches in directly; a store that publishes over the network does so from its one
listener. `publish` never waits for a subscriber: one that falls behind loses its queue and gets a
Gap, which sends it to the log.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from application.ports import Batch, FeedClosed, FeedWatch, Gap

QUEUE_LIMIT = 512
"""Batches that may wait for one subscriber before it is sent to the log. They are shared with all
other subscribers of the process, so the cost of one that waits is a pointer."""
WAITING_LIMIT = 1024 * 1024
"""Characters of text that may wait for one subscriber, in more than one batch: it may be the only
one that still holds them."""


class Inbox:
    """One subscriber's bounded queue. Meets the Subscription port."""

    def __init__(self, limit: int, watch: FeedWatch | None) -> None:
        self._limit = limit
        self._watch = watch
        self._waiting: deque[Batch] = deque()
        self._size = 0
        self._gap = False
        self._closed = False
        self._wakeup: asyncio.Future[None] | None = None

    def put(self, batch: Batch, size: int) -> None:
        if self._gap:
            return  # the log has it, and the reader is on its way there
        self._size += size
        if self._waiting and (len(self._waiting) >= self._limit or self._size > WAITING_LIMIT):
            self.lose()
            return
        self._waiting.append(batch)
        self._wake()

    def lose(self) -> None:
        """Forget what waits and say so."""
        self._clear()
        if not self._gap and self._watch is not None:
            self._watch.gap()
        self._gap = True
        self._wake()

    def close(self) -> None:
        self._closed = True
        self._wake()

    async def receive(self, timeout: float) -> Sequence[Batch] | Gap | None:
        if not (self._waiting or self._gap or self._closed):
            await self._silence(timeout)
        if self._closed:
            raise FeedClosed
        if self._gap:
            self._gap = False
            return Gap()
        if not self._waiting:
            return None
        batches = tuple(self._waiting)
        self._clear()
        return batches

    async def _silence(self, timeout: float) -> None:
        """Return at the next wake-up, or after `timeout` seconds. A bare future and timer: this
        runs once per batch and subscriber, where asyncio.wait_for would cost a multiple."""
        loop = asyncio.get_running_loop()
        self._wakeup = loop.create_future()
        timer = loop.call_later(timeout, self._wake)
        try:
            await self._wakeup
        finally:
            timer.cancel()
            self._wakeup = None

    def _clear(self) -> None:
        self._waiting.clear()
        self._size = 0

    def _wake(self) -> None:
        if self._wakeup is not None and not self._wakeup.done():
            self._wakeup.set_result(None)


class FanOut:
    """All subscribers of one process, by task. Meets the EventFeed port."""

    def __init__(self, queue_limit: int = QUEUE_LIMIT, watch: FeedWatch | None = None) -> None:
        self._queue_limit = queue_limit
        self._watch = watch
        self._inboxes: dict[str, set[Inbox]] = {}
        self._closed = False

    @asynccontextmanager
    async def subscribe(self, task_id: str) -> AsyncIterator[Inbox]:
        inbox = Inbox(self._queue_limit, self._watch)
        if self._closed:
            inbox.close()
        self._inboxes.setdefault(task_id, set()).add(inbox)
        try:
            yield inbox
        finally:
            inboxes = self._inboxes[task_id]
            inboxes.discard(inbox)
            if not inboxes:
                del self._inboxes[task_id]

    def publish(self, task_id: str, batch: Batch) -> None:
        size = batch.size
        for inbox in self._inboxes.get(task_id, ()):
            inbox.put(batch, size)

    def lose(self, task_id: str) -> None:
        """Something of this task may have been missed: its subscribers get a Gap."""
        for inbox in self._inboxes.get(task_id, ()):
            inbox.lose()

    def close(self) -> None:
        """End every subscription, now and from now on. Safe to call twice."""
        self._closed = True
        for inboxes in self._inboxes.values():
            for inbox in inboxes:
                inbox.close()
