"""StartTask: from a valid request to a task that the queue holds.

The record is written before the message is published, so that whoever gets a delivery or the task
id finds it. A queue that does not take the message leaves a failed task behind, never a pending one
that nobody will run: it may have taken the message after all, and the delivery must then find that
the client was told no. Only a start with an idempotency key is left as it is when the queue does
not answer: the same request again goes on with it, and may be under way elsewhere already.
"""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

import structlog

from application.admission import Admission, Caller, OverLimit, Standing
from application.ports import (
    Busy,
    Clock,
    QueueRefused,
    QueueUnavailable,
    TaskIds,
    TaskLog,
    TaskQueue,
    UnknownTask,
)
from domain.task import Failure, IllegalTransition, Task, TaskRequest

log = structlog.get_logger(__name__)


class IdempotencyConflict(Exception):
    """Raised when an idempotency key comes back with another request."""


class StartUncertain(Exception):
    """Raised for a start with an idempotency key when the queue did not answer. The same request
    again goes on where this one broke off, after `retry_after` seconds where that is known."""

    def __init__(self, retry_after: float | None) -> None:
        super().__init__("the queue did not answer")
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Started:
    """The record of a queued task, its message id set, and how its caller stands with limits."""

    task: Task
    standings: Sequence[Standing]


class StartTask:
    def __init__(
        self,
        tasks: TaskLog,
        queue: TaskQueue,
        clock: Clock,
        ids: TaskIds,
        admission: Admission,
    ) -> None:
        self._tasks = tasks
        self._queue = queue
        self._clock = clock
        self._ids = ids
        self._admission = admission

    async def __call__(
        self, request: TaskRequest, caller: Caller, idempotency_key: str | None = None
    ) -> Started:
        """Queue a task that the caller will own.

        With a key, the caller's same request within 24 hours answers the same task, also when the
        two come at once, and when the first one's process died before it published; a start that
        was refused leaves the key free. Raises OverLimit, IdempotencyConflict, StartUncertain,
        QueueUnavailable (never with a key), QueueRefused or StoreUnavailable.
        """
        now = self._clock.now()
        task_id = new = self._ids.next(now)
        key = None if idempotency_key is None else _owned_key(caller, idempotency_key)
        if key is not None:
            wanted = _fingerprint(request)
            found, task_id = await self._tasks.reserve(key, wanted, task_id)
            if found != wanted:
                raise IdempotencyConflict
        standings: Sequence[Standing] = ()
        if task_id == new:
            try:
                standings = await self._admission.start(caller, task_id)
            except OverLimit:
                if key is not None:
                    await self._tasks.release(key)
                raise
        origin = self._admission.origin(caller)
        submitted = Task.submit(task_id, request, now, caller.owner, origin)
        with structlog.contextvars.bound_contextvars(task_id=task_id):
            task = await self._tasks.create(submitted)
            if task.message_id is None and not task.status.terminal:
                task = await self._publish(task, caller, key)
            return Started(task, standings)

    async def _publish(self, task: Task, caller: Caller, key: str | None) -> Task:
        """The record once the queue holds the task."""
        task_id = task.id
        try:
            message_id = await self._queue.enqueue(task)
        except (QueueUnavailable, QueueRefused) as error:
            log.error("publish failed", error=str(error))
            if key is not None and isinstance(error, QueueUnavailable):
                raise StartUncertain(error.retry_after) from error
            if not await self._withdrawn(task_id):
                return await self._tasks.get(task_id)
            if key is not None:
                await self._tasks.release(key)
            raise
        log.info("task queued", message_id=message_id)
        with suppress(UnknownTask):  # the store lost it just now: the delivery will make it again
            await self._tasks.note_message(task_id, message_id)
        return replace(task, message_id=message_id)

    async def _withdrawn(self, task_id: str) -> bool:
        """Fail a task that the queue did not take; answer whether it was still ours to fail. It
        is not if the message arrived after all and only the queue's answer was lost, or if another
        start with the same key was luckier: then the client is better told so."""
        failure = Failure("queue_unavailable", "The queue did not take the task.", True)
        try:
            if (await self._tasks.get(task_id)).message_id is not None:
                return False
            failed = await self._tasks.fail(task_id, failure, self._clock.now())
        except IllegalTransition:
            return False
        except UnknownTask:
            return True
        return not isinstance(failed, Busy)


def _owned_key(caller: Caller, key: str) -> str:
    """No owner meets another's key. The separator is in no owner's name."""
    return key if caller.owner is None else f"{caller.owner}\n{key}"


def _fingerprint(request: TaskRequest) -> str:
    fields = {
        "model": request.model,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "prompt": request.prompt,
        "messages": [asdict(message) for message in request.messages],
        "system": request.system,
        "metadata": dict(request.metadata),
    }
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()
