"""Ends for tasks that no delivery will end: "accepted means done or told".

Two ways lead here. The queue says that its deliveries of a task ran out: then the task is queued
anew while it has attempts left (its deliveries met busy instances, or none at all), else it fails.
Or the queue says nothing any more (it lost the message, or a process died before it published):
then whoever reads the task after long enough settles it.
"""

import asyncio
from contextlib import suppress
from contextvars import Context
from dataclasses import replace

import structlog

from application.errors import StoreUnavailable, UnknownTask
from application.ports import Busy, Clock, Delivery, EventFeed, Orphaned, TaskLog, TaskQueue
from application.task_watch import watching
from domain.errors import IllegalTransition
from domain.task import Failure, Task

log = structlog.get_logger(__name__)

EXHAUSTED = Failure(
    "deliveries_exhausted", "The task could not be finished in all its deliveries.", True
)
ORPHANED = Failure("forgotten", "The queue lost the task before it was finished.", True)
QUEUEING_LIMIT = 24 * 3600
"""Seconds from its start for which a task is queued anew."""


class HandleExhaustedDeliveries:
    def __init__(self, tasks: TaskLog, feed: EventFeed, queue: TaskQueue, clock: Clock) -> None:
        self._tasks = tasks
        self._feed = feed
        self._queue = queue
        self._clock = clock

    async def __call__(self, delivery: Delivery, message_id: str) -> Task:
        """What became of a task whose deliveries of this message ran out. The same call again
        queues it no second time. Before a task is failed a live attempt is waited for (QStash gave
        up waiting, it need not); one that the store lost is made again. Raises StoreUnavailable,
        QueueUnavailable, QueueRefused or FeedClosed."""
        async with watching(self._feed, delivery.task_id) as watch:
            while True:
                try:
                    task = await self._tasks.get(delivery.task_id)
                except UnknownTask:
                    task = await self._tasks.create(delivery.submitted())
                if task.status.terminal:
                    return task
                if self._may_go_on(task, delivery):
                    # If an attempt is alive the new delivery stands by.
                    log.warning("deliveries ran out: queued anew", attempt=task.attempt)
                    queued = await self._queue.enqueue(task, message_id)
                    await self._tasks.note_message(task.id, queued)
                    return replace(task, message_id=queued)
                try:
                    failed = await self._tasks.fail(task.id, EXHAUSTED, self._clock.now())
                except (IllegalTransition, UnknownTask):
                    continue
                if not isinstance(failed, Busy):
                    log.warning("task failed", code=EXHAUSTED.code, attempt=failed.attempt)
                    return failed
                await watch.change(failed.lease_left)

    def _may_go_on(self, task: Task, delivery: Delivery) -> bool:
        age = self._clock.now() - delivery.created_at
        return task.attempt < delivery.max_attempts and age < QUEUEING_LIMIT * 1000


class FailOrphanedTasks:
    def __init__(self, tasks: TaskLog, clock: Clock, orphan_timeout: float) -> None:
        """`orphan_timeout` must be that of the log, in seconds."""
        self._checks: set[asyncio.Task[None]] = set()
        self._tasks = tasks
        self._clock = clock
        self._orphan_timeout = orphan_timeout

    async def __call__(self, task: Task) -> Task:
        """The record of a task that somebody reads, failed if the queue forgot it. Raises
        UnknownTask or StoreUnavailable."""
        if task.status.terminal or not self.suspects(task.updated_at):
            return task
        outcome = await self._tasks.fail_orphaned(task.id, ORPHANED, self._clock.now())
        if isinstance(outcome, Orphaned):
            log.warning("task failed", task_id=task.id, code=ORPHANED.code, attempt=task.attempt)
        return outcome.task

    def suspects(self, active_at: int) -> bool:
        """Whether the store is worth asking: our own clock decides nothing."""
        return self._clock.now() - active_at > self._orphan_timeout * 1000

    def check(self, task_id: str) -> None:
        """Look at a task soon, and fail it if the queue lost it: its readers are told by the
        feed."""
        check = asyncio.create_task(self._check(task_id), context=Context())
        self._checks.add(check)
        check.add_done_callback(self._checks.discard)

    async def _check(self, task_id: str) -> None:
        with suppress(StoreUnavailable, UnknownTask):  # the next reader that waits asks again
            await self(await self._tasks.get(task_id))
