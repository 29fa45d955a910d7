"""Reaping: end the tasks that no delivery will end, so that no accepted task stays open.

- The queue reports that all deliveries of a task are exhausted (HandleExhaustedDeliveries). If the
  task has attempts left, since its deliveries met overloaded instances or none, it is enqueued
  again; otherwise it fails.
- A process was ended during attempts, and the next one that opens its store knows that they cannot
  be alive (RequeueInterrupted). The tasks wait for another delivery, or fail after too many such.
- The queue has lost the message, or a process died before it published (FailOrphanedTasks). The
  task fails when it is next read, once it had no heartbeat for the orphan timeout. A task whose
  deadline is over fails in the same way (deadlines.py).
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from contextvars import Context
from dataclasses import replace

import structlog

from application.after_end import AfterEnd
from application.deadlines import fail_overdue
from application.errors import (
    DeletedTask,
    LeaseLost,
    QueueUnavailable,
    StoreUnavailable,
    UnknownTask,
    Unreadable,
)
from application.ports import Busy, Clock, Delivery, EventFeed, Orphaned, TaskLog, TaskQueue
from application.task_watch import watching
from domain.attempt import Attempt
from domain.errors import IllegalTransition
from domain.failure import DEADLINE_EXCEEDED, Failure
from domain.request import TaskRequest
from domain.task import Task

log = structlog.get_logger(__name__)

EXHAUSTED = Failure(
    "deliveries_exhausted", "None of the deliveries of the task could finish it.", True
)
INPUT_LOST = Failure("input_lost", "The store has lost the request of the task.", True)
ORPHANED = Failure("forgotten", "The queue lost the task before it was finished.", True)
QUEUEING_LIMIT = 24 * 3600
"""Seconds after its creation, or after the time before which it was not to begin, during which a
task is enqueued again."""


CLOCK_TOLERANCE = 60.0
"""Seconds by which the clocks of instances may differ."""


class HandleExhaustedDeliveries:
    def __init__(
        self,
        tasks: TaskLog,
        feed: EventFeed,
        queue: TaskQueue,
        clock: Clock,
        after_end: AfterEnd,
    ) -> None:
        self._tasks = tasks
        self._feed = feed
        self._queue = queue
        self._clock = clock
        self._after_end = after_end

    async def __call__(self, delivery: Delivery, message_id: str) -> Task | None:
        """Enqueue or fail a task whose deliveries of this message are exhausted; return its record,
        or None if the task was deleted.

        Idempotent: repeated, the call enqueues the same message. A running attempt may still finish
        the task, though QStash no longer waits for it: the call waits for its end before it fails
        the task. A task that the store has lost is created again. Raises StoreUnavailable,
        QueueUnavailable, QueueRefused or FeedClosed.
        """
        async with watching(self._feed, delivery.task_id) as watch:
            while True:
                try:
                    task = await self._task(delivery)
                except DeletedTask:
                    log.info("task was deleted: failure callback acknowledged")
                    return None
                if task.status.terminal:
                    return await self._followed_up(task)
                try:
                    request = await self._request(delivery)
                except UnknownTask:
                    continue
                if request is not None and self._may_enqueue_again(task, delivery):
                    # If an attempt is running, the new delivery waits for it.
                    log.warning("deliveries exhausted: enqueued again", attempt=task.attempt)
                    queued = await self._queue.enqueue(task, request, message_id)
                    # A task that the store has lost by now is created again by its delivery.
                    with suppress(UnknownTask):
                        await self._tasks.note_message(task.id, queued)
                    return replace(task, message_id=queued)
                failure = INPUT_LOST if request is None else EXHAUSTED
                if task.overdue(self._clock.now()):
                    failure = DEADLINE_EXCEEDED
                try:
                    failed = await self._tasks.fail(task.id, failure, self._clock.now())
                except (IllegalTransition, UnknownTask):
                    continue
                if not isinstance(failed, Busy):
                    log.warning("task failed", code=failure.code, attempt=failed.attempt)
                    return await self._followed_up(failed)
                await watch.change(failed.lease_left)

    async def _followed_up(self, task: Task) -> Task:
        """Return the record of an ended task once nothing is missing after its end."""
        if not await self._after_end(task):
            raise QueueUnavailable("what remains after the end of the task could not be done")
        return task

    async def _task(self, delivery: Delivery) -> Task:
        """Return the record; create it if the store has lost it. Raises DeletedTask."""
        try:
            return await self._tasks.get(delivery.task_id)
        except DeletedTask:
            raise
        except UnknownTask:
            return await self._tasks.create(delivery.submitted())

    async def _request(self, delivery: Delivery) -> TaskRequest | None:
        """Return the request of the delivery, or None if it is lost. Raises UnknownTask."""
        if delivery.request is not None:
            return delivery.request
        request = await self._tasks.request(delivery.task_id)
        return request if delivery.matches(request) else None

    def _may_enqueue_again(self, task: Task, delivery: Delivery) -> bool:
        now = self._clock.now()
        age = now - max(delivery.created_at, delivery.not_before or 0)
        recent = age < QUEUEING_LIMIT * 1000 and not task.overdue(now)
        return recent and task.counted_attempts < delivery.max_attempts


class RequeueInterrupted:
    def __init__(self, tasks: TaskLog, clock: Clock) -> None:
        self._tasks = tasks
        self._clock = clock

    async def __call__(self, task_ids: Sequence[str]) -> None:
        """Requeue these running tasks, whose attempts have ended with their process. That costs no
        attempt, but one that was interrupted too often fails. A task that another version wrote is
        left to it. Raises StoreUnavailable."""
        await asyncio.gather(*map(self._requeue, task_ids))

    async def _requeue(self, task_id: str) -> None:
        try:
            task = await self._tasks.get(task_id)
            kept = task.continuation
            added = kept is not None and kept.advanced_by == task.attempt
            change = task.requeue(self._clock.now(), "restarted", counted=False, added=added)
            await self._tasks.commit(Attempt(task, 0, None), change)
        except (UnknownTask, LeaseLost):  # it has expired, or does not run any more
            return
        except Unreadable as error:
            log.warning("interrupted task unreadable", task_id=task_id, error=str(error))
            return
        log.warning("attempt lost", task_id=task_id, attempt=task.attempt, reason="restarted")
        if (failure := change.task.failure) is not None:
            log.warning("task failed", task_id=task_id, code=failure.code)


class FailOrphanedTasks:
    def __init__(
        self,
        tasks: TaskLog,
        clock: Clock,
        orphan_timeout: float,
        after_end: AfterEnd | None = None,
    ) -> None:
        """`orphan_timeout`: that of the log, in seconds. `after_end`: does what a read finds
        missing."""
        self._checks: set[asyncio.Task[None]] = set()
        self._tasks = tasks
        self._clock = clock
        self._orphan_timeout = orphan_timeout
        self._after_end = after_end

    async def __call__(self, task: Task) -> Task:
        """Fail a task if it is orphaned or its deadline is over; return its record. Of a task that
        has ended, do in the background what is missing. Raises UnknownTask or StoreUnavailable."""
        checked = await self._checked(task)
        if self._after_end is not None and checked.status.terminal:
            self._after_end.later(checked)
        return checked

    async def _checked(self, task: Task) -> Task:
        if task.overdue(now := self._clock.now()):
            failed = await fail_overdue(self._tasks, task.id, now)
            return task if isinstance(failed, Busy) else failed
        if not self._is_suspected(task):
            return task
        outcome = await self._tasks.fail_orphaned(task.id, ORPHANED, self._clock.now())
        if isinstance(outcome, Orphaned):
            log.warning("task failed", task_id=task.id, code=ORPHANED.code, attempt=task.attempt)
        return outcome.task

    async def each(self, tasks: Sequence[Task]) -> Sequence[Task]:
        """Fail those of the tasks that are orphaned or overdue; return the records of all that are
        still there. Raises StoreUnavailable."""
        if not any(map(self._needs_a_check, tasks)):
            return tasks
        checked = await asyncio.gather(*map(self._unless_gone, tasks))
        return [task for task in checked if task is not None]

    async def _unless_gone(self, task: Task) -> Task | None:
        try:
            return await self(task)
        except UnknownTask:
            return None
        except Unreadable:  # another version of this service has written it since
            return task

    def _needs_a_check(self, task: Task) -> bool:
        if self._after_end is not None and task.status.terminal:
            return self._after_end.is_missed(task)
        return self._is_suspected(task)

    def _is_suspected(self, task: Task) -> bool:
        if task.status.terminal:
            return False
        now = self._clock.now()
        # The record is of the future: the clock was set back, and says nothing of the time since.
        set_back = now < task.updated_at - 1000 * CLOCK_TOLERANCE
        return set_back or self.suspects(task.due_at) or task.overdue(now)

    def suspects(self, active_at: int) -> bool:
        """Whether a task that was last active at this time may be orphaned. This only saves calls
        of the store: whether it is orphaned is decided by the store's clock."""
        return self._clock.now() - active_at > self._orphan_timeout * 1000

    def check(self, task_id: str) -> None:
        """Fail a task in the background if it is orphaned. Its readers are told by the feed."""
        check = asyncio.create_task(self._check(task_id), context=Context())
        self._checks.add(check)
        check.add_done_callback(self._checks.discard)

    async def _check(self, task_id: str) -> None:
        with suppress(
            StoreUnavailable, UnknownTask, Unreadable
        ):  # the next check of a reader tries again
            await self(await self._tasks.get(task_id))
