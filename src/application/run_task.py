"""RunTask: handle one delivery of a task, from the claim to the outcome.

If the store is unavailable for less than a lease, the attempt survives: the write is retried, and
the model is not read meanwhile. When the process stops, attempts have a grace period to finish.
"""

import asyncio

import structlog

from application.after_end import AfterEnd
from application.attempt_ends import Superseded
from application.deadlines import fail_overdue
from application.errors import (
    DeletedTask,
    FeedClosed,
    StoreUnavailable,
    UnknownTask,
    Unreadable,
)
from application.make_attempt import MakeAttempt, Stop
from application.openings import claim_task
from application.outcome import (
    UNREADABLE_RETRY_AFTER,
    Ack,
    Outcome,
    Overloaded,
    OverShare,
    Reject,
    Retry,
)
from application.owner_shares import OwnerShares
from application.ports import Busy, Clock, Delivery, Ended, EventFeed, LanguageModel, TaskLog
from application.task_watch import watching
from domain.attempt import Attempt
from domain.task import Task

log = structlog.get_logger(__name__)

OVERLOADED_RETRY_AFTER = 5.0
"""Seconds after which an overloaded process accepts the delivery again, perhaps."""
REQUESTS_ROOM = 256 * 1024 * 1024
"""Bytes of the requests that one process works on at the same time, unless the settings say
otherwise. A single request may be larger."""


class RunTask:
    def __init__(
        self,
        tasks: TaskLog,
        feed: EventFeed,
        model: LanguageModel,
        clock: Clock,
        make_attempt: MakeAttempt,
        after_end: AfterEnd,
        *,
        shares: OwnerShares | None = None,
        lease: float,
        max_concurrent_deliveries: int,
        requests_room: int = REQUESTS_ROOM,
    ) -> None:
        """`shares`: what owners may use at the same time; None: no limit. `lease`: of each attempt,
        in seconds. `requests_room`: bytes of the requests of all
        deliveries that are handled at the same time."""
        self._tasks = tasks
        self._feed = feed
        self._model = model
        self._clock = clock
        self._make_attempt = make_attempt
        self._after_end = after_end
        self._shares = shares
        self._lease = lease
        self._max_concurrent_deliveries = max_concurrent_deliveries
        self._requests_room = requests_room
        self._running = 0
        self._held = 0  # bytes of requests
        self._idle = asyncio.Event()
        self._idle.set()
        self._stop = Stop(asyncio.Event(), asyncio.Event())

    @property
    def stopping(self) -> bool:
        return self._stop.begun.is_set()

    def stop(self) -> None:
        """Begin to stop: return every new delivery to the queue, and requeue every attempt that is
        still running after the grace period. The second call ends that period."""
        if self.stopping:
            self._stop.at_once.set()
        self._stop.begun.set()

    async def drained(self) -> None:
        """Return once no delivery is being handled: at the latest shortly after the grace period
        that began with `stop`."""
        await self._idle.wait()

    async def __call__(self, delivery: Delivery) -> Outcome:
        """Run the task unless it has ended or was deleted, or its owner's share is used up. While
        another attempt has the lease, wait, and claim the task if that lease lapses. A fault of the
        model or the store does not raise: it is part of the outcome."""
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
            if self._shares is None:
                return await self._run(delivery)
            async with self._shares.held(delivery, self._stop.begun) as postponed:
                return await self._run(delivery) if postponed is None else OverShare(postponed)
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

    async def _run(self, delivery: Delivery) -> Outcome:
        """Claim the task and have attempts made until there is an outcome. Raises DeletedTask,
        FeedClosed, StoreUnavailable or Unreadable."""
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
                self._make_attempt.retries.works()
                outcome = await self._make_attempt(claimed, watch, delivery, self._stop)
                if isinstance(outcome, Ack | Reject):
                    return await self._end(claimed.task, outcome)
                if not isinstance(outcome, Superseded):
                    return outcome
            return Retry()

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
            return await claim_task(self._tasks, self._model, delivery, self._lease, now)
        failed = await fail_overdue(self._tasks, delivery.task_id, now)
        return failed if isinstance(failed, Busy) else Ended(failed)
