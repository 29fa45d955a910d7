"""A TaskLog that releases the slots of a running task as soon as a write ends the task.

Several use cases end tasks: they are completed, failed, cancelled or orphaned, their deliveries are
exhausted, their start is withdrawn. All of them do so by one of the five calls that
EndObservingTaskLog watches.
"""

import structlog

from application.accounts import Accounts, slots_of
from application.errors import StoreUnavailable
from application.ports import EndObservingTaskLog, Limiter, TaskLog
from domain.task import Task

log = structlog.get_logger(__name__)


class SlotReleasingLog(EndObservingTaskLog):
    """Releases slots on a best effort: one that could not be released is found by a later start
    (`Quotas.start`)."""

    def __init__(self, inner: TaskLog, limiter: Limiter, accounts: Accounts) -> None:
        super().__init__(inner)
        self._limiter = limiter
        self._accounts = accounts

    async def _ended(self, task: Task) -> None:
        slots = slots_of(task.not_before is not None)
        for account in self._accounts.of(task.owner, task.origin):
            if account.limits.running is None:
                continue
            try:
                await self._limiter.release(account.of(slots), task.id)
            except StoreUnavailable as error:
                log.warning("slot not released", task_id=task.id, error=str(error))
