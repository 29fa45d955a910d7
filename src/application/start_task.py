"""StartTask: from a valid request to a task that the queue holds.

1. The quotas admit the caller.
2. The record is created, so that a delivery or a client with the task id always finds it.
3. The queue publishes the message. If it does not take it, the task fails: no task stays pending
   that nothing will run.

With an idempotency key, the key is bound to a task id first, and only the start that it is bound
to goes through these steps. Every other start with the key waits until the record exists or the
key is free. Before it publishes, a start confirms that the key is still bound to its task: if it
was frozen for long enough, another start may have taken the key over. If the queue cannot be
reached, the task of a key stays pending: the same request again resumes it.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace

import structlog

from application.accounts import Caller
from application.errors import (
    DeletedTask,
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
    Clock,
    IdempotencyKeys,
    TaskIds,
    TaskLog,
    TaskQueue,
)
from application.previous_task import PreviousTasks
from application.quotas import Quotas
from domain.errors import IllegalTransition
from domain.events import TaskStatus
from domain.request import DEFAULT_BOUNDS, RequestBounds, TaskRequest
from domain.task import Failure, Task

log = structlog.get_logger(__name__)

WAIT = 3.0
"""Seconds for which a start waits for another one with the same key."""
FIRST_PAUSE, LONGEST_PAUSE = 0.02, 0.5
"""Seconds between two checks of the other start, at first and at most."""
RETRY_AFTER = 5.0
"""The longest Retry-After, in seconds, of a start that waited without success."""
SUPERSEDED = Failure(
    "superseded", "Another start with the same idempotency key took over from this one.", True
)


@dataclass(frozen=True, slots=True)
class Started:
    """The record of a queued task, its message id set, and what the caller has left of its
    limits."""

    task: Task
    limit_statuses: Sequence[LimitStatus]


@dataclass(frozen=True, slots=True)
class KeyInUse:
    """The key is bound to a task of which another start has not written the record yet."""

    binding: Binding


@dataclass(frozen=True, slots=True)
class KeyFree:
    """The task that the key is bound to has failed, was deleted, or will never have a record."""


@dataclass(frozen=True, slots=True)
class KeyLost:
    """The key is bound to another task in the meantime, or may be: the start tries again."""


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
        bounds: RequestBounds = DEFAULT_BOUNDS,
        wait: float = WAIT,
    ) -> None:
        """`bounds`: of the requests that are accepted. `wait`: seconds for which a start waits for
        another one with the same key."""
        self._tasks = tasks
        self._keys = keys
        self._queue = queue
        self._clock = clock
        self._ids = ids
        self._quotas = quotas
        self._bounds = bounds
        self._previous = PreviousTasks(tasks, bounds)
        self._wait = wait

    async def __call__(
        self, request: TaskRequest, caller: Caller, idempotency_key: str | None = None
    ) -> Started:
        """Queue a task that the caller will own.

        With a key, the same request of the same caller within 24 hours returns the same task, also
        when two such requests arrive at once, and when the process that handled the first one died
        before it published. The key becomes free when its task fails, when the start is refused,
        when its task is deleted, and when its task has no record ABANDONED_AFTER seconds after the
        key was bound.

        A request that names a previous task is started with the conversation of that task.

        Raises InvalidRequest, PreviousUnusable, OverLimit, IdempotencyConflict, StartUncertain,
        QueueUnavailable (never with a key), QueueRefused or StoreUnavailable.
        """
        request.check(self._bounds)
        if idempotency_key is not None:
            return await self._start_once(request, caller, _owned_key(caller, idempotency_key))
        task_id = self._ids.next(self._clock.now())
        async with self._created(request, caller, task_id) as (task, whole, limit_statuses):
            return Started(await self._publish(task, whole, None), limit_statuses)

    @asynccontextmanager
    async def _created(
        self, request: TaskRequest, caller: Caller, task_id: str
    ) -> AsyncGenerator[tuple[Task, TaskRequest, Sequence[LimitStatus]], None]:
        """Admit a task and create its record. Yields the record, the request with the conversation
        that it continues, which is held while the context is open, and what the caller has left of
        its limits."""
        limit_statuses = await self._quotas.start(caller, task_id)
        async with AsyncExitStack() as held:
            continued = self._previous.continued(request, caller.owner)
            try:
                whole = await held.enter_async_context(continued)
            except BaseException:
                await self._quotas.release(caller, task_id)
                raise
            now, origin = self._clock.now(), self._quotas.origin(caller)
            submitted = Task.submit(task_id, whole, now, caller.owner, origin)
            yield await self._tasks.create(submitted), whole, limit_statuses

    async def _publish(self, task: Task, request: TaskRequest, key: str | None) -> Task:
        """Return the record once the queue holds the task."""
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

    async def _start_once(self, request: TaskRequest, caller: Caller, key: str) -> Started:
        """Try until the task of the key is started, for at most `wait` seconds."""
        until, pause, task_id = time.monotonic() + self._wait, FIRST_PAUSE, ""
        while True:
            outcome = await self._try_start(request, caller, key)
            if isinstance(outcome, Started):
                return outcome
            if isinstance(outcome, KeyLost):
                if time.monotonic() >= until:
                    raise StartUncertain(1.0)
                continue
            other = outcome.binding
            if time.monotonic() + pause > until:
                raise StartUncertain(min(RETRY_AFTER, max(1.0, ABANDONED_AFTER - other.age)))
            pause = FIRST_PAUSE if other.task_id != task_id else min(LONGEST_PAUSE, pause * 2)
            task_id = other.task_id
            await asyncio.sleep(pause)

    async def _try_start(
        self, request: TaskRequest, caller: Caller, key: str
    ) -> Started | KeyInUse | KeyLost:
        """Start a task if the key is free, else resume the task that it is bound to. Raises
        IdempotencyConflict if that is a task of another request."""
        fingerprint, task_id = request.digest(), self._ids.next(self._clock.now())
        binding = await self._keys.bind(key, fingerprint, task_id)
        if binding.task_id != task_id:
            bound = await self._bound(binding)
            if not isinstance(bound, KeyFree):
                if binding.fingerprint != fingerprint:
                    raise IdempotencyConflict
                if isinstance(bound, KeyInUse):
                    return bound
                resumed = await self._resume(bound, request, caller, key, binding)
                return resumed if isinstance(resumed, KeyLost) else Started(resumed, ())
            binding = await self._keys.bind(key, fingerprint, task_id, instead_of=binding)
            if binding.task_id != task_id:
                return KeyLost()
        return await self._start_bound(request, caller, key, binding)

    async def _bound(self, binding: Binding) -> Task | KeyInUse | KeyFree:
        """Return what became of the task that a key is bound to."""
        try:
            task = await self._tasks.get(binding.task_id)
        except DeletedTask:
            return KeyFree()
        except UnknownTask:
            return KeyFree() if binding.abandoned else KeyInUse(binding)
        return KeyFree() if task.status is TaskStatus.FAILED else task

    async def _start_bound(
        self, request: TaskRequest, caller: Caller, key: str, binding: Binding
    ) -> Started | KeyLost:
        """Start the task that the key was bound to by this start. If the key is lost before the
        task is published, the task fails."""
        async with AsyncExitStack() as held:
            created = self._created(request, caller, binding.task_id)
            try:
                task, whole, limit_statuses = await held.enter_async_context(created)
            except BaseException:
                # If the record was written after all, nothing publishes it.
                with suppress(StoreUnavailable):
                    await self._keys.release(key, binding.task_id)
                raise
            published = await self._confirm_and_publish(task, whole, key, binding)
        if isinstance(published, Task):
            return Started(published, limit_statuses)
        log.warning("idempotency key taken over", task_id=task.id)
        with suppress(IllegalTransition, UnknownTask):
            await self._tasks.fail(task.id, SUPERSEDED, self._clock.now())
        return published

    async def _resume(
        self, task: Task, request: TaskRequest, caller: Caller, key: str, binding: Binding
    ) -> Task | KeyLost:
        """Return the record of the key's task once the queue holds it, or has no need to. It may
        have been created by a start that died before it published."""
        if task.message_id is not None or task.status.terminal:
            return task
        try:
            stored = await self._tasks.request(task.id)
        except UnknownTask:  # it was deleted in the meantime
            return KeyLost()
        if stored is not None:
            return await self._confirm_and_publish(task, stored, key, binding)
        async with self._previous.continued(request, caller.owner) as whole:
            return await self._confirm_and_publish(task, whole, key, binding)

    async def _confirm_and_publish(
        self, task: Task, request: TaskRequest, key: str, binding: Binding
    ) -> Task | KeyLost:
        """Return the record once the queue holds the task. Publishes only if the key is still
        bound to the task."""
        now = await self._keys.bind(key, binding.fingerprint, task.id, instead_of=binding)
        return await self._publish(task, request, key) if now.task_id == task.id else KeyLost()


def _owned_key(caller: Caller, key: str) -> str:
    """Return the key in its owner's namespace. No owner's name contains the separator."""
    return key if caller.owner is None else f"{caller.owner}\n{key}"
