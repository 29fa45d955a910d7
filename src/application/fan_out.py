"""Live delivery inside one process: who listens to which task, and what waits for each.

This is the half of every EventFeed that has nothing to do with where batches come from. The memory
adapter puts batches in directly; a store that publishes over the network does so from its one
listener. `publish` never waits for a subscriber: one that falls behind loses its queue and gets a
Gap, which sends it to the log.

A crowd rests after each delivery, in proportion to what that took: what is published meanwhile goes
out as one batch. So one subscriber gets each event at once, a few hundred still do, and thousands
get a few events at a time, for a bounded share of the process's time.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager

from application.errors import FeedClosed
from application.ports import Batch, Cursor, FeedWatch, Gap

QUEUE_LIMIT = 512
"""Batches that may wait for one subscriber before it is sent to the log. They are shared with all
other subscribers of the process, so the cost of one that waits is a pointer."""
WAITING_LIMIT = 1024 * 1024
"""Characters of text that may wait for one subscriber, in more than one batch: it may be the only
one that still holds them."""

JOINED_LIMIT = 64 * 1024
"""Characters of text up to which batches are joined: a write of more gains nothing."""
REST, LONGEST_REST = 5, 0.1
"""Time between two deliveries to a crowd, as a multiple of what the first took, and at most, in
seconds."""


class Inbox:
    """One subscriber's bounded queue. Meets the Subscription port."""

    __slots__ = (
        "_closed",
        "_gap",
        "_limit",
        "_loop",
        "_size",
        "_timer",
        "_waiting",
        "_wakeup",
        "_watch",
        "cursor",
        "heard",
    )

    def __init__(
        self, limit: int, watch: FeedWatch | None, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._loop = loop
        self._limit = limit
        self._watch = watch
        self._waiting: list[Batch] = []
        self._size = 0
        self._gap = False
        self._closed = False
        self.cursor: Cursor | None = None
        """There while what comes may go past the queue."""
        self.heard = 0.0
        """When something last did, by the event loop's clock."""
        self._timer: asyncio.TimerHandle | None = None
        self._wakeup: asyncio.Future[None] | None = None

    def put(self, batch: Batch, size: int) -> None:
        self.cursor = None  # what follows waits behind this
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
        self.cursor = None
        self._clear()
        if not self._gap and self._watch is not None:
            self._watch.gap()
        self._gap = True
        self._wake()

    def close(self) -> None:
        self._closed = True
        self._wake()

    async def receive(
        self, timeout: float, cursor: Cursor | None = None
    ) -> Sequence[Batch] | Gap | None:
        if not (self._waiting or self._gap or self._closed):
            # A bare future and timer: asyncio.wait_for would cost a multiple.
            loop = self._loop
            self.cursor, self.heard = cursor, loop.time()
            self._wakeup = loop.create_future()
            self._timer = loop.call_later(timeout, self._look, timeout)
            try:
                await self._wakeup
            finally:
                self._timer.cancel()
                self._timer = self._wakeup = self.cursor = None
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

    def _look(self, timeout: float) -> None:
        left = self.heard + timeout - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look, timeout)
        else:
            self._wake()

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
        self._crowds: dict[str, _Crowd] = {}
        self._closed = False

    @asynccontextmanager
    async def subscribe(self, task_id: str) -> AsyncIterator[Inbox]:
        inbox = self.join(task_id)
        try:
            yield inbox
        finally:
            self.leave(task_id, inbox)

    def join(self, task_id: str) -> Inbox:
        """A subscription that somebody has to end with `leave`."""
        if (crowd := self._crowds.get(task_id)) is None:
            crowd = self._crowds[task_id] = _Crowd()
        inbox = Inbox(self._queue_limit, self._watch, crowd.loop)
        if self._closed:
            inbox.close()
        crowd.inboxes.add(inbox)
        return inbox

    def leave(self, task_id: str, inbox: Inbox) -> None:
        crowd = self._crowds[task_id]
        crowd.inboxes.discard(inbox)
        if not crowd.inboxes:
            del self._crowds[task_id]

    def publish(self, task_id: str, batch: Batch) -> None:
        """Deliver it at once, or when the crowd has rested."""
        if (crowd := self._crowds.get(task_id)) is not None:
            crowd.publish(batch)

    def lose(self, task_id: str) -> None:
        """Something of this task may have been missed: its subscribers get a Gap."""
        if (crowd := self._crowds.get(task_id)) is not None:
            crowd.published.clear()
            for inbox in crowd.inboxes:
                inbox.lose()

    def close(self) -> None:
        """End every subscription, now and from now on. Safe to call twice."""
        self._closed = True
        for crowd in self._crowds.values():
            for inbox in crowd.inboxes:
                inbox.close()


class _Crowd:
    """The subscribers of one task."""

    __slots__ = ("_rested", "_scheduled", "inboxes", "loop", "published")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()  # asked once: Python makes a system call of it
        self.inboxes: set[Inbox] = set()
        self.published: list[Batch] = []
        self._scheduled = False
        self._rested = 0.0

    def publish(self, batch: Batch) -> None:
        self.published.append(batch)
        if not self._scheduled:
            self._scheduled = True
            rest = self._rested - time.monotonic()
            if rest > 0:
                self.loop.call_later(rest, self._deliver)
            else:
                self._deliver()

    def _deliver(self) -> None:
        self._scheduled = False
        batches, self.published = self.published, []
        began, now = time.monotonic(), self.loop.time()
        for batch in _joined(batches):
            _give(batch, self.inboxes, now)
        ended = time.monotonic()
        self._rested = ended + min(LONGEST_REST, REST * (ended - began))


def _give(batch: Batch, inboxes: Iterable[Inbox], now: float) -> None:
    """What is done once per subscriber and batch, and so has to be little."""
    before, stood, epoch, last = batch.before, batch.first - 1, batch.epoch, batch.last
    closes, size = batch.closes, batch.size
    for inbox in inboxes:
        cursor = inbox.cursor
        if cursor is None or cursor.after != stood or cursor.epoch != before or closes:
            inbox.put(batch, size)
            continue
        try:
            taken = cursor.take(batch)
        except Exception:
            taken = False  # the subscriber meets the same fault when it writes this itself
        if taken:
            cursor.epoch, cursor.after = epoch, last
            inbox.heard = now
        else:
            inbox.put(batch, size)


def _joined(batches: Sequence[Batch]) -> Iterator[Batch]:
    """The same events in few batches, none of them of more than JOINED_LIMIT if it is several."""
    run: list[Batch] = []
    size = 0
    for batch in batches:
        size += batch.size
        if run and (size > JOINED_LIMIT or not _goes_on(run[-1], batch)):
            yield _one(run)
            run, size = [], batch.size
        run.append(batch)
    if run:
        yield _one(run)


def _goes_on(last: Batch, batch: Batch) -> bool:
    return batch.first == last.last + 1 and batch.before == batch.epoch == last.epoch


def _one(run: Sequence[Batch]) -> Batch:
    if len(run) == 1:
        return run[0]
    events = tuple(event for batch in run for event in batch.events)
    return Batch(run[0].epoch, run[0].first, events, run[0].before)
