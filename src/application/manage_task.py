"""GetTask and CancelTask. A task of another owner counts as unknown."""

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
"""Events per read of the log."""


def owned(task: Task, owner: str | None) -> Task:
    """Return the task if it is this owner's, else raise UnknownTask."""
    if task.owner != owner:
        raise UnknownTask(task.id)
    return task


@dataclass(frozen=True, slots=True)
class TaskWithText:
    """A record and the text of its last attempt so far."""

    task: Task
    text: str


@dataclass(frozen=True, slots=True)
class TaskWithPages:
    """A record and the text of its last attempt so far, in pieces: a text that takes megabytes
    would stay in memory for as long as a slow client reads it."""

    task: Task
    pages: AsyncGenerator[str, None]


class GetTask:
    def __init__(self, tasks: TaskLog, fail_if_orphaned: FailOrphanedTasks) -> None:
        self._tasks = tasks
        self._fail_if_orphaned = fail_if_orphaned

    async def record(self, task_id: str, owner: str | None = None) -> Task:
        """Return the record alone. Raises UnknownTask or StoreUnavailable."""
        return await self._fail_if_orphaned(owned(await self._tasks.get(task_id), owner))

    async def with_text(
        self, task_id: str, owner: str | None = None
    ) -> TaskWithText | TaskWithPages:
        """Return the record with its text, in pages if the log is longer than one page. Raises
        UnknownTask or StoreUnavailable."""
        # The record first: if it says that the task ended, the log is complete.
        task = await self.record(task_id, owner)
        after, begun = 0, 0
        while True:
            page = await self._tasks.read(task_id, after, PAGE)
            for number, event in enumerate(page.events, after + 1):
                if begins_anew(event):
                    begun = number
            if after == 0 and len(page.events) >= page.length:
                return TaskWithText(task, _content(page.events[begun:]))
            after += len(page.events)
            if after >= page.length or not page.events:
                return TaskWithPages(task, self._pages(task_id, begun, after))

    async def _pages(self, task_id: str, after: int, until: int) -> AsyncGenerator[str, None]:
        """Yield the content behind event number `after`, up to event `until`, page by page."""
        while after < until:
            page = await self._tasks.read(task_id, after, min(PAGE, until - after))
            after += len(page.events) or until  # no more events: the log was lost in the meantime
            yield _content(page.events)


def _content(events: Sequence[Event]) -> str:
    return "".join([event.text for event in events if isinstance(event, ContentAdded)])


class CancelTask:
    def __init__(self, tasks: TaskLog, queue: TaskQueue, clock: Clock) -> None:
        self._tasks = tasks
        self._queue = queue
        self._clock = clock

    async def __call__(self, task_id: str, owner: str | None = None) -> Task:
        """Cancel a task and return its record.

        The feed tells a running attempt, which closes its connection to the model. The message is
        withdrawn from the queue; if the queue cannot be reached, the delivery will find that the
        task has ended. Raises UnknownTask, IllegalTransition or StoreUnavailable.
        """
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
