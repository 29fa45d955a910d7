"""RunDirectly: run a task inside the caller's own request, without the queue. For development."""

from contextlib import suppress
from dataclasses import dataclass

import structlog

from application.accounts import Caller
from application.errors import DeletedTask, StoreUnavailable, UnknownTask
from application.manage_task import owned
from application.model_rules import ANY_MODEL, ModelRules
from application.outcome import Outcome, Overloaded, OverShare, Retry
from application.ports import Clock, Delivery, TaskIds, TaskLog
from application.previous_task import PreviousTasks
from application.quotas import Quotas
from application.run_task import RunTask
from domain.errors import IllegalTransition
from domain.failure import Failure
from domain.request import DEFAULT_BOUNDS, RequestBounds, TaskRequest
from domain.task import Task

INTERRUPTED = Failure(
    "interrupted", "The task was interrupted, and no queue will deliver it again.", True
)


@dataclass(frozen=True, slots=True)
class DirectRun:
    """The task that was run, and the outcome."""

    task_id: str
    outcome: Outcome


class RunDirectly:
    def __init__(
        self,
        tasks: TaskLog,
        clock: Clock,
        ids: TaskIds,
        quotas: Quotas,
        run_task: RunTask,
        *,
        bounds: RequestBounds = DEFAULT_BOUNDS,
        models: ModelRules = ANY_MODEL,
    ) -> None:
        """`bounds`: of the requests that are accepted."""
        self._tasks = tasks
        self._clock = clock
        self._ids = ids
        self._quotas = quotas
        self._run_task = run_task
        self._bounds = bounds
        self._models = models
        self._previous = PreviousTasks(tasks, bounds)

    async def __call__(
        self, request: TaskRequest, caller: Caller, task_id: str | None
    ) -> DirectRun:
        """Start a task that the caller will own, if its limits allow it, and run it to its end. If
        the caller already has a task of this id, run that one. Raises InvalidRequest,
        ModelNotAllowed, PreviousUnusable, OverLimit, MalformedTaskId, UnknownTask (the id is
        another owner's or was deleted) or StoreUnavailable."""
        self._models.check(request, caller.owner, self._bounds)
        async with self._previous.continued(request, caller.owner) as whole:
            return await self._run(whole, caller, task_id)

    async def _run(self, request: TaskRequest, caller: Caller, task_id: str | None) -> DirectRun:
        now = self._clock.now()
        submitted = Task.submit(
            self._ids.next(now) if task_id is None else task_id,
            request,
            now,
            caller.owner,
            self._quotas.origin(caller),
        )
        new_id = submitted.task.id
        try:
            task = await self._tasks.get(new_id)
        except DeletedTask:
            raise
        except UnknownTask:
            await self._quotas.start(caller, new_id)
            task = await self._tasks.create(submitted)
        owned(task, caller.owner)
        delivery = Delivery(
            new_id,
            request,
            now,
            max_attempts=1,
            requested_model=request.model,
            request_size=0,  # it is held anyway
            owner=task.owner,
            origin=task.origin,
            ttl=task.ttl,
            retry_of=task.retry_of,
            not_before=task.not_before,
            deadline=task.deadline,
            webhooks=task.webhooks,
            own_flow=True,
        )
        with structlog.contextvars.bound_contextvars(task_id=new_id):
            outcome = await self._run_task(delivery)
            # A task that has a message is left to the queue, which delivers it again. Any other
            # would stay pending until its orphan timeout, since no queue has it.
            if isinstance(outcome, Retry | Overloaded | OverShare) and task.message_id is None:
                with suppress(IllegalTransition, UnknownTask, StoreUnavailable):
                    await self._tasks.fail(new_id, INTERRUPTED, self._clock.now())
        return DirectRun(new_id, outcome)
