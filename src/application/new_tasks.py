"""The steps that every start goes through, whatever tells it apart from other starts.

1. The quotas admit the caller.
2. If the task has a deadline or a webhook, the queue takes its guard. The start is refused if it
   does not.
3. The record is created, so that a delivery or a client with the task id always finds it.
4. The queue publishes the message. If it does not take it, the task fails: no task stays pending
   that nothing will run. Only a task that other starts find by a key stays pending while the queue
   cannot be reached: the same request again resumes it.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace

import structlog

from application.accounts import Caller
from application.deadlines import guard_delay
from application.errors import (
    LimitStatus,
    QueueRefused,
    QueueUnavailable,
    StartUncertain,
    UnknownTask,
)
from application.ports import Clock, Guard, IdempotencyKeys, TaskLog, TaskQueue
from application.previous_task import PreviousTasks
from application.quotas import Quotas
from application.webhooks import WebhookRules
from domain.failure import Failure
from domain.request import RequestBounds, TaskRequest
from domain.task import Submitted, Task

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Started:
    """The record of a queued task, its message id set, and what the caller has left of its
    limits."""

    task: Task
    limit_statuses: Sequence[LimitStatus]
    """Nothing for a start that has joined a task, since no limit counts it."""
    joined: bool = False
    """Whether the task is that of an earlier start, and may have ended."""


class NewTasks:
    def __init__(
        self,
        tasks: TaskLog,
        keys: IdempotencyKeys,
        queue: TaskQueue,
        clock: Clock,
        quotas: Quotas,
        bounds: RequestBounds,
        webhooks: WebhookRules,
        orphan_timeout: float,
    ) -> None:
        """`bounds`: of a request together with the conversation that it continues.
        `orphan_timeout`: that of the log, in seconds."""
        self._tasks = tasks
        self._keys = keys
        self._queue = queue
        self._clock = clock
        self._quotas = quotas
        self._webhooks = webhooks
        self._orphan_timeout = orphan_timeout
        self._previous = PreviousTasks(tasks, bounds)

    @asynccontextmanager
    async def created(
        self, request: TaskRequest, caller: Caller, task_id: str, retry_of: str | None = None
    ) -> AsyncGenerator[tuple[Task, TaskRequest, Sequence[LimitStatus]], None]:
        """Admit a task and create its record. Yields the record, the request with the conversation
        that it continues, which is held while the context is open, and what the caller has left of
        its limits."""
        now = self._clock.now()
        delayed = request.begins_at(now) is not None
        limit_statuses = await self._quotas.start(caller, task_id, delayed=delayed)
        async with AsyncExitStack() as held:
            continued = self._previous.continued(request, caller.owner)
            try:
                whole = await held.enter_async_context(continued)
                origin = self._quotas.origin(caller)
                webhooks = self._webhooks.of(request)
                submitted = Task.submit(
                    task_id, whole, now, caller.owner, origin, retry_of, webhooks
                )
                created = await self._tasks.create(await self._guarded(submitted))
            except BaseException:
                # If the record was written after all, nothing publishes it.
                await self._quotas.release(caller, task_id, delayed=delayed)
                raise
            yield created, whole, limit_statuses

    async def _guarded(self, submitted: Submitted) -> Submitted:
        """Return a task with the id of its guard, if it needs one. It is published first, so that
        the record names it from the beginning. One whose task is not created after all finds none.
        Raises QueueUnavailable or QueueRefused."""
        task = submitted.task
        delay = guard_delay(task, self._orphan_timeout, self._clock.now())
        if delay is None:
            return submitted
        guard_id = await self._queue.enqueue_guard(Guard(task.id), delay)
        return replace(submitted, task=replace(task, guard_id=guard_id))

    async def release(self, caller: Caller, task_id: str) -> None:
        """Release the slots of a task, which was not delayed, whose start died, or is frozen,
        before it created the record."""
        await self._quotas.release(caller, task_id)

    @asynccontextmanager
    async def whole(
        self, task: Task, request: TaskRequest, caller: Caller
    ) -> AsyncGenerator[TaskRequest, None]:
        """Yield the request of a task whose start may have died before it published: as it is
        stored, or else as the caller has repeated it, with the conversation that it continues."""
        if (stored := await self._tasks.request(task.id)) is not None:
            yield stored
            return
        async with self._previous.continued(request, caller.owner) as whole:
            yield whole

    async def publish(self, task: Task, request: TaskRequest, key: str | None = None) -> Task:
        """Return the record once the queue holds the task. `key`: by which other starts find it."""
        with structlog.contextvars.bound_contextvars(task_id=task.id):
            try:
                message_id = await self._queue.enqueue(task, request)
            except (QueueUnavailable, QueueRefused) as error:
                log.error("publish failed", error=str(error))
                if key is not None and isinstance(error, QueueUnavailable):
                    raise StartUncertain(error.retry_after) from error
                if not await self._withdraw(task.id):
                    return await self._tasks.get(task.id)
                if key is not None:
                    await self._keys.release(key, task.id)
                raise
            log.info("task queued", message_id=message_id)
            # A task that the store has lost by now is created again by its delivery.
            with suppress(UnknownTask):
                await self._tasks.note_message(task.id, message_id)
        return replace(task, message_id=message_id)

    async def _withdraw(self, task_id: str) -> bool:
        """Fail a task that the queue did not take. Return False if it must not fail: its message
        arrived although the queue's response was lost, or another start with the same key has
        published it. The client then gets the task instead of the error."""
        failure = Failure("queue_unavailable", "The queue did not take the task.", True)
        try:
            failed = await self._tasks.fail_unqueued(task_id, failure, self._clock.now())
        except UnknownTask:
            return True
        return failed is not None


def needs_publishing(task: Task) -> bool:
    """Whether the start that created the task may have died before it published."""
    return task.message_id is None and not task.status.terminal
