"""MakeAttempt: run a task that was claimed, write what came of it, and tell the queue.

An attempt that is lost leaves the task to another delivery. What the next attempt can go on with
makes the lost one not count.
"""

import asyncio
from dataclasses import dataclass, replace

import structlog

from application.after_end import AfterEnd
from application.attempt import Answered, AttemptBounds, RunningAttempt
from application.errors import (
    ContinuationLost,
    DeadlineOver,
    DeletedTask,
    LeaseLost,
    ModelRefused,
    ModelUnavailable,
    ShuttingDown,
    StoreUnavailable,
    UnknownTask,
    Unreadable,
)
from application.outcome import Ack, Outcome, Reject, Retry
from application.ports import (
    AnswerChecker,
    AttemptsObserver,
    Clock,
    Delivery,
    LanguageModel,
    TaskLog,
)
from application.quotas import Quotas
from application.reap import INPUT_LOST
from application.store_retries import StoreRetries
from application.task_watch import TaskWatch
from domain.attempt import Attempt
from domain.failure import DEADLINE_EXCEEDED, Failure
from domain.task import Change

log = structlog.get_logger(__name__)

MAX_RESTARTS = 10
"""How often the attempts of one delivery may begin anew, whatever the upstream says of its
answer."""


@dataclass(frozen=True, slots=True)
class Superseded:
    """This attempt lost its lease. The store tells whether another one runs or the task ended."""


@dataclass(frozen=True, slots=True)
class Stop:
    """How a process stops its attempts."""

    begun: asyncio.Event
    """Set once it begins to stop: the grace period begins."""
    at_once: asyncio.Event
    """Set once that period is over early."""


class MakeAttempt:
    def __init__(
        self,
        tasks: TaskLog,
        model: LanguageModel,
        clock: Clock,
        quotas: Quotas,
        after_end: AfterEnd,
        observer: AttemptsObserver,
        *,
        bounds: AttemptBounds,
        checker: AnswerChecker | None = None,
    ) -> None:
        """`bounds`: of each attempt. `checker`: says whether answers fit their schemas, if any."""
        self.retries = StoreRetries()
        self._tasks = tasks
        self._model = model
        self._clock = clock
        self._quotas = quotas
        self._after_end = after_end
        self._observer = observer
        self._bounds = bounds
        self._checker = checker

    async def __call__(
        self, attempt: Attempt, watch: TaskWatch, delivery: Delivery, stop: Stop
    ) -> Outcome | Superseded:
        """Make one attempt and charge its cost. If it was to go on with an answer that is gone,
        make another one, which begins anew. Raises StoreUnavailable, Unreadable or DeletedTask."""
        request = attempt.request
        if request is None or not delivery.matches(request):
            return await self._fail(attempt, INPUT_LOST)
        restarts = 0
        while True:
            running = RunningAttempt(
                attempt,
                request,
                self._tasks,
                self._model,
                self._clock,
                self._bounds,
                self.retries,
                self._observer,
                self._checker,
            )
            with structlog.contextvars.bound_contextvars(attempt=attempt.number):
                log.info("attempt began", model=request.model)
                outcome: Outcome | Superseded | Attempt | None = None
                ended = False
                try:
                    outcome = await self._outcome(attempt, running, watch, delivery, stop)
                    ended = isinstance(outcome, Ack | Reject)
                    if isinstance(outcome, Superseded) and running.continuing.kept is not None:
                        ended = await self._ended(attempt, running)
                except ContinuationLost as error:
                    may_restart = restarts < MAX_RESTARTS
                    outcome = await self._begin_anew(attempt, running, delivery, error, may_restart)
                    restarts += 1
                finally:
                    # Of what an upstream keeps, the attempt that reads it to its end is charged.
                    if running.billed and (ended or not running.continuing.is_handed_over):
                        await asyncio.shield(self._quotas.charge(attempt.task, running.usage))
            if not isinstance(outcome, Attempt):
                return outcome
            attempt = outcome

    async def _outcome(
        self,
        attempt: Attempt,
        running: RunningAttempt,
        watch: TaskWatch,
        delivery: Delivery,
        stop: Stop,
    ) -> Outcome | Superseded:
        try:
            answered = await running.run(watch, stop.begun, stop.at_once)
            await self._complete(answered)
        except LeaseLost:
            log.info("attempt superseded")
            return Superseded()
        except ModelRefused as error:
            return await self._fail(attempt, Failure(error.code, error.message, False))
        except ModelUnavailable as error:
            if error.answer_ended:
                await self._give_up(attempt, running, completed=True)
            failure = Failure(error.code, error.message, True)
            return await self._lose(attempt, running, delivery, failure, error.retry_after)
        except DeadlineOver:
            failed = await self._fail(attempt, DEADLINE_EXCEEDED)
            return failed if isinstance(failed, Superseded) else Ack()
        except ShuttingDown:
            return await self._requeue(attempt, running, "shutting_down")
        except (ContinuationLost, StoreUnavailable, Unreadable):
            raise
        except asyncio.CancelledError:
            # The server is cancelling its requests. If the store still responds, the next delivery
            # need not wait for the lease to lapse.
            requeue = self._requeue(attempt, running, "shutting_down")
            await asyncio.shield(requeue)
            raise
        except Exception:
            log.exception("attempt crashed")
            failure = Failure("internal_error", "An internal error occurred.", True)
            return await self._lose(attempt, running, delivery, failure)
        reason, characters = answered.finished.reason, len(answered.answer.text)
        log.info("attempt completed", finish_reason=reason, characters=characters)
        return Ack()

    async def _complete(self, answered: Answered) -> None:
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

    async def _fail(self, attempt: Attempt, failure: Failure) -> Outcome | Superseded:
        log.warning("attempt failed", code=failure.code)
        try:
            await self._commit(attempt, attempt.task.fail(self._clock.now(), failure))
        except LeaseLost:
            return Superseded()
        return Reject(failure.code)

    async def _lose(
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
            return await self._fail(attempt, failure)
        return await self._requeue(attempt, running, failure.code, retry_after, delivery)

    async def _requeue(
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

    async def _begin_anew(
        self,
        attempt: Attempt,
        running: RunningAttempt,
        delivery: Delivery,
        error: ContinuationLost,
        may_restart: bool,
    ) -> Attempt | Outcome | Superseded:
        """End an attempt whose answer is gone, and return the next one, which begins anew. It is
        lost instead if it may not restart, and if another answer would be asked for though this was
        the last attempt, or though it went on with nothing: another would meet the same."""
        if error.resumes_at is None:
            last = attempt.task.counted_attempts >= delivery.max_attempts
            may_restart = running.continuing.resumed and not last
        if not may_restart:
            await self._give_up(attempt, running, completed=False)
            failure = Failure("incomplete", error.message, True)
            return await self._lose(attempt, running, delivery, failure)
        if error.resumes_at is None:
            running.continuing.kept = None  # what the upstream has forgotten needs no release
        log.warning("attempt begins anew", reason=error.message)
        task = attempt.task
        keeper = self._model.keeper(task.requested_model)
        change = task.restart(self._clock.now(), keeper, error.resumes_at)
        lease = self._bounds.lease
        try:
            return await self.retries.while_leased(
                lambda: self._tasks.restart(attempt, change, lease), lease
            )
        except LeaseLost:
            return Superseded()

    async def _give_up(self, attempt: Attempt, running: RunningAttempt, *, completed: bool) -> None:
        """Go on no more with the answer that an upstream keeps, and tell it so if it can be
        reached. `completed`: whether it has ended there."""
        kept, running.continuing.kept = running.continuing.kept, None
        if kept is not None and kept.response_id is not None:
            await self._after_end.release(attempt.task.id, kept, completed=completed)

    async def _ended(self, attempt: Attempt, running: RunningAttempt) -> bool:
        """Whether an attempt was superseded because its task has ended, and not by a later one. If
        the record does not say how the upstream calls the answer, tell the upstream of the end from
        here."""
        try:
            task = await self._tasks.get(attempt.task.id)
        except DeletedTask:
            log.debug("task of a superseded attempt is gone")
        except UnknownTask:  # lost by the store: its next delivery goes on with the same answer
            return False
        else:
            if not task.status.terminal or task.attempt != attempt.number:
                return False
        if not running.continuing.noted:
            await self._give_up(attempt, running, completed=False)
        return True

    async def _commit(self, attempt: Attempt, change: Change) -> None:
        lease = self._bounds.lease
        await self.retries.while_leased(lambda: self._tasks.commit(attempt, change), lease)
