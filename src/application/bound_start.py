"""The steps of a start once its key is bound to its task: create, confirm, publish.

Before it publishes, a start confirms that the key is still bound to its task: if it was frozen for
long enough, another start may have taken the key over. If the queue cannot be reached, the task of
a key stays pending: the same request again resumes it.
"""

from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass

import structlog

from application.accounts import Caller
from application.errors import LimitStatus, QueueRefused, StoreUnavailable, UnknownTask
from application.new_tasks import NewTasks, Started, needs_publishing
from application.ports import IDEMPOTENCY_TTL, Binding, Clock, IdempotencyKeys, TaskLog
from application.shared_key import KeyLost
from domain.failure import Failure
from domain.request import TaskRequest
from domain.task import Task

log = structlog.get_logger(__name__)

SUPERSEDED = Failure(
    "superseded",
    "Another start with the same idempotency key, or in the same chat, took over from this one.",
    True,
)


@dataclass(frozen=True, slots=True)
class Superseded:
    """Another start has taken over the key of this task before it was published. The task has
    failed, unless another start has published or ended it."""

    task_id: str
    limit_statuses: Sequence[LimitStatus]
    joined: bool
    by: Binding
    """What the key is bound to now."""


class BoundStart:
    def __init__(
        self,
        tasks: TaskLog,
        keys: IdempotencyKeys,
        clock: Clock,
        new_tasks: NewTasks,
        ttl: float = IDEMPOTENCY_TTL,
    ) -> None:
        """`ttl`: seconds for which a key is bound."""
        self._tasks = tasks
        self._keys = keys
        self._clock = clock
        self._new = new_tasks
        self._ttl = ttl

    async def start(
        self,
        request: TaskRequest,
        caller: Caller,
        key: str,
        binding: Binding,
        former: Binding | None = None,
        retry_of: str | None = None,
    ) -> Started | Superseded:
        """Start the task that the key was bound to by this start.
        `former`: what the key is bound to again if the start is refused; None: it becomes free.
        `retry_of`: the task that the new one retries."""
        async with AsyncExitStack() as held:
            created = self._new.created(request, caller, binding.task_id, retry_of)
            try:
                task, whole, limit_statuses = await held.enter_async_context(created)
            except BaseException:
                # If the record was written after all, nothing publishes it.
                await self._give_back(key, binding, former)
                raise
            try:
                published = await self._confirm_and_publish(task, whole, key, binding)
            except QueueRefused:
                await self._give_back(key, binding, former)
                raise
        if isinstance(published, Task):
            return Started(published, limit_statuses)
        return Superseded(task.id, limit_statuses, False, published)

    async def resume(
        self, task: Task, request: TaskRequest, caller: Caller, key: str, binding: Binding
    ) -> Started | Superseded | KeyLost:
        """Join the key's task once the queue holds it, or has no need to. It may have been created
        by a start that died before it published."""
        if not needs_publishing(task):
            return Started(task, (), joined=True)
        try:
            async with self._new.whole(task, request, caller) as whole:
                published = await self._confirm_and_publish(task, whole, key, binding)
        except UnknownTask:  # it was deleted in the meantime
            return KeyLost()
        if isinstance(published, Task):
            return Started(published, (), joined=True)
        return Superseded(task.id, (), True, published)

    async def complete(self, task: Task, key: str, binding: Binding) -> None:
        """Publish the key's task as it is stored, if its start has died before it did. Raises as
        `resume` does."""
        if (request := await self._tasks.request(task.id)) is not None:
            await self._confirm_and_publish(task, request, key, binding)

    async def _confirm_and_publish(
        self, task: Task, request: TaskRequest, key: str, binding: Binding
    ) -> Task | Binding:
        """Return the record once the queue holds the task. Publishes only if the key is still
        bound to the task; else fails the task, and returns what the key is bound to."""
        now = await self._bind(key, binding, instead_of=binding)
        if now.task_id == task.id:
            return await self._new.publish(task, request, key)
        log.warning("key of a start taken over", task_id=task.id)
        with suppress(UnknownTask):
            await self._tasks.fail_unqueued(task.id, SUPERSEDED, self._clock.now())
        return now

    async def _give_back(self, key: str, binding: Binding, former: Binding | None) -> None:
        with suppress(StoreUnavailable):
            if former is None:
                await self._keys.release(key, binding.task_id)
            else:
                await self._bind(key, former, instead_of=binding)

    async def _bind(self, key: str, binding: Binding, instead_of: Binding) -> Binding:
        return await self._keys.bind(
            key, binding.fingerprint, binding.task_id, instead_of, self._ttl
        )
