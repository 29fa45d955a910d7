"""RunTask: handle one delivery of a task, from the claim to the outcome.

If the store is unavailable for less than a lease, the attempt survives: the write is retried, and
the model is not read meanwhile. When the process stops, attempts have a grace period to finish.
"""

import asyncio
from dataclasses import dataclass

import structlog

from application.after_end import AfterEnd
from application.attempt import Answered, AttemptBounds, RunningAttempt
from application.deadlines import fail_overdue
from application.errors import (
    DeadlineOver,
    DeletedTask,
    FeedClosed,
    LeaseLost,
    ModelRefused,
    ModelUnavailable,
    ShuttingDown,
    StoreUnavailable,
    UnknownTask,
    Unreadable,
)
from application.outcome import UNREADABLE_RETRY_AFTER, Ack, Outcome, Overloaded, Reject, Retry
from application.ports import (
    AnswerChecker,
    Busy,
    Clock,
    Delivery,
    Ended,
    EventFeed,
    LanguageModel,
    TaskLog,
)
from application.quotas import Quotas
from application.reap import INPUT_LOST
from application.store_retries import StoreRetries
from application.task_watch import TaskWatch, watching
from domain.attempt import Attempt
from domain.events import Usage
from domain.failure import DEADLINE_EXCEEDED, Failure
from domain.task import Change, Task

log = structlog.get_logger(__name__)

OVERLOADED_RETRY_AFTER = 5.0
"""Seconds after which an overloaded process accepts the delivery again, perhaps."""
REQUESTS_ROOM = 256 * 1024 * 1024
"""Bytes of the requests that one process works on at the same time, unless the settings say
otherwise. A single request may be larger."""


@dataclass(frozen=True, slots=True)
class Superseded:
    """This attempt lost its lease. The store tells whether another one runs or the task ended."""


class RunTask:
    def __init__(
        self,
        tasks: TaskLog,
        feed: EventFeed,
        model: LanguageModel,
        clock: Clock,
        quotas: Quotas,
        after_end: AfterEnd,
        *,
        bounds: AttemptBounds,
        max_concurrent_deliveries: int,
        requests_room: int = REQUESTS_ROOM,
        checker: AnswerChecker | None = None,
    ) -> None:
        """`bounds`: of each attempt. `requests_room`: bytes of the requests of all deliveries that
        are handled at the same time. `checker`: says whether answers fit their schemas, if any."""
        self._tasks = tasks
        self._feed = feed
        self._model = model
        self._clock = clock
        self._quotas = quotas
        self._after_end = after_end
        self._bounds = bounds
        self._max_concurrent_deliveries = max_concurrent_deliveries
        self._requests_room = requests_room
        self._checker = checker
        self._retries = StoreRetries()
        self._running = 0
        self._held = 0  # bytes of requests
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = asyncio.Event()
        self._at_once = asyncio.Event()

    @property
    def stopping(self) -> bool:
        return self._stopping.is_set()

    def stop(self) -> None:
        """Begin to stop: return every new delivery to the queue, and requeue every attempt that is
        still running after the grace period. The second call ends that period."""
        if self.stopping:
            self._at_once.set()
        self._stopping.set()

    async def drained(self) -> None:
        """Return once no delivery is being handled: at the latest shortly after the grace period
        that began with `stop`."""
        await self._idle.wait()

    async def __call__(self, delivery: Delivery) -> Outcome:
        """Run the task unless it has ended or was deleted. While another attempt has the lease,
        wait, and claim the task if that lease lapses. A fault of the model or the store does not
        raise: it is part of the outcome."""
        if self.stopping:
            return Retry()
        size = delivery.request_size
        full = self._held > 0 and self._held + size > self._requests_room
        if full or self._running >= self._max_concurrent_deliveries:
            log.warning("overloaded: delivery refused", running=self._running, bytes=self._held)
            return Overloaded(OVERLOADED_RETRY_AFTER)
        self._running += 1
        self._held += size
        self._idle.clear()
        try:
            async with watching(self._feed, delivery.task_id) as watch:
                while not self.stopping:
                    claimed = await self._claim(delivery)
                    if isinstance(claimed, Ended):
                        log.info("task already ended", status=claimed.task.status)
                        return await self._end(claimed.task, Ack())
                    if isinstance(claimed, Busy):
                        log.info("waiting for the active attempt", lease_left=claimed.lease_left)
                        await watch.change(claimed.lease_left)
                        continue
                    self._retries.works()
                    with structlog.contextvars.bound_contextvars(attempt=claimed.number):
                        outcome = await self._run(claimed, watch, delivery)
                    if isinstance(outcome, Ack | Reject):
                        return await self._end(claimed.task, outcome)
                    if not isinstance(outcome, Superseded):
                        return outcome
                return Retry()
        except DeletedTask:
            log.info("task was deleted: delivery acknowledged")
            return Ack()
        except FeedClosed:
            return Retry()
        except StoreUnavailable as error:
            log.error("store unavailable", error=str(error))
            return Retry()
        except Unreadable as error:
            log.error("task unreadable", error=str(error))
            return Retry(UNREADABLE_RETRY_AFTER)
        finally:
            self._running -= 1
            self._held -= size
            if self._running == 0:
                self._idle.set()

    async def _end(self, task: Task, outcome: Ack | Reject) -> Outcome:
        """Return the outcome of a delivery whose task has ended, once nothing is missing after the
        end. `task`: a record of it. Raises StoreUnavailable."""
        return outcome if await self._after_end.of(task) else Retry()

    async def _claim(self, delivery: Delivery) -> Attempt | Busy | Ended:
        try:
            return await self._claim_in_time(delivery)
        except DeletedTask:
            raise
        except UnknownTask:
            log.info("record not found: created from the delivery")
            await self._tasks.create(delivery.submitted())
            return await self._claim_in_time(delivery)

    async def _claim_in_time(self, delivery: Delivery) -> Attempt | Busy | Ended:
        """Claim the task, or fail it if its deadline is over: another attempt would only hide what
        the last one has said."""
        now = self._clock.now()
        if delivery.deadline is None or now < delivery.deadline:
            return await self._tasks.claim(delivery.task_id, self._bounds.lease, now)
        failed = await fail_overdue(self._tasks, delivery.task_id, now)
        return failed if isinstance(failed, Busy) else Ended(failed)

    async def _run(
        self, attempt: Attempt, watch: TaskWatch, delivery: Delivery
    ) -> Outcome | Superseded:
        """Make one attempt and charge its cost. Raises StoreUnavailable."""
        request = attempt.request
        if request is None or not delivery.matches(request):
            return await self._fail(attempt, INPUT_LOST)
        log.info("attempt began", model=request.model)
        running = RunningAttempt(
            attempt,
            request,
            self._tasks,
            self._model,
            self._clock,
            self._bounds,
            self._retries,
            self._checker,
        )
        try:
            return await self._outcome(attempt, running, watch, delivery)
        finally:
            if running.billed:
                await asyncio.shield(self._quotas.charge(attempt.task, running.usage))

    async def _outcome(
        self,
        attempt: Attempt,
        running: RunningAttempt,
        watch: TaskWatch,
        delivery: Delivery,
    ) -> Outcome | Superseded:
        try:
            answered = await running.run(watch, self._stopping, self._at_once)
            await self._complete(answered, running.usage)
        except LeaseLost:
            log.info("attempt superseded")
            return Superseded()
        except ModelRefused as error:
            return await self._fail(attempt, Failure(error.code, error.message, False))
        except ModelUnavailable as error:
            if attempt.task.counted_attempts >= delivery.max_attempts:
                return await self._fail(attempt, Failure(error.code, error.message, True))
            return await self._requeue(attempt, error.code, error.retry_after)
        except DeadlineOver:
            failed = await self._fail(attempt, DEADLINE_EXCEEDED)
            return failed if isinstance(failed, Superseded) else Ack()
        except ShuttingDown:
            return await self._requeue(attempt, "shutting_down", counted=False)
        except StoreUnavailable:
            raise
        except asyncio.CancelledError:
            # The server is cancelling its requests. If the store still responds, the next delivery
            # need not wait for the lease to lapse.
            await asyncio.shield(self._requeue(attempt, "shutting_down", counted=False))
            raise
        except Exception:
            log.exception("attempt crashed")
            if attempt.task.counted_attempts >= delivery.max_attempts:
                failure = Failure("internal_error", "An internal error occurred.", True)
                return await self._fail(attempt, failure)
            return await self._requeue(attempt, "internal_error")
        reason, characters = answered.finished.reason, len(answered.answer.text)
        log.info("attempt completed", finish_reason=reason, characters=characters)
        return Ack()

    async def _complete(self, answered: Answered, usage: Usage) -> None:
        finished, attempt, answer = answered.finished, answered.attempt, answered.answer
        change = attempt.task.complete(
            self._clock.now(),
            answer=answer,
            finish_reason=finished.reason,
            model=finished.model,
            usage=usage,
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

    async def _requeue(
        self,
        attempt: Attempt,
        reason: str,
        retry_after: float | None = None,
        *,
        counted: bool = True,
    ) -> Outcome | Superseded:
        """Requeue the task, or fail it if its attempts were interrupted too often."""
        log.warning("attempt lost", reason=reason, retry_after=retry_after)
        change = attempt.task.requeue(self._clock.now(), reason, counted=counted)
        try:
            await self._tasks.commit(attempt, change)
        except LeaseLost:
            return Superseded()
        if (failure := change.task.failure) is None:
            return Retry(retry_after)
        log.warning("task failed", code=failure.code)
        return Reject(failure.code)

    async def _commit(self, attempt: Attempt, change: Change) -> None:
        lease = self._bounds.lease
        await self._retries.while_leased(lambda: self._tasks.commit(attempt, change), lease)
