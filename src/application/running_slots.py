"""A TaskLog that releases the slots of a running task as soon as a write ends the task.

Several use cases end tasks: they are completed, failed, cancelled or orphaned, their deliveries are
exhausted, their start is withdrawn. All of them do so by one of the four methods here.
"""

import structlog

from application.accounts import Accounts
from application.errors import StoreUnavailable
from application.ports import Busy, ForwardingTaskLog, Limiter, NotOrphaned, Orphaned, TaskLog
from domain.task import Attempt, Change, Failure, Task

log = structlog.get_logger(__name__)


class SlotReleasingLog(ForwardingTaskLog):
    """Releases slots on a best effort: one that could not be released is found by a later start
    (`Quotas.start`)."""

    def __init__(self, inner: TaskLog, limiter: Limiter, accounts: Accounts) -> None:
        super().__init__(inner)
        self._limiter = limiter
        self._accounts = accounts

    async def commit(self, attempt: Attempt, change: Change) -> None:
        await self._inner.commit(attempt, change)
        if change.task.status.terminal:
            await self._release(change.task)

    async def cancel(self, task_id: str, now: int) -> Task:
        task = await self._inner.cancel(task_id, now)
        await self._release(task)
        return task

    async def fail(self, task_id: str, failure: Failure, now: int) -> Task | Busy:
        failed = await self._inner.fail(task_id, failure, now)
        if isinstance(failed, Task):
            await self._release(failed)
        return failed

    async def fail_orphaned(
        self, task_id: str, failure: Failure, now: int
    ) -> Orphaned | NotOrphaned:
        outcome = await self._inner.fail_orphaned(task_id, failure, now)
        if isinstance(outcome, Orphaned):
            await self._release(outcome.task)
        return outcome

    async def _release(self, task: Task) -> None:
        for account in self._accounts.of(task.owner, task.origin):
            if account.limits.running is None:
                continue
            try:
                await self._limiter.release(account.of("running"), task.id)
            except StoreUnavailable as error:
                log.warning("slot not released", task_id=task.id, error=str(error))
