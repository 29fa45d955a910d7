"""FollowTask: every event of a task from where one subscriber stands, once and in order.

Subscribe first, then read the log, then go live: what comes in between arrives twice and is
dropped by its number; what is missing (a Gap, a number that jumps) is read from the log. The log
alone is the truth, the feed only says when to look and saves the looking. Where the log is no
longer what the subscriber saw of it, it starts over from the first event. Where the store has lost
the log of a task that has ended (a Redis that evicts keys), an error says so and is the last event.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from application.errors import (
    FeedClosed,
    StoreUnavailable,
    TooManyStreams,
    UnknownTask,
    Unreadable,
)
from application.manage_task import owned
from application.ports import (
    Batch,
    Clock,
    Cursor,
    EventFeed,
    Gap,
    Page,
    Subscription,
    Take,
    TaskLog,
)
from application.settle_task import SettleForgotten
from domain.events import EventId, TaskErrored, TaskStatus, is_last

log = structlog.get_logger(__name__)

STORE_PAUSE = 1.0
"""Seconds between two readings of a store that is away."""
LOST = EventId("lost", 1)
"""The id of the event that tells of a lost log, so that a subscriber that comes back is told
nothing more. No log has an epoch of this name."""
PAGE = 1_000
"""Events per read of the log: what a subscriber that is catching up holds in memory."""


@dataclass(slots=True, eq=False)
class Following:
    """A subscriber that was let in, and how the task stood then. Not the task itself: its prompt
    would stay in memory for as long as the subscriber does.

    It holds one of the process's slots for streams until its `batches` have ended or it is closed,
    whichever comes first."""

    task_id: str
    status: TaskStatus
    attempt: int
    seen: EventId | None
    _follow: Callable[["Following", Take], AsyncGenerator[Sequence[Batch], None]]
    _release: Callable[[], None]
    _holds: bool = True

    def batches(self, take: Take = lambda _: False) -> AsyncGenerator[Sequence[Batch], None]:
        """Whatever is ready, in order; an empty sequence now and then while there is no event, or
        no store. Returns after the last event of the log, when this process stops delivering or
        cannot read the log, or when the log is gone. Raises StoreUnavailable if live delivery does
        not come about.

        While the subscriber has seen all there is and waits, new batches are given to `take`, the
        shortest way there is; what it does not take is among the next."""
        return self._follow(self, take)

    def close(self) -> None:
        """Give the slot back. To be called also by a caller that never asked for `batches`; safe
        to call twice."""
        if self._holds:
            self._holds = False
            self._release()


class FollowTask:
    def __init__(
        self,
        tasks: TaskLog,
        feed: EventFeed,
        clock: Clock,
        settle_forgotten: SettleForgotten,
        *,
        silence: float,
        max_streams: int,
        page: int = PAGE,
    ) -> None:
        """After `silence` seconds without an event a subscriber is given an empty sequence."""
        self._tasks = tasks
        self._feed = feed
        self._clock = clock
        self._settle_forgotten = settle_forgotten
        self._silence = silence
        self._max_streams = max_streams
        self._page = page
        self._open = 0

    async def __call__(
        self, task_id: str, seen: EventId | None, owner: str | None = None
    ) -> Following | None:
        """Follow from behind `seen`; from the first event without it, or if it is of a log that
        was lost since. None if `seen` is the last event of a log that has ended, or LOST. Raises
        TooManyStreams, UnknownTask, Unreadable or StoreUnavailable. The caller closes what is
        returned."""
        if self._open >= self._max_streams:
            raise TooManyStreams
        self._open += 1  # before the first await, so that subscribers that come at once are counted
        following: Following | None = None
        try:
            following = await self._let_in(task_id, seen, owner)
        finally:
            if following is None:
                self._release()
        return following

    async def _let_in(
        self, task_id: str, seen: EventId | None, owner: str | None
    ) -> Following | None:
        task = await self._settle_forgotten(owned(await self._tasks.get(task_id), owner))
        if seen is not None and task.status.terminal and await self._has_all(task_id, seen):
            return None
        return Following(task_id, task.status, task.attempt, seen, self._follow, self._release)

    def _release(self) -> None:
        self._open -= 1

    async def _has_all(self, task_id: str, seen: EventId) -> bool:
        page = await self._tasks.read(task_id, max(0, seen.sequence - 1), 2)
        if page.length == 0:
            return seen == LOST
        match page.batches:
            case (Batch(epoch, first, (event,)),):
                return EventId(epoch, first) == seen and is_last(event)
        return False

    async def _follow(
        self, following: Following, take: Take
    ) -> AsyncGenerator[Sequence[Batch], None]:
        task_id, seen = following.task_id, following.seen
        epoch, after = (None, 0) if seen is None else (seen.epoch, seen.sequence)
        at = Cursor(epoch, after, take)
        sign_of_life = self._clock.now()
        try:
            async with self._feed.subscribe(task_id) as live:
                level = False
                while True:
                    stood = at.after
                    if level:
                        ready, level = await self._live(live, at)
                        silent = level and not ready
                    else:
                        ready, level, silent = await self._replay(task_id, at)
                    if ready:
                        at.move(ready[-1])
                    if ready or at.after != stood:
                        sign_of_life = self._clock.now()
                    ended = bool(ready) and ready[-1].closes
                    # Handed over and not kept: it may be a page of the log, and the reader slow.
                    handed = [ready]
                    del ready
                    if handed[0] or silent:
                        yield handed.pop()
                    if ended:
                        return
                    if self._settle_forgotten.suspects(sign_of_life):
                        await self._settle(task_id)
                        sign_of_life = self._clock.now()
        except (FeedClosed, UnknownTask):
            return
        except Unreadable as error:  # as if this process stopped: another one can read it
            log.error("stream ended: unreadable", task_id=task_id, error=str(error))
            return
        finally:
            following.close()

    async def _settle(self, task_id: str) -> None:
        with suppress(StoreUnavailable):  # it will be asked again
            await self._settle_forgotten(await self._tasks.get(task_id))

    async def _replay(self, task_id: str, at: Cursor) -> tuple[Sequence[Batch], bool, bool]:
        """The next page of the log; whether the subscriber is level with the log behind it; and
        whether there was nothing to read because the store was away."""
        try:
            page = await self._read(task_id, at)
            if page.length == 0 and (await self._tasks.get(task_id)).status.terminal:
                page = await self._read(task_id, at)  # as it is since the end was written
                if page.length == 0:
                    return (self._lost(task_id),), False, False
        except StoreUnavailable as error:
            log.warning("store unavailable: stream waits", task_id=task_id, error=str(error))
            await asyncio.sleep(STORE_PAUSE)
            return (), False, True
        return page.batches, page.level, False

    def _lost(self, task_id: str) -> Batch:
        log.error("log lost", task_id=task_id)
        message = "The events of this task were lost. Its record can still be read."
        error = TaskErrored(self._clock.now(), message, "log_lost", True)
        return Batch(LOST.epoch, LOST.sequence, (error,), None)

    async def _read(self, task_id: str, at: Cursor) -> Page:
        page = await self._tasks.read(task_id, at.after, self._page)
        if at.after > 0 and page.before != at.epoch:  # the store lost what we saw
            page = await self._tasks.read(task_id, 0, self._page)
        return page

    async def _live(self, live: Subscription, at: Cursor) -> tuple[Sequence[Batch], bool]:
        """What the feed has next, and whether the subscriber is still level with the log. Nothing
        and level: a silence."""
        while True:
            received = await live.receive(self._silence, at)
            if received is None:
                return (), True
            if isinstance(received, Gap):
                return (), False
            epoch, after = at.epoch, at.after
            ready: list[Batch] = []
            for batch in received:
                if not batch.joins(epoch, after):
                    return ready, False
                if batch.last > after:
                    ready.append(batch.after(after))
                    epoch, after = batch.epoch, batch.last
            if ready:
                return ready, True
