"""Start a task with an idempotency key: one key, one task.

The key is bound to a task id first, and only the start that it is bound to admits, creates and
publishes. Every other start with the key waits until the record exists or the key is free. Before
it publishes, a start confirms that the key is still bound to its task: if it was frozen for long
enough, another start may have taken the key over. If the queue cannot be reached, the task of a key
stays pending: the same request again resumes it.
"""

from contextlib import AsyncExitStack, suppress

import structlog

from application.accounts import Caller
from application.errors import (
    DeletedTask,
    IdempotencyConflict,
    StoreUnavailable,
    UnknownTask,
)
from application.new_tasks import NewTasks, Started, needs_publishing
from application.ports import Binding, Clock, IdempotencyKeys, TaskIds, TaskLog
from application.shared_key import KeyFree, KeyInUse, KeyLost, until_started
from domain.errors import IllegalTransition
from domain.events import TaskStatus
from domain.request import TaskRequest
from domain.task import Failure, Task

log = structlog.get_logger(__name__)

SUPERSEDED = Failure(
    "superseded", "Another start with the same idempotency key took over from this one.", True
)


class StartWithKey:
    def __init__(
        self,
        tasks: TaskLog,
        keys: IdempotencyKeys,
        clock: Clock,
        ids: TaskIds,
        new_tasks: NewTasks,
        wait: float,
    ) -> None:
        """`wait`: seconds for which a start waits for another one with the same key."""
        self._tasks = tasks
        self._keys = keys
        self._clock = clock
        self._ids = ids
        self._new = new_tasks
        self._wait = wait

    async def __call__(self, request: TaskRequest, caller: Caller, key: str) -> Started:
        """Start the task of the key, or return it if it was started already."""
        owned = _owned_key(caller, key)
        fingerprint = request.digest()
        return await until_started(
            lambda: self._try_start(request, caller, owned, fingerprint), self._wait
        )

    async def _try_start(
        self, request: TaskRequest, caller: Caller, key: str, fingerprint: str
    ) -> Started | KeyInUse | KeyLost:
        """Start a task if the key is free, else resume the task that it is bound to. Raises
        IdempotencyConflict if that is a task of another request."""
        task_id = self._ids.next(self._clock.now())
        binding = await self._keys.bind(key, fingerprint, task_id)
        if binding.task_id != task_id:
            bound = await self._bound(binding)
            if not isinstance(bound, KeyFree):
                if binding.fingerprint != fingerprint:
                    raise IdempotencyConflict
                if isinstance(bound, KeyInUse):
                    return bound
                resumed = await self._resume(bound, request, caller, key, binding)
                return resumed if isinstance(resumed, KeyLost) else Started(resumed, (), True)
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
            created = self._new.created(request, caller, binding.task_id)
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
        if not needs_publishing(task):
            return task
        try:
            async with self._new.whole(task, request, caller) as whole:
                return await self._confirm_and_publish(task, whole, key, binding)
        except UnknownTask:  # it was deleted in the meantime
            return KeyLost()

    async def _confirm_and_publish(
        self, task: Task, request: TaskRequest, key: str, binding: Binding
    ) -> Task | KeyLost:
        """Return the record once the queue holds the task. Publishes only if the key is still
        bound to the task."""
        now = await self._keys.bind(key, binding.fingerprint, task.id, instead_of=binding)
        return await self._new.publish(task, request, key) if now.task_id == task.id else KeyLost()


def _owned_key(caller: Caller, key: str) -> str:
    """Return the key in its owner's namespace. No owner's name and no client's key contains the
    separator."""
    return key if caller.owner is None else f"{caller.owner}\n{key}"
