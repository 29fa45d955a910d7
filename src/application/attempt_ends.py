"""AttemptEnds: write what came of an attempt, and say what the queue is told of it."""

from dataclasses import dataclass, replace

import structlog

from application.attempt import Answered, RunningAttempt
from application.errors import LeaseLost
from application.outcome import Ack, Outcome, Reject, Retry
from application.ports import Clock, Delivery, TaskLog
from application.store_retries import StoreRetries
from domain.attempt import Attempt
from domain.failure import Failure
from domain.task import Change

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Superseded:
    """This attempt lost its lease. The store tells whether another one runs or the task ended."""


class AttemptEnds:
    def __init__(self, tasks: TaskLog, clock: Clock, retries: StoreRetries, lease: float) -> None:
        """`lease`: seconds."""
        self._tasks = tasks
        self._clock = clock
        self._retries = retries
        self._lease = lease

    async def complete(self, answered: Answered) -> None:
        finished, attempt = answered.finished, answered.attempt
        change = attempt.task.complete(
            self._clock.now(),
            answer=answered.answer,
            finish_reason=finished.reason,
            model=finished.model,
            usage=answered.usage,
            valid=answered.valid,
        )
        await self._commit(attempt, change)

    async def fail(
        self, attempt: Attempt, failure: Failure, running: RunningAttempt | None = None
    ) -> Outcome | Superseded:
        """Fail the task. `running`: None if the attempt has not begun."""
        log.warning("attempt failed", code=failure.code, owner=attempt.task.owner)
        usage = None if running is None else running.total_usage()
        try:
            await self._commit(attempt, attempt.task.fail(self._clock.now(), failure, usage))
        except LeaseLost:
            return Superseded()
        return Reject(failure.code)

    async def stop(
        self, attempt: Attempt, failure: Failure, running: RunningAttempt
    ) -> Outcome | Superseded:
        """Fail the task, as it was to be: the queue need not keep its message."""
        failed = await self.fail(attempt, failure, running)
        return failed if isinstance(failed, Superseded) else Ack()

    async def lose(
        self,
        attempt: Attempt,
        running: RunningAttempt,
        delivery: Delivery,
        failure: Failure,
        retry_after: float | None = None,
    ) -> Outcome | Superseded:
        """Requeue the task, or fail it if that was the last attempt that it may have."""
        last = attempt.task.counted_attempts >= delivery.max_attempts
        if last and not (running.added and running.continuing.goes_on()):
            return await self.fail(attempt, failure, running)
        return await self.requeue(attempt, running, failure.code, retry_after, delivery)

    async def requeue(
        self,
        attempt: Attempt,
        running: RunningAttempt,
        reason: str,
        retry_after: float | None = None,
        delivery: Delivery | None = None,
    ) -> Outcome | Superseded:
        """Requeue the task, or fail it if its attempts were interrupted too often. `delivery`: that
        of the attempt. None if a stop ended it: then it does not count, and nothing says when the
        next one begins, since the queue may be stopping too."""
        added = running.added and running.continuing.goes_on()
        log.warning("attempt lost", reason=reason, retry_after=retry_after, added=added)
        task = attempt.task
        if running.continuing.kept is None:
            task = replace(task, continuation=None)
        now, counted = self._clock.now(), delivery is not None
        next_at = None if delivery is None else delivery.next_at(now, retry_after)
        change = task.requeue(now, reason, counted=counted, added=added, next_attempt_at=next_at)
        try:
            await self._tasks.commit(attempt, change)
        except LeaseLost:
            return Superseded()
        if (failure := change.task.failure) is None:
            return Retry(retry_after)
        log.warning("task failed", code=failure.code)
        return Reject(failure.code)

    async def _commit(self, attempt: Attempt, change: Change) -> None:
        lease = self._lease
        await self._retries.while_leased(lambda: self._tasks.commit(attempt, change), lease)
