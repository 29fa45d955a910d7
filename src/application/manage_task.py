"""GetTask, CancelTask, and FailTask for deliveries that ran out."""

import structlog

from application.ports import (
    Busy,
    Clock,
    EventFeed,
    QueueUnavailable,
    TaskLog,
    TaskQueue,
    UnknownTask,
)
from application.standby import settled_or_silent
from domain.events import ContentAdded, Event, StatusChanged, TaskStatus
from domain.task import Failure, IllegalTransition, Task, TaskRequest

log = structlog.get_logger(__name__)

PAGE = 5_000


class GetTask:
    def __init__(self, tasks: TaskLog) -> None:
        self._tasks = tasks

    async def record(self, task_id: str) -> Task:
        """The record alone. Raises UnknownTask or StoreUnavailable."""
        return await self._tasks.get(task_id)

    async def with_text(self, task_id: str) -> tuple[Task, str]:
        """The record and the text so far, of the last attempt. Reads the whole log. Raises
        UnknownTask or StoreUnavailable."""
        pieces: list[str] = []
        after = 0
        while True:
            page = await self._tasks.read(task_id, after, PAGE)
            for event in page.events:
                _gather(event, pieces)
            after += len(page.events)
            if after >= page.length or not page.events:
                break
        # The record last: it is never older than the text, so 'completed' comes with all of it.
        return await self._tasks.get(task_id), "".join(pieces)


def _gather(event: Event, pieces: list[str]) -> None:
    if isinstance(event, ContentAdded):
        pieces.append(event.text)
    elif isinstance(event, StatusChanged) and event.status is TaskStatus.RUNNING:
        pieces.clear()


class CancelTask:
    def __init__(self, tasks: TaskLog, queue: TaskQueue, clock: Clock) -> None:
        self._tasks = tasks
        self._queue = queue
        self._clock = clock

    async def __call__(self, task_id: str) -> Task:
        """The cancelled record. A running attempt hears of it through the feed and closes its
        connection to the model; a queued message is withdrawn, and if the queue cannot be reached
        its delivery finds the task settled. Raises UnknownTask, IllegalTransition or
        StoreUnavailable."""
        with structlog.contextvars.bound_contextvars(task_id=task_id):
            task = await self._tasks.cancel(task_id, self._clock.now())
            log.info("task cancelled", attempt=task.attempt)
            if task.message_id is not None:
                try:
                    await self._queue.withdraw(task.message_id)
                except QueueUnavailable as error:
                    log.warning("message not withdrawn", error=str(error))
            return task


class FailTask:
    def __init__(self, tasks: TaskLog, feed: EventFeed, clock: Clock) -> None:
        self._tasks = tasks
        self._feed = feed
        self._clock = clock

    async def __call__(self, task_id: str, request: TaskRequest, created_at: int) -> Task:
        """Settle a task whose deliveries ran out. One that a live attempt still holds (QStash gave
        up waiting for it) is waited for; one that the store lost is told of as failed. Raises
        StoreUnavailable."""
        failure = Failure(
            "deliveries_exhausted", "The task could not be finished in all its deliveries.", True
        )
        async with self._feed.subscribe(task_id) as live:
            while True:
                try:
                    failed = await self._tasks.fail(task_id, failure, self._clock.now())
                except UnknownTask:
                    await self._tasks.create(Task.submit(task_id, request, created_at))
                    continue
                except IllegalTransition:
                    return await self._tasks.get(task_id)
                if isinstance(failed, Busy):
                    await settled_or_silent(live, failed.lease_left)
                    continue
                log.warning("task failed", code=failure.code, attempt=failed.attempt)
                return failed
