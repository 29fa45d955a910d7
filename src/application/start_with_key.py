"""Start a task with an idempotency key: one key, one task.

The key is bound to a task id first, and only the start that it is bound to admits, creates and
publishes (bound_start). Every other start with the key waits until the record exists or the key is
free.
"""

from application.accounts import Caller
from application.bound_start import BoundStart, Superseded
from application.errors import DeletedTask, IdempotencyConflict, UnknownTask
from application.new_tasks import NewTasks, Started
from application.ports import Binding, Clock, IdempotencyKeys, TaskIds, TaskLog
from application.shared_key import KeyFree, KeyInUse, KeyLost, until_started
from domain.events import TaskStatus
from domain.request import TaskRequest
from domain.task import Task


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
        self._bound_start = BoundStart(tasks, keys, clock, new_tasks)
        self._wait = wait

    async def __call__(
        self, request: TaskRequest, caller: Caller, key: str, retry_of: str | None = None
    ) -> Started:
        """Start the task of the key, or return it if it was started already."""
        owned = _owned_key(caller, key)
        fingerprint = _fingerprint(request, retry_of)
        return await until_started(
            lambda: self._try_start(request, caller, owned, fingerprint, retry_of), self._wait
        )

    async def _try_start(
        self,
        request: TaskRequest,
        caller: Caller,
        key: str,
        fingerprint: str,
        retry_of: str | None,
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
                resumed = await self._bound_start.resume(bound, request, caller, key, binding)
                return resumed if isinstance(resumed, Started) else KeyLost()
            binding = await self._keys.bind(key, fingerprint, task_id, instead_of=binding)
            if binding.task_id != task_id:
                return KeyLost()
        started = await self._bound_start.start(request, caller, key, binding, retry_of=retry_of)
        return KeyLost() if isinstance(started, Superseded) else started

    async def _bound(self, binding: Binding) -> Task | KeyInUse | KeyFree:
        """Return what became of the task that a key is bound to."""
        try:
            task = await self._tasks.get(binding.task_id)
        except DeletedTask:
            return KeyFree()
        except UnknownTask:
            return KeyFree() if binding.abandoned else KeyInUse(binding)
        return KeyFree() if task.status is TaskStatus.FAILED else task


def _fingerprint(request: TaskRequest, retry_of: str | None) -> str:
    """Return what tells requests apart. A retry is another one than a start of the same."""
    return request.digest() if retry_of is None else f"{request.digest()}:{retry_of}"


def _owned_key(caller: Caller, key: str) -> str:
    """Return the key in its owner's namespace. No owner's name and no client's key contains the
    separator."""
    return key if caller.owner is None else f"{caller.owner}\n{key}"
