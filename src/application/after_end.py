"""AfterEnd: what remains to be done once a task has ended, whatever ended it.

Its webhooks are published, the upstream that keeps its answer is told, and its guard is withdrawn.
A process that dies before leaves a record that says what is missing. Each later delivery, failure
callback, guard and read of the task does it.
"""

import asyncio
from contextvars import Context

import structlog

from application.errors import (
    ModelRefused,
    ModelUnavailable,
    QueueUnavailable,
    StoreUnavailable,
    UnknownTask,
    Unreadable,
)
from application.openings import kept_for
from application.ports import Clock, LanguageModel, TaskLog, TaskQueue
from application.webhooks import publish_webhooks
from domain.continuation import Continuation
from domain.events import TaskStatus
from domain.task import Task

log = structlog.get_logger(__name__)


class AfterEnd:
    def __init__(
        self, tasks: TaskLog, queue: TaskQueue, model: LanguageModel, clock: Clock
    ) -> None:
        self._tasks = tasks
        self._queue = queue
        self._model = model
        self._clock = clock
        self._under_way: dict[str, asyncio.Task[None]] = {}

    async def __call__(self, task: Task, *, guarded: bool = True) -> bool:
        """Do what is missing, by the record of a task that has ended; return whether nothing is
        missing any more. `guarded`: whether its guard may still be in the queue. Raises
        StoreUnavailable or Unreadable."""
        published = await publish_webhooks(self._tasks, self._queue, task)
        if not await self._release(task) or not published:
            return False
        if guarded:
            await self._withdraw_guard(task)
        return True

    async def of(self, task: Task) -> bool:
        """Do the same for a task that has ended, of which an older record is known. Of one that is
        gone nothing is missing."""
        if task.webhooks or task.continuation is not None:
            try:
                task = await self._tasks.get(task.id)
            except UnknownTask:
                return True
        return await self(task)

    def later(self, task: Task) -> None:
        """Do in the background what a read finds missing, unless that is under way."""
        if task.id in self._under_way or not self.is_missed(task):
            return
        doing = asyncio.create_task(self._later(task), context=Context())
        self._under_way[task.id] = doing
        doing.add_done_callback(lambda _: self._under_way.pop(task.id))

    def is_missed(self, task: Task) -> bool:
        """Whether something is missing of a task, which has ended."""
        unpublished = not all(each.published for each in task.webhooks)
        return unpublished or self._unreleased(task) is not None

    async def _later(self, task: Task) -> None:
        try:
            await self(task)
        except (StoreUnavailable, Unreadable) as error:  # the next read tries again
            log.warning("end not followed up", task_id=task.id, error=str(error))

    async def _withdraw_guard(self, task: Task) -> None:
        """Withdraw the guard. If the queue cannot be reached, or the deadline is over, it will find
        that the task has ended."""
        late = task.deadline is not None and self._clock.now() >= task.deadline
        if task.guard_id is None or late:
            return
        try:
            await self._queue.withdraw(task.guard_id)
        except QueueUnavailable as error:
            log.warning("guard not withdrawn", task_id=task.id, error=str(error))

    def _unreleased(self, task: Task) -> Continuation | None:
        """Return the continuation that is to be released. None if there is none, or if it is with
        an upstream that the settings no longer name: no upstream can be told."""
        kept = kept_for(self._model, task)
        return None if kept is None or kept.released or kept.response_id is None else kept

    async def _release(self, task: Task) -> bool:
        """Tell the upstream; return False if that is to be tried again."""
        if (kept := self._unreleased(task)) is None:
            return True
        completed = task.status is TaskStatus.COMPLETED
        if not await self.release(task.id, kept, completed=completed):
            return False
        try:
            await self._tasks.note_released(task.id)
        except UnknownTask:  # deleted, or expired
            log.debug("released task is gone", task_id=task.id)
        return True

    async def release(self, task_id: str, kept: Continuation, *, completed: bool) -> bool:
        """Tell the upstream that an answer is not needed any more; return False if it could not be
        reached. What the upstream refuses it would refuse again."""
        named = {"response_id": kept.response_id}
        try:
            await self._model.release(kept, completed=completed)
        except ModelUnavailable as error:
            log.warning("upstream not told of the end", task_id=task_id, code=error.code, **named)
            return False
        except ModelRefused as error:
            log.error("upstream refused to be told", task_id=task_id, code=error.code, **named)
        return True
