"""StartTask: from a valid request to a task that the queue holds.

The record is written before the message is published, so that whoever gets a delivery or the task
id finds it. A queue that does not take the message leaves a failed task behind, never a pending one
that nobody will run: it may have taken the message after all, and the delivery must then find that
the client was told no. Only a start with an idempotency key is left as it is when the queue does
not answer: the same request again goes on with it, and may be under way elsewhere already.

With an idempotency key only the start that the key is bound to creates the task, once it has been
admitted. Every other one waits for the record, or for the key to be free. A start that was frozen
before it wrote the record confirms its binding before it publishes: another start may have taken
the key over meanwhile.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import structlog

from application.errors import (
    IdempotencyConflict,
    LimitStatus,
    QueueRefused,
    QueueUnavailable,
    StartUncertain,
    StoreUnavailable,
    UnknownTask,
)
from application.ports import (
    ABANDONED_AFTER,
    Binding,
    Busy,
    Clock,
    IdempotencyKeys,
    TaskIds,
    TaskLog,
    TaskQueue,
)
from application.quotas import Caller, Quotas
from domain.errors import IllegalTransition
from domain.events import TaskStatus
from domain.request import TaskRequest
from domain.task import Failure, Task

log = structlog.get_logger(__name__)

WAIT = 3.0
"""Seconds for which a start waits for another one with the same key."""
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.5
"""Seconds between two looks at what became of the other start."""
RETRY_AFTER = 5.0
"""Seconds after which a start that has waited in vain is worth sending again, at most."""
SUPERSEDED = Failure(
    "superseded", "Another start with the same idempotency key took its place.", True
)


@dataclass(frozen=True, slots=True)
class Started:
    """The record of a queued task, its message id set, and how its caller stands with limits."""

    task: Task
    limit_statuses: Sequence[LimitStatus]


class StartTask:
    def __init__(
        self,
        tasks: TaskLog,
        keys: IdempotencyKeys,
        queue: TaskQueue,
        clock: Clock,
        ids: TaskIds,
        quotas: Quotas,
        *,
        wait: float = WAIT,
    ) -> None:
        """`wait`: seconds for which a start waits for another one with the same key."""
        self._tasks = tasks
        self._keys = keys
        self._queue = queue
        self._clock = clock
        self._ids = ids
        self._quotas = quotas
        self._wait = wait

    async def __call__(
        self, request: TaskRequest, caller: Caller, idempotency_key: str | None = None
    ) -> Started:
        """Queue a task that the caller will own.

        With a key, the caller's same request within 24 hours returns the same task, also when the
        two come at once, and when the first one's process died before it published. The key is
        free again once its task has failed, once its task has no record ABANDONED_AFTER seconds
        after the key was bound, and when the start was refused. Raises OverLimit,
        IdempotencyConflict, StartUncertain, QueueUnavailable (never with a key), QueueRefused or
        StoreUnavailable.
        """
        if idempotency_key is not None:
            return await self._once(request, caller, _owned_key(caller, idempotency_key))
        task_id = self._ids.next(self._clock.now())
        limit_statuses = await self._quotas.start(caller, task_id)
        task = await self._create(request, caller, task_id)
        return Started(await self._publish(task, None), limit_statuses)

    async def _once(self, request: TaskRequest, caller: Caller, key: str) -> Started:
        until, pause, holder = time.monotonic() + self._wait, FIRST_PAUSE, ""
        while True:
            outcome = await self._look(request, caller, key)
            if isinstance(outcome, Started):
                return outcome
            if outcome is None and time.monotonic() < until:
                continue
            if outcome is None:
                raise StartUncertain(1.0)
            if time.monotonic() + pause > until:
                raise StartUncertain(min(RETRY_AFTER, max(1.0, ABANDONED_AFTER - outcome.age)))
            pause = FIRST_PAUSE if outcome.task_id != holder else min(LONGEST_PAUSE, pause * 2)
            holder = outcome.task_id
            await asyncio.sleep(pause)

    async def _look(
        self, request: TaskRequest, caller: Caller, key: str
    ) -> Started | Binding | None:
        """Start the task if the key is free, or go on with the one that it is bound to. Return the
        binding if that task is still being made, and None if the key has changed hands while we
        looked."""
        wanted, task_id = _fingerprint(request), self._ids.next(self._clock.now())
        bound = await self._keys.bind(key, wanted, task_id)
        if bound.task_id != task_id:
            task = await self._found(bound.task_id)
            if not _is_free(bound, task):
                if bound.fingerprint != wanted:
                    raise IdempotencyConflict
                if task is None:
                    return bound
                published = await self._confirmed(task, key, bound)
                return None if published is None else Started(published, ())
            bound = await self._keys.bind(key, wanted, task_id, instead_of=bound)
        return await self._first(request, caller, key, bound) if bound.task_id == task_id else None

    async def _first(
        self, request: TaskRequest, caller: Caller, key: str, bound: Binding
    ) -> Started | None:
        """Start the task that the key was bound to for us. None if another start took the key
        over before ours was confirmed: ours is failed then, and was never published."""
        try:
            limit_statuses = await self._quotas.start(caller, bound.task_id)
            task = await self._create(request, caller, bound.task_id)
        except BaseException:
            # Should a record have been written after all, nothing publishes it.
            with suppress(StoreUnavailable):
                await self._keys.release(key, bound.task_id)
            raise
        if (started := await self._confirmed(task, key, bound)) is not None:
            return Started(started, limit_statuses)
        log.warning("idempotency key taken over", task_id=task.id)
        with suppress(IllegalTransition, UnknownTask):
            await self._tasks.fail(task.id, SUPERSEDED, self._clock.now())
        return None

    async def _confirmed(self, task: Task, key: str, bound: Binding) -> Task | None:
        """Return the record once the queue holds the task. None if it is not published, since the
        key is bound to another task by now."""
        if _is_published(task):
            return task
        now = await self._keys.bind(key, bound.fingerprint, task.id, instead_of=bound)
        return await self._publish(task, key) if now.task_id == task.id else None

    async def _found(self, task_id: str) -> Task | None:
        try:
            return await self._tasks.get(task_id)
        except UnknownTask:
            return None

    async def _create(self, request: TaskRequest, caller: Caller, task_id: str) -> Task:
        now, origin = self._clock.now(), self._quotas.origin(caller)
        return await self._tasks.create(Task.submit(task_id, request, now, caller.owner, origin))

    async def _publish(self, task: Task, key: str | None) -> Task:
        """Return the record once the queue holds the task."""
        with structlog.contextvars.bound_contextvars(task_id=task.id):
            try:
                message_id = await self._queue.enqueue(task)
            except (QueueUnavailable, QueueRefused) as error:
                log.error("publish failed", error=str(error))
                if key is not None and isinstance(error, QueueUnavailable):
                    raise StartUncertain(error.retry_after) from error
                if not await self._withdrawn(task.id):
                    return await self._tasks.get(task.id)
                if key is not None:
                    await self._keys.release(key, task.id)
                raise
            log.info("task queued", message_id=message_id)
            with suppress(
                UnknownTask
            ):  # the store lost it just now: the delivery will make it again
                await self._tasks.note_message(task.id, message_id)
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


def _is_published(task: Task) -> bool:
    """Whether the queue holds the task, or need not hold it any more."""
    return task.message_id is not None or task.status.terminal


def _is_free(bound: Binding, task: Task | None) -> bool:
    """Whether a key may be bound anew, by its binding and the record of the task, if any."""
    return bound.abandoned if task is None else task.status is TaskStatus.FAILED


def _owned_key(caller: Caller, key: str) -> str:
    """No owner meets another's key. The separator is in no owner's name."""
    return key if caller.owner is None else f"{caller.owner}\n{key}"


def _fingerprint(request: TaskRequest) -> str:
    fields = json.dumps(request.to_fields(), sort_keys=True)
    return hashlib.sha256(fields.encode()).hexdigest()
