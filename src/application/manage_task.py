"""GetTask and CancelTask. A task of another owner is as unknown as one that never was."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

import structlog

from application.errors import QueueUnavailable, UnknownTask
from application.ports import Clock, TaskLog, TaskQueue
from application.reap import FailOrphanedTasks
from domain.events import ContentAdded, Event, begins_anew
from domain.task import Task

log = structlog.get_logger(__name__)

PAGE = 5_000


def owned(task: Task, owner: str | None) -> Task:
    """The task if it is this owner's, else raise UnknownTask."""
    if task.owner != owner:
        raise UnknownTask(task.id)
    return task


@dataclass(frozen=True, slots=True)
class TaskWithText:
    """A record and its text: `text`, or, where the log is longer than a page, what `pages` yields.
    Whole, a text may take megabytes, and a reader may be slow."""

    task: Task
    text: str
    pages: AsyncGenerator[str, None] | None


class GetTask:
    def __init__(self, tasks: TaskLog, fail_if_orphaned: FailOrphanedTasks) -> None:
        self._tasks = tasks
        self._fail_if_orphaned = fail_if_orphaned

    async def record(self, task_id: str, owner: str | None = None) -> Task:
        """The record alone. Raises UnknownTask or StoreUnavailable."""
        return await self._fail_if_orphaned(owned(await self._tasks.get(task_id), owner))

    async def with_text(self, task_id: str, owner: str | None = None) -> TaskWithText:
        """The record and the text so far, of the last attempt. Raises UnknownTask or
        StoreUnavailable."""
        # The record first: what it says has ended is in the log as a whole.
        task = await self.record(task_id, owner)
        after, begun = 0, 0
        while True:
            page = await self._tasks.read(task_id, after, PAGE)
            for number, event in enumerate(page.events, after + 1):
                if begins_anew(event):
                    begun = number
            if after == 0 and len(page.events) >= page.length:
                return TaskWithText(task, _content(page.events[begun:]), None)
            after += len(page.events)
            if after >= page.length or not page.events:
                return TaskWithText(task, "", self._pages(task_id, begun, after))

    async def _pages(self, task_id: str, after: int, until: int) -> AsyncGenerator[str, None]:
        """The content behind event number `after`, up to event `until`, page by page."""
        while after < until:
            page = await self._tasks.read(task_id, after, min(PAGE, until - after))
            after += len(page.events) or until  # a log that was lost since has no more to give
            yield _content(page.events)


def _content(events: Sequence[Event]) -> str:
    return "".join([event.text for event in events if isinstance(event, ContentAdded)])


class CancelTask:
    def __init__(self, tasks: TaskLog, queue: TaskQueue, clock: Clock) -> None:
        self._tasks = tasks
        self._queue = queue
        self._clock = clock

    async def __call__(self, task_id: str, owner: str | None = None) -> Task:
        """The cancelled record. A running attempt hears of it through the feed and closes its
        connection to the model; a queued message is withdrawn, and if the queue cannot be reached
        its delivery finds the task settled. Raises UnknownTask, IllegalTransition or
        StoreUnavailable."""
        with structlog.contextvars.bound_contextvars(task_id=task_id):
            owned(await self._tasks.get(task_id), owner)
            task = await self._tasks.cancel(task_id, self._clock.now())
            log.info("task cancelled", attempt=task.attempt)
            if task.message_id is not None:
                try:
                    await self._queue.withdraw(task.message_id)
                except QueueUnavailable as error:
                    log.warning("message not withdrawn", error=str(error))
            return task
