"""MakeAttempt: run a task that was claimed, write what came of it, and tell the queue.

An attempt that is lost leaves the task to another delivery. What the next attempt can go on with
makes the lost one not count.
"""

import asyncio
from dataclasses import dataclass

import structlog

from application.after_end import AfterEnd
from application.attempt import AttemptBounds, RunningAttempt
from application.attempt_ends import AttemptEnds, Superseded
from application.errors import (
    BudgetExceeded,
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
from application.meter import Meter
from application.outcome import Ack, Outcome, Reject
from application.ports import (
    AnswerChecker,
    AttemptsObserver,
    Clock,
    Delivery,
    LanguageModel,
    TaskLog,
)
from application.reap import INPUT_LOST
from application.store_retries import StoreRetries
from application.task_watch import TaskWatch
from domain.attempt import Attempt
from domain.failure import DEADLINE_EXCEEDED, Failure

log = structlog.get_logger(__name__)

MAX_RESTARTS = 10
"""How often the attempts of one delivery may begin anew, whatever the upstream says of its
answer."""


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
        meter: Meter,
        after_end: AfterEnd,
        observer: AttemptsObserver,
        *,
        bounds: AttemptBounds,
        checker: AnswerChecker | None = None,
    ) -> None:
        """`bounds`: of each attempt. `checker`: says whether answers fit their schemas, if any."""
        self.retries = StoreRetries()
        self._ends = AttemptEnds(tasks, clock, self.retries, bounds.lease)
        self._tasks = tasks
        self._model = model
        self._clock = clock
        self._meter = meter
        self._after_end = after_end
        self._observer = observer
        self._bounds = bounds
        self._checker = checker

    async def __call__(
        self, attempt: Attempt, watch: TaskWatch, delivery: Delivery, stop: Stop
    ) -> Outcome | Superseded:
        """Make one attempt and count what it uses. If it was to go on with an answer that is gone,
        make another one, which begins anew. Raises StoreUnavailable, Unreadable or DeletedTask."""
        request = attempt.request
        if request is None or not delivery.matches(request):
            return await self._ends.fail(attempt, INPUT_LOST)
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
                self._meter,
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
                    self._close(running, ended=ended, rereads=isinstance(outcome, Attempt))
            if not isinstance(outcome, Attempt):
                return outcome
            attempt = outcome

    def _close(self, running: RunningAttempt, *, ended: bool, rereads: bool) -> None:
        """Count what the attempt has used in all, for the model that has answered."""
        used = running.continuing.counted_for_good(running.used(), ended=ended, rereads=rereads)
        finished = running.finished
        model = running.count.model if finished is None else finished.model
        self._meter.close(running.count, used, model, running.continuing.counted)
        self._observer.used(used, model, answered=finished is not None)

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
            await self._ends.complete(answered)
        except LeaseLost:
            log.info("attempt superseded")
            return Superseded()
        except ModelRefused as error:
            failure = Failure(error.code, error.message, False)
            return await self._ends.fail(attempt, failure, running)
        except ModelUnavailable as error:
            if error.answer_ended:
                await self._give_up(attempt, running, completed=True)
            failure = Failure(error.code, error.message, True)
            return await self._ends.lose(attempt, running, delivery, failure, error.retry_after)
        except DeadlineOver:
            return await self._ends.stop(attempt, DEADLINE_EXCEEDED, running)
        except BudgetExceeded as error:
            failure = Failure("budget_exceeded", error.message, False)
            return await self._ends.stop(attempt, failure, running)
        except ShuttingDown:
            return await self._ends.requeue(attempt, running, "shutting_down")
        except (ContinuationLost, StoreUnavailable, Unreadable):
            raise
        except asyncio.CancelledError:
            # The server is cancelling its requests. If the store still responds, the next delivery
            # need not wait for the lease to lapse.
            requeue = self._ends.requeue(attempt, running, "shutting_down")
            await asyncio.shield(requeue)
            raise
        except Exception:
            log.exception("attempt crashed")
            failure = Failure("internal_error", "An internal error occurred.", True)
            return await self._ends.lose(attempt, running, delivery, failure)
        reason, characters = answered.finished.reason, len(answered.answer.text)
        log.info("attempt completed", finish_reason=reason, characters=characters)
        return Ack()

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
            return await self._ends.lose(attempt, running, delivery, failure)
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
