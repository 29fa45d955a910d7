"""Deadlines: a task that has not ended by its deadline fails, whatever it is doing.

- A running attempt watches the deadline, and ends itself (attempt.py).
- A task that waits is failed by whatever meets it: a delivery, the report of exhausted deliveries,
  and each read of its record (reap.py).
- So that it fails though nobody reads it, a message of its own is in the queue since its start,
  delayed until the deadline: its guard. EndOverdueTask handles it. A task that ends earlier
  withdraws it; one that comes nevertheless finds that the task has ended.

While an attempt has the lease, only that attempt ends the task. If its worker is frozen or gone,
the lease lapses.
"""

import structlog

from application.errors import (
    FeedClosed,
    QueueUnavailable,
    StoreUnavailable,
    UnknownTask,
    Unreadable,
)
from application.outcome import UNREADABLE_RETRY_AFTER, Ack, Retry
from application.ports import Busy, Clock, EventFeed, Guard, TaskLog, TaskQueue
from application.task_watch import watching
from domain.errors import IllegalTransition
from domain.failure import DEADLINE_EXCEEDED
from domain.task import Task

log = structlog.get_logger(__name__)

EARLY = 10.0
"""Seconds by which a guard may be early and wait for the deadline here."""


async def fail_overdue(tasks: TaskLog, task_id: str, now: int) -> Task | Busy:
    """Fail a task whose deadline is over, unless it has ended; return its record. Return Busy if
    its attempt has the lease. Raises UnknownTask, Unreadable or StoreUnavailable."""
    try:
        failed = await tasks.fail(task_id, DEADLINE_EXCEEDED, now)
    except IllegalTransition:
        return await tasks.get(task_id)
    if isinstance(failed, Task):
        log.warning("task failed", task_id=task_id, code=DEADLINE_EXCEEDED.code)
    return failed


async def withdraw_guard(queue: TaskQueue, task: Task, now: int) -> None:
    """Withdraw the guard of a task that has ended. If the queue cannot be reached, or the deadline
    is over, it will find that the task has ended."""
    if task.guard_id is None or now >= (task.deadline or 0):
        return
    try:
        await queue.withdraw(task.guard_id)
    except QueueUnavailable as error:
        log.warning("guard not withdrawn", task_id=task.id, error=str(error))


class EndOverdueTask:
    def __init__(self, tasks: TaskLog, feed: EventFeed, clock: Clock) -> None:
        self._tasks = tasks
        self._feed = feed
        self._clock = clock

    async def __call__(self, guard: Guard) -> Ack | Retry:
        """Fail the task of a guard whose deadline is over. While an attempt has the lease, wait for
        its end. A task that was deleted, or that the store has lost, is not created again: if its
        message is still in the queue, the delivery ends it."""
        try:
            async with watching(self._feed, guard.task_id) as watch:
                while True:
                    task, now = await self._tasks.get(guard.task_id), self._clock.now()
                    if task.status.terminal or task.deadline is None:
                        return Ack()
                    if (early := (task.deadline - now) / 1000) > EARLY:
                        return Retry(early)
                    if early > 0:
                        await watch.change(early)
                        continue
                    failed = await fail_overdue(self._tasks, task.id, now)
                    if not isinstance(failed, Busy):
                        return Ack()
                    await watch.change(failed.lease_left)
        except UnknownTask:
            log.info("guard of a task that is gone")
            return Ack()
        except FeedClosed:
            return Retry()
        except StoreUnavailable as error:
            log.error("store unavailable", error=str(error))
            return Retry()
        except Unreadable as error:
            log.error("task unreadable", error=str(error))
            return Retry(UNREADABLE_RETRY_AFTER)
