"""A reader: writes every event of a task behind its position to one client, once and in order.

A reader is an object, not a waiting coroutine. It subscribes to the feed, reads the log to its end,
and then is live: the feed offers it each new batch, and the reader checks that the batch follows
its position, writes it and moves on. If a batch does not follow (events were missed, or seen
already) or the client is slow, the reader catches up: an asyncio task writes the backlog, or reads
the log, and ends when the reader is live again.

The log is the source of truth. The feed only saves the reader from polling it.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextvars import Context
from dataclasses import dataclass
from typing import Protocol

import structlog

from application.backlog import Backlog
from application.errors import StoreUnavailable, UnknownTask, Unreadable
from application.heartbeat import Heartbeat
from application.ports import Batch, Clock, EventFeed, FeedObserver, Subscriber, TaskLog
from application.reap import FailOrphanedTasks
from application.resume import next_page
from domain.position import Position
from domain.task import Task

log = structlog.get_logger(__name__)

STORE_PAUSE = 1.0
"""Seconds between two reads of a store that is unavailable."""


@dataclass(frozen=True, slots=True)
class ReaderContext:
    """What all readers in a process share."""

    tasks: TaskLog
    feed: EventFeed
    clock: Clock
    observer: FeedObserver
    orphans: FailOrphanedTasks
    heartbeat: Heartbeat
    """Ticks twice per ping interval."""
    page: int
    """Events per read of the log, which a reader that catches up holds in memory."""
    waiting_batches: int
    """Batches that may wait for one reader."""
    on_close: Callable[[], None]


class Sink(Protocol):
    """The connection of one client, to which a reader writes."""

    __slots__ = ()

    def write(self, batch: Batch) -> bool:
        """Write a batch at once. Return False, and write nothing, if the client is slow or gone."""
        ...

    def write_all(self, batches: Sequence[Batch]) -> bool:
        """Write several batches at once, as `write` does."""
        ...

    async def writable(self) -> None:
        """Wait until the client has received most of what was written."""
        ...

    def ping(self) -> None:
        """Write a comment that keeps the connection open, unless the client is slow."""
        ...

    def end(self, *, complete: bool) -> None:
        """End the response. `complete`: the log has ended, and its last event was written."""
        ...


class Reader(Subscriber):
    """One reader of one task. It counts as one of the process's open streams until it is closed.

    `status` and `attempt` are those of the task when the reader was created."""

    __slots__ = (
        "_active_at",
        "_backlog",
        "_catching_up",
        "_closed",
        "_context",
        "_must_read",
        "_quiet_ticks",
        "_sink",
        "_ticked_at",
        "_write",
        "attempt",
        "position",
        "status",
        "task_id",
    )

    def __init__(self, task: Task, position: Position, context: ReaderContext) -> None:
        # Not the task itself: it would keep the prompt in memory as long as the reader.
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
        self._backlog = Backlog(context.waiting_batches)

    def start(self, sink: Sink) -> None:
        """Begin to write events to the sink. The reader closes itself behind the last event, when
        this process stops, or when the task is gone. One that was closed before ends the sink."""
        if self._closed:
            sink.end(complete=False)
            return
        self._sink = sink
        self._write = sink.write
        self._ticked_at: Position | None = None
        self._quiet_ticks = 0
        self._active_at = self._context.clock.now()
        # Not in the context of the request that opened the stream: it would be kept for as long.
        self._catching_up = asyncio.create_task(self._subscribe(), context=Context())
        self._context.heartbeat.add(self)

    def close(self, *, complete: bool = False) -> None:
        """Stop, and end the sink of a reader that was started. `complete`: behind the last event of
        the log. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._write = _write_nothing
        self._context.feed.unsubscribe(self.task_id, self)
        self._context.on_close()
        self._backlog.clear()
        if self._sink is not None:
            self._context.heartbeat.remove(self)
            if self._catching_up is not None:
                self._catching_up.cancel()
                self._catching_up = None
            sink, self._sink = self._sink, None  # what may refer to this must not be kept
            sink.end(complete=complete)

    def offer(self, batch: Batch) -> None:
        if self._catching_up is None and batch.after == self.position and self._write(batch):
            self.position = batch.end
            if batch.closes:
                self.close(complete=True)
        elif not (self._must_read or self._closed):  # else it will be read from the log
            if self._backlog.add(batch):
                self._catch_up_soon()
            else:
                self.missed()

    def missed(self) -> None:
        if not (self._must_read or self._closed):
            self._context.observer.missed()
            self._read_from_log()
            self._catch_up_soon()

    def closed(self) -> None:
        self.close()

    def _read_from_log(self) -> None:
        self._must_read = True
        self._backlog.clear()

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
        if (sink := self._sink) is None:  # closed by the feed as it subscribed
            return
        try:
            while not self._closed and (self._must_read or self._backlog):
                await sink.writable()
                ready = await self._read() if self._must_read else self._take_backlog()
                if self._closed:  # by the feed or the client, while this waited
                    return
                if ready and not sink.write_all(ready):
                    self._read_from_log()
                    await asyncio.sleep(0)  # a store may read without a pause
                elif ready:
                    self.position = ready[-1].end
                    if ready[-1].closes:
                        self._end_from_within(complete=True)
                        return
                del ready  # a page of the log must not stay in memory while the client is slow
        except UnknownTask:
            self._end_from_within()
        except Unreadable as error:  # the client reconnects, to a process that can read it
            log.error("stream ended: unreadable", task_id=self.task_id, error=str(error))
            self._end_from_within()
        except Exception:
            log.exception("stream failed", task_id=self.task_id)
            self._end_from_within()
        else:
            self._catching_up = None

    def _end_from_within(self, *, complete: bool = False) -> None:
        self._catching_up = None  # `close` would cancel the task that runs this
        self.close(complete=complete)

    def _take_backlog(self) -> Sequence[Batch]:
        ready = self._backlog.take(self.position)
        if self._backlog:  # there is a gap before the rest
            self._read_from_log()
        return ready

    async def _read(self) -> Sequence[Batch]:
        """Return the next batches of the log: none, after a pause, if the store is unavailable."""
        self._must_read = False  # the page may lack what is offered from now on: let it wait
        context = self._context
        try:
            page = await next_page(
                context.tasks, self.task_id, self.position, context.page, context.clock.now()
            )
        except StoreUnavailable as error:
            log.warning("store unavailable: stream waits", task_id=self.task_id, error=str(error))
            self._read_from_log()
            await asyncio.sleep(STORE_PAUSE)
            return ()
        if not page.caught_up:
            self._read_from_log()
        return page.batches

    def tick(self) -> None:
        """Twice per ping interval: ping if nothing was written, and check for an orphaned task."""
        if self._sink is None:  # closed by the tick of another
            return
        if self.position != self._ticked_at:
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
    """The `write` of a reader that is not started or is closed."""
    return False
