"""GetTask and CancelTask. A task of another owner is as unknown as one that never was."""

import structlog

from application.ports import Clock, QueueUnavailable, TaskLog, TaskQueue, UnknownTask
from application.settle_task import SettleForgotten
from domain.events import ContentAdded, Event, StatusChanged, TaskStatus
from domain.task import Task

log = structlog.get_logger(__name__)

PAGE = 5_000


def owned(task: Task, owner: str | None) -> Task:
    """The task if it is this owner's, else raise UnknownTask."""
    if task.owner != owner:
        raise UnknownTask(task.id)
    return task


class GetTask:
    def __init__(self, tasks: TaskLog, settle_forgotten: SettleForgotten) -> None:
        self._tasks = tasks
        self._settle_forgotten = settle_forgotten

    async def record(self, task_id: str, owner: str | None = None) -> Task:
        """The record alone. Raises UnknownTask or StoreUnavailable."""
        return await self._settle_forgotten(owned(await self._tasks.get(task_id), owner))

    async def with_text(self, task_id: str, owner: str | None = None) -> tuple[Task, str]:
        """The record and the text so far, of the last attempt. Reads the whole log. Raises
        UnknownTask or StoreUnavailable."""
        pieces: list[str] = []
        after = 0
        owned(await self._tasks.get(task_id), owner)  # before a log is read for a stranger
        while True:
            page = await self._tasks.read(task_id, after, PAGE)
            for event in page.events:
                _gather(event, pieces)
            after += len(page.events)
            if after >= page.length or not page.events:
                break
        # The record last: it is never older than the text, so 'completed' comes with all of it.
        return await self.record(task_id, owner), "".join(pieces)


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
