"""RunDirectly: a task that is run by the caller's own request, with no queue in between. For
development."""

from application.admission import Admission, Caller
from application.manage_task import owned
from application.ports import Clock, Delivery, TaskIds, TaskLog, UnknownTask
from application.run_task import RunTask, Verdict
from domain.task import Task, TaskRequest


class RunDirectly:
    def __init__(
        self, tasks: TaskLog, clock: Clock, ids: TaskIds, admission: Admission, run_task: RunTask
    ) -> None:
        self._tasks = tasks
        self._clock = clock
        self._ids = ids
        self._admission = admission
        self._run_task = run_task

    async def __call__(
        self, request: TaskRequest, caller: Caller, task_id: str | None
    ) -> tuple[str, Verdict]:
        """Start a task that the caller will own, as far as its limits allow, and run it to its
        end; a task of this id that it has is run on. Returns the id and what came of it. Raises
        OverLimit, MalformedTaskId, UnknownTask for an id that is another owner's, or
        StoreUnavailable."""
        now = self._clock.now()
        submitted = Task.submit(
            self._ids.next(now) if task_id is None else task_id,
            request,
            now,
            caller.owner,
            self._admission.origin(caller),
        )
        new = submitted.task
        if not await self._exists(new.id):
            await self._admission.start(caller, new.id)
            await self._tasks.create(submitted)
        owned(await self._tasks.get(new.id), caller.owner)
        delivery = Delivery(new.id, request, now, max_attempts=1, owner=caller.owner)
        return new.id, await self._run_task(delivery)

    async def _exists(self, task_id: str) -> bool:
        try:
            await self._tasks.get(task_id)
        except UnknownTask:
            return False
        return True
