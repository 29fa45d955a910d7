"""RetryTask: start the request of a task that failed or was cancelled anew, as a new task.

The stored request is whole: it holds the conversation that it continues, so the task before may be
gone by now.
"""

import asyncio
from contextlib import AsyncExitStack

from application.accounts import Caller
from application.errors import NotRetryable
from application.manage_task import GetTask
from application.previous_task import LONG_AT_ONCE, SHORT
from application.start_task import Started, StartTask
from domain.events import TaskStatus
from domain.task import Task


class RetryTask:
    def __init__(self, get_task: GetTask, start_task: StartTask) -> None:
        self._get_task = get_task
        self._start_task = start_task
        self._long = asyncio.Semaphore(LONG_AT_ONCE)

    async def __call__(self, task_id: str, caller: Caller, key: str | None = None) -> Started:
        """Queue a new task with the request of this one, which the new one names (`retry_of`). It
        begins at once, also where this one was delayed, and counts as any start. Few long requests
        are held at once; other retries wait for their turn.

        With an idempotency key, the same retry within 24 hours returns the same task, as a start
        does.

        Raises UnknownTask, NotRetryable, InvalidRequest (the bounds are narrower than they were),
        OverLimit, IdempotencyConflict or StartUncertain (only with a key), QueueUnavailable (only
        without), QueueRefused, UnreadableTask or StoreUnavailable.
        """
        async with AsyncExitStack() as held:
            await held.enter_async_context(self._long)
            task, request = await self._get_task.with_request(task_id, caller.owner)
            _check(task)
            if request is None:
                raise NotRetryable("input_lost", "The store has lost the request of the task.")
            if request.size() <= SHORT:
                await held.aclose()
            return await self._start_task(request.at_once(), caller, key, task.id)


def _check(task: Task) -> None:
    if not task.status.terminal:
        raise NotRetryable("task_not_ended", "The task has not ended yet.")
    if task.status is TaskStatus.COMPLETED:
        raise NotRetryable("task_completed", "The task has completed.")
