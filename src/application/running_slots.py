"""A TaskLog that releases a task's slots among the running ones as soon as a write ends it.

Every end of a task is one of four writes, by whichever use case: completed, failed, cancelled,
orphaned, its deliveries exhausted, its start withdrawn. Here none of them can be missed.
"""

from collections.abc import Sequence

import structlog

from application.errors import StoreUnavailable
from application.ports import Busy, ForwardingTaskLog, Limiter, NotOrphaned, Orphaned, TaskLog
from application.quotas import Account, Limits, accounts_of
from domain.task import Attempt, Change, Failure, Task

log = structlog.get_logger(__name__)


class SlotReleasingLog(ForwardingTaskLog):
    """A slot that could not be released is found by a later start."""

    def __init__(
        self, inner: TaskLog, limiter: Limiter, per_owner: Limits, per_address: Limits
    ) -> None:
        super().__init__(inner)
        self._limiter = limiter
        self._per_owner = per_owner
        self._per_address = per_address

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
        for account in self._accounts(task):
            if account.limits.running is None:
                continue
            try:
                await self._limiter.release(account.of("running"), task.id)
            except StoreUnavailable as error:
                log.warning("slot not released", task_id=task.id, error=str(error))

    def _accounts(self, task: Task) -> Sequence[Account]:
        return accounts_of(task.owner, task.origin, self._per_owner, self._per_address)
