"""A reader: every event of a task from the reader's position, once and in order.

A reader is an object, not a waiting coroutine. It subscribes first, then reads the log to its end,
then is live: the feed offers it each new batch, and the reader checks that the batch follows its
position, writes it and moves on. Whatever does not follow (a slow client, missed events, a batch
that was seen) makes the reader catch up: a task writes what waits, or what the log has, and ends
when the reader is live again.

The log alone is the truth; the feed only says when to look and saves the looking. Where the log no
longer has what the reader saw of it, the reader starts over from the first event. Where the store
has lost the log of a task that has ended (a Redis that evicts keys), an error says so and is the
last event.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Protocol

import structlog

from application.errors import StoreUnavailable, UnknownTask, Unreadable
from application.ports import Batch, Clock, EventFeed, FeedObserver, Page, Subscriber, TaskLog
from application.reap import FailOrphanedTasks
from domain.events import START, Position, TaskErrored
from domain.task import Task

log = structlog.get_logger(__name__)

STORE_PAUSE = 1.0
"""Seconds between two readings of a store that is away."""
LOST = Position("lost", 1)
"""The position of the event that tells of a lost log, so that a reader that comes back is told
nothing more. No log has an epoch of this name."""
WAITING_BATCHES = 512
"""Batches that may wait for one reader before it is sent to the log. They are shared with all
other readers of the process, so that one that waits costs a pointer."""
WAITING_TEXT = 1024 * 1024
"""Characters of text that may wait for one reader, in more than one batch: it may be the only one
that still holds them."""


@dataclass(frozen=True, slots=True)
class ReaderContext:
    """What the readers of a process share."""

    tasks: TaskLog
    feed: EventFeed
    clock: Clock
    observer: FeedObserver
    orphans: FailOrphanedTasks
    ping_interval: float
    """Seconds without an event after which a ping is written, at the latest."""
    page: int
    """Events per read of the log: what a reader that catches up holds in memory."""
    waiting_batches: int
    on_close: Callable[[], None]


class Sink(Protocol):
    """Where a reader's events go: the connection of one client."""

    __slots__ = ()

    def write(self, batch: Batch) -> bool:
        """Write it at once. Return False, and write nothing, if the client is slow or gone."""
        ...

    def write_all(self, batches: Sequence[Batch]) -> bool:
        """Write several at once, as `write` does."""
        ...

    async def writable(self) -> None:
        """Return once the client has taken most of what was written."""
        ...

    def ping(self) -> None:
        """Write a sign that the connection lives, if the client takes it."""
        ...

    def end(self) -> None:
        """Nothing more is written."""
        ...


class Reader(Subscriber):
    """One reader of one task, and how the task stood when the reader was let in.

    It holds one of the process's slots for streams until it is closed."""

    __slots__ = (
        "_active_at",
        "_catching_up",
        "_closed",
        "_context",
        "_must_read",
        "_quiet_ticks",
        "_sink",
        "_size",
        "_ticked_at",
        "_timer",
        "_waiting",
        "_write",
        "attempt",
        "position",
        "status",
        "task_id",
    )

    def __init__(self, task: Task, position: Position, context: ReaderContext) -> None:
        # Not the task itself: its prompt would stay in memory for as long as the reader does.
        self.task_id = task.id
        self.status = task.status
        self.attempt = task.attempt
        self.position = position
        self._context = context
        self._closed = False
        self._sink: Sink | None = None
        self._write: Callable[[Batch], bool] = _write_nothing
        self._catching_up: asyncio.Task[None] | None = None
        self._must_read = True
        self._waiting: list[Batch] = []
        self._size = 0

    def start(self, sink: Sink) -> None:
        """Write events to the sink from now on, until the log or this process ends, the log is
        gone, or `close` is called; then the sink's `end` is called."""
        self._sink = sink
        self._write = sink.write
        self._ticked_at: Position | None = None
        self._quiet_ticks = 0
        self._active_at = self._context.clock.now()
        loop = asyncio.get_running_loop()
        self._catching_up = loop.create_task(self._subscribe())
        self._timer = loop.call_later(self._context.ping_interval / 2, self._tick, loop)

    def close(self) -> None:
        """Stop. Also for a reader that was never started; safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._write = _write_nothing
        self._context.feed.unsubscribe(self.task_id, self)
        self._context.on_close()
        self._waiting.clear()
        if self._sink is not None:
            self._timer.cancel()
            if self._catching_up is not None:
                self._catching_up.cancel()
            self._sink.end()

    def offer(self, batch: Batch) -> None:
        if self._catching_up is None and batch.after == self.position and self._write(batch):
            self.position = batch.end
            if batch.closes:
                self.close()
        elif not (self._must_read or self._closed):  # else the log has it
            self._size += batch.size
            self._waiting.append(batch)
            if len(self._waiting) > 1 and (
                len(self._waiting) > self._context.waiting_batches or self._size > WAITING_TEXT
            ):
                self.missed()
            else:
                self._catch_up_soon()

    def missed(self) -> None:
        if not (self._must_read or self._closed):
            self._context.observer.missed()
            self._read_from_log()
            self._catch_up_soon()

    def closed(self) -> None:
        self.close()

    def _read_from_log(self) -> None:
        self._must_read = True
        self._waiting.clear()
        self._size = 0

    def _catch_up_soon(self) -> None:
        if self._catching_up is None:
            self._catching_up = asyncio.create_task(self._catch_up(), context=Context())

    async def _subscribe(self) -> None:
        try:
            await self._context.feed.subscribe(self.task_id, self)
        except StoreUnavailable as error:
            log.error("store unavailable: stream ended", task_id=self.task_id, error=str(error))
            self._end_from_within()
        else:
            await self._catch_up()

    async def _catch_up(self) -> None:
        assert self._sink is not None  # noqa: S101
        try:
            while self._must_read or self._waiting:
                await self._sink.writable()
                ready = await self._read() if self._must_read else self._take_waiting()
                if ready and not self._sink.write_all(ready):
                    self._read_from_log()
                elif ready:
                    self.position = ready[-1].end
                    if ready[-1].closes:
                        self._end_from_within()
                        return
                del ready  # it may be a page of the log, and the client slow
        except UnknownTask:
            self._end_from_within()
        except Unreadable as error:  # as if this process stopped: another one can read it
            log.error("stream ended: unreadable", task_id=self.task_id, error=str(error))
            self._end_from_within()
        except Exception:
            log.exception("stream failed", task_id=self.task_id)
            self._end_from_within()
        else:
            self._catching_up = None

    def _end_from_within(self) -> None:
        self._catching_up = None  # which would be cancelled else
        self.close()

    def _take_waiting(self) -> Sequence[Batch]:
        """What waits and follows the reader's position. It must read the log if the rest does
        not."""
        waiting, self._waiting, self._size = self._waiting, [], 0
        ready: list[Batch] = []
        position = self.position
        for batch in waiting:
            if batch.is_seen_at(position):
                continue
            if not batch.follows(position):
                self._read_from_log()
                break
            ready.append(batch.behind(position))
            position = batch.end
        return ready

    async def _read(self) -> Sequence[Batch]:
        """The next page of the log. Nothing, after a pause, if the store is away."""
        self._must_read = False  # what is offered from now on waits: the page may not hold it
        try:
            page = await self._page()
            if page.length == 0 and (await self._context.tasks.get(self.task_id)).status.terminal:
                page = await self._page()  # as it is since the end was written
                if page.length == 0:
                    return (self._lost_log(),)
        except StoreUnavailable as error:
            log.warning("store unavailable: stream waits", task_id=self.task_id, error=str(error))
            self._read_from_log()
            await asyncio.sleep(STORE_PAUSE)
            return ()
        if not page.caught_up:
            self._read_from_log()
        return page.batches

    def _lost_log(self) -> Batch:
        log.error("log lost", task_id=self.task_id)
        message = "The events of this task were lost. Its record can still be read."
        error = TaskErrored(self._context.clock.now(), message, "log_lost", True)
        return Batch(START, LOST.epoch, (error,))

    async def _page(self) -> Page:
        tasks, position = self._context.tasks, self.position
        page = await tasks.read(self.task_id, position.offset, self._context.page)
        if page.after != position and position.offset > 0:  # the store lost what the reader saw
            page = await tasks.read(self.task_id, 0, self._context.page)
        return page

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        """Look, twice in an interval of pings, whether anything was written since."""
        assert self._sink is not None  # noqa: S101
        self._timer = loop.call_later(self._context.ping_interval / 2, self._tick, loop)
        if self.position is not self._ticked_at:
            self._ticked_at = self.position
            self._quiet_ticks = 0
            self._active_at = self._context.clock.now()
            return
        self._quiet_ticks += 1
        if self._quiet_ticks % 2:
            self._sink.ping()
        if self._context.orphans.suspects(self._active_at):
            self._active_at = self._context.clock.now()
            self._context.orphans.check(self.task_id)


def _write_nothing(_: Batch) -> bool:
    """The way of a reader that is not started or is closed."""
    return False
