"""FollowTask: open a stream of the events of a task, within this process's limit of streams."""

from dataclasses import dataclass

from application.backlog import WAITING_BATCHES
from application.errors import TooManyStreams
from application.heartbeat import Heartbeat
from application.manage_task import owned
from application.ports import Clock, EventFeed, FeedObserver, TaskLog
from application.reader import Reader, ReaderContext
from application.reap import FailOrphanedTasks
from application.resume import has_seen_all
from domain.position import START, Position

PAGE = 1_000
"""Events per read of the log."""


@dataclass(frozen=True, slots=True)
class NothingLeft:
    """The client has already seen the last event of a log that has ended."""


class FollowTask:
    def __init__(
        self,
        tasks: TaskLog,
        feed: EventFeed,
        clock: Clock,
        fail_if_orphaned: FailOrphanedTasks,
        observer: FeedObserver,
        *,
        ping_interval: float,
        max_streams: int,
        page: int = PAGE,
        waiting_batches: int = WAITING_BATCHES,
    ) -> None:
        """`ping_interval`: seconds without an event after which a reader pings. `max_streams`: open
        readers in this process. `page`: events per read of the log. `waiting_batches`: the number
        of batches that may wait for one reader."""
        self._tasks = tasks
        self._fail_if_orphaned = fail_if_orphaned
        self._max_streams = max_streams
        self._open = 0
        self._context = ReaderContext(
            tasks,
            feed,
            clock,
            observer,
            fail_if_orphaned,
            Heartbeat(ping_interval / 2),
            page,
            waiting_batches,
            self._release,
        )

    async def __call__(
        self, task_id: str, position: Position = START, owner: str | None = None
    ) -> Reader | NothingLeft:
        """Return a reader of the events behind `position`. If the log no longer has this position,
        the reader begins with the first event. The caller starts and closes the reader. Raises
        TooManyStreams, UnknownTask, Unreadable or StoreUnavailable."""
        if self._open >= self._max_streams:
            raise TooManyStreams
        self._open += 1  # before the first await: else concurrent calls would exceed the limit
        reader: Reader | None = None
        try:
            task = await self._fail_if_orphaned(owned(await self._tasks.get(task_id), owner))
            if task.status.terminal and await has_seen_all(self._tasks, task_id, position):
                return NothingLeft()
            reader = Reader(task, position, self._context)
        finally:
            if reader is None:
                self._release()
        return reader

    def _release(self) -> None:
        self._open -= 1
