"""Start a task for an SDK that repeats its requests without an idempotency key: what it sends again
joins the task of its first try, so that nothing is paid for twice.

The SDK says only whether it sends a request for the first time. So a first try always starts a
task, also when the same request was sent before, and is from then on the newest of its kind: of the
requests of this owner that are equal in every field. A retry joins the newest task, whatever has
become of it, for REMEMBERED seconds after the last try. It starts a task of its own only

- if the service knows of no task: the first try never arrived, was refused, or is too long ago;
- if the task failed before any attempt, so that the model was not asked. A task that failed later
  is joined: its client is told why, and decides itself whether to pay again;
- if the record is gone: it was deleted, or its time to live is over.

The newest task is remembered as the binding of a key. Its fingerprint names the try that is to
create the record, until there is one (CREATED) or there will be none (REFUSED). A retry that finds
no record waits for that try. After STAND_IN_AFTER seconds that try has died or is frozen, and one
of the retries creates the record itself, with the same id: to create and to publish one task twice
has no effect, so the frozen try does no harm when it goes on.
"""

from contextlib import AsyncExitStack, suppress
from enum import Enum

import structlog

from application.accounts import Caller
from application.errors import DeletedTask, StoreUnavailable, UnknownTask
from application.new_tasks import NewTasks, Started, needs_publishing
from application.ports import Binding, Clock, IdempotencyKeys, TaskIds, TaskLog
from application.shared_key import KeyFree, KeyInUse, KeyLost, until_started
from domain.events import TaskStatus
from domain.request import TaskRequest
from domain.task import Task

log = structlog.get_logger(__name__)

REMEMBERED = 900.0
"""Seconds after the last try within which a retry joins. SDKs wait 600 seconds for a response."""
STAND_IN_AFTER = 10.0
"""Seconds after which a try has created its record, or has died or is frozen. SDKs give up soon
after that."""
CREATED, REFUSED = "created", "refused"
"""The fingerprints of bindings whose tasks have had a record, or will have none."""


class Try(Enum):
    """What an SDK says of a request that it repeats by itself."""

    FIRST = "first"
    AGAIN = "again"


class StartBySdk:
    def __init__(
        self,
        tasks: TaskLog,
        keys: IdempotencyKeys,
        clock: Clock,
        ids: TaskIds,
        new_tasks: NewTasks,
        wait: float,
    ) -> None:
        """`wait`: seconds for which a retry waits for the first try to create its record."""
        self._tasks = tasks
        self._keys = keys
        self._clock = clock
        self._ids = ids
        self._new = new_tasks
        self._wait = wait

    async def __call__(self, request: TaskRequest, caller: Caller, which: Try) -> Started:
        """Start a task for a first try; for a retry, join the newest task of this request."""
        key = _key(request, caller)
        if which is Try.AGAIN:
            return await until_started(lambda: self._try_again(request, caller, key), self._wait)
        task_id = self._ids.next(self._clock.now())
        binding = await self._keys.rebind(key, task_id, task_id, REMEMBERED)
        return await self._start(request, caller, key, binding)

    async def _try_again(
        self, request: TaskRequest, caller: Caller, key: str
    ) -> Started | KeyInUse | KeyLost:
        own_id = self._ids.next(self._clock.now())
        binding = await self._keys.bind(key, own_id, own_id, ttl=REMEMBERED)
        if binding.task_id == own_id:
            return await self._start(request, caller, key, binding)
        task = await self._bound(binding)
        if isinstance(task, KeyInUse):
            return await self._stand_in(request, caller, key, binding, own_id)
        if isinstance(task, Task):
            return await self._join(task, request, caller, key, binding)
        taken = await self._keys.bind(key, own_id, own_id, instead_of=binding, ttl=REMEMBERED)
        if taken.task_id != own_id:
            return KeyLost()
        return await self._start(request, caller, key, taken)

    async def _bound(self, binding: Binding) -> Task | KeyInUse | KeyFree:
        """Return what became of the newest task."""
        if binding.fingerprint == REFUSED:
            return KeyFree()
        try:
            task = await self._tasks.get(binding.task_id)
        except DeletedTask:
            return KeyFree()
        except UnknownTask:
            return KeyFree() if binding.fingerprint == CREATED else KeyInUse(binding)
        failed_unasked = task.status is TaskStatus.FAILED and task.attempt == 0
        return KeyFree() if failed_unasked else task

    async def _join(
        self, task: Task, request: TaskRequest, caller: Caller, key: str, binding: Binding
    ) -> Started | KeyLost:
        """Return the task once the queue holds it, or has no need to. It may have been created by a
        try that died before it published."""
        now = await self._note(CREATED, key, binding)
        if (now.task_id, now.fingerprint) != (task.id, CREATED):
            return KeyLost()
        log.info("retry joins a task", task_id=task.id, status=task.status)
        if needs_publishing(task):
            try:
                async with self._new.whole(task, request, caller) as whole:
                    task = await self._new.publish(task, whole, key)
            except UnknownTask:  # it was deleted in the meantime
                return KeyLost()
        return Started(task, (), joined=True)

    async def _stand_in(
        self, request: TaskRequest, caller: Caller, key: str, binding: Binding, own_id: str
    ) -> Started | KeyInUse | KeyLost:
        """Start the newest task instead of the try that was to do so, if that has had its time."""
        if binding.age <= STAND_IN_AFTER:
            return KeyInUse(binding)
        ours = await self._keys.bind(
            key, own_id, binding.task_id, instead_of=binding, ttl=REMEMBERED
        )
        if ours.fingerprint != own_id:
            return KeyLost()
        log.warning("retry starts the task of an earlier try", task_id=ours.task_id)
        return await self._start(request, caller, key, ours)

    async def _start(
        self, request: TaskRequest, caller: Caller, key: str, binding: Binding
    ) -> Started:
        """Start the task of a binding that this try has made."""
        async with AsyncExitStack() as held:
            created = self._new.created(request, caller, binding.task_id)
            try:
                task, whole, limit_statuses = await held.enter_async_context(created)
            except BaseException:
                # If the record was written after all, nothing publishes it. The try that this one
                # stands in for may still create it, so then retries go on waiting for a record.
                if binding.fingerprint == binding.task_id:
                    with suppress(StoreUnavailable):
                        await self._note(REFUSED, key, binding)
                raise
            await self._note(CREATED, key, binding)
            if needs_publishing(task):
                task = await self._new.publish(task, whole, key)
        return Started(task, limit_statuses)

    async def _note(self, what: str, key: str, binding: Binding) -> Binding:
        """Let the binding tell what became of its task, unless another try has changed it. Return
        what it tells then."""
        return await self._keys.bind(key, what, binding.task_id, instead_of=binding, ttl=REMEMBERED)


def _key(request: TaskRequest, caller: Caller) -> str:
    """Return the key of all equal requests of this owner. No idempotency key of a client can be the
    same, even together with its owner's name: it has fewer lines."""
    return f"sdk\n{caller.owner or ''}\n{request.digest()}"
