"""Deadlines: a task that has not ended by its deadline fails, whatever it is doing.

- A running attempt watches the deadline, and ends itself (attempt.py).
- A task that waits is failed by whatever meets it: a delivery, the report of exhausted deliveries,
  and each read of its record (reap.py).
- So that it fails without being read, a message of its own is in the queue since its start,
  delayed until the deadline: its guard. EndOverdueTask handles it. A task that ends earlier
  withdraws it; one that comes nevertheless finds that the task has ended. A guard that comes too
  early, since a clock was set back or since no queue holds a message back for so long, is followed
  by another one.

A task with a webhook has a guard too. Without a deadline, it comes when the task may be orphaned
and fails it if it is, else is followed by another one. A guard that finds that a task has ended
does what is missing (after_end.py), so its webhooks go out without the task being read.

Guards follow each other until the task has ended or is gone: also if this service failed to handle
all deliveries of one. Then the queue's failure callback handles it or has another one come.

While an attempt has the lease, only that attempt ends the task. If its worker is frozen or gone,
the lease lapses.
"""

from collections.abc import Awaitable, Callable

import structlog

from application.after_end import AfterEnd
from application.errors import (
    FeedClosed,
    QueueRefused,
    QueueUnavailable,
    StoreUnavailable,
    UnknownTask,
    Unreadable,
)
from application.outcome import Ack, Retry
from application.ports import (
    ORPHAN_TIMEOUT,
    Busy,
    Clock,
    EventFeed,
    Guard,
    TaskLog,
    TaskQueue,
)
from application.task_watch import watching
from domain.errors import IllegalTransition
from domain.failure import DEADLINE_EXCEEDED
from domain.request_times import DEADLINE_LIMIT
from domain.task import Task

log = structlog.get_logger(__name__)

GUARD_MARGIN = 60.0
"""Seconds behind the orphan timeout at which a guard comes, so that it need not come again because
the queue took the task after the guard."""
EARLY = 10.0
"""Seconds by which a guard may be early and wait for the deadline here."""
EXHAUSTED_PAUSE = 900.0
"""Seconds until another guard comes in the place of one that neither its deliveries nor its failure
callback could handle."""


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


def guard_delay(task: Task, orphan_timeout: float, now: int) -> float | None:
    """Return the seconds after which the guard of a new task is to come, or None if it needs
    none. No queue holds a message back for longer than for DEADLINE_LIMIT: a guard that comes early
    is followed by another one."""
    if task.deadline is not None:
        return (task.deadline - now) / 1000
    if not task.webhooks:
        return None
    orphaned = (task.due_at - now) / 1000 + orphan_timeout + GUARD_MARGIN
    return min(orphaned, DEADLINE_LIMIT)


class EndOverdueTask:
    def __init__(
        self,
        tasks: TaskLog,
        feed: EventFeed,
        queue: TaskQueue,
        clock: Clock,
        fail_if_orphaned: Callable[[Task], Awaitable[Task]],
        after_end: AfterEnd,
        orphan_timeout: float = ORPHAN_TIMEOUT,
    ) -> None:
        self._tasks = tasks
        self._feed = feed
        self._queue = queue
        self._clock = clock
        self._fail_if_orphaned = fail_if_orphaned
        self._after_end = after_end
        self._orphan_timeout = orphan_timeout

    async def __call__(self, guard: Guard) -> Ack | Retry:
        """Fail the task of a guard whose deadline is over, or that is orphaned, and do what
        is missing after the end of one that has ended. While an attempt has the lease, wait for its
        end. A task that was deleted, or that the store has lost, is not created again: if its
        message is still in the queue, the delivery ends it."""
        try:
            async with watching(self._feed, guard.task_id) as watch:
                while True:
                    task, now = await self._tasks.get(guard.task_id), self._clock.now()
                    if task.status.terminal:
                        done = await self._after_end(task, guarded=False)
                        return Ack() if done else Retry()
                    if task.deadline is None:
                        if (await self._fail_if_orphaned(task)).status.terminal:
                            continue
                        after = self._orphan_timeout + GUARD_MARGIN
                        await self._queue.enqueue_guard(guard.again(), after)
                        return Ack()
                    if (early := (task.deadline - now) / 1000) > EARLY:
                        await self._queue.enqueue_guard(guard.again(), min(early, DEADLINE_LIMIT))
                        return Ack()
                    if early > 0:
                        await watch.change(early)
                        continue
                    failed = await fail_overdue(self._tasks, task.id, now)
                    if isinstance(failed, Busy):
                        await watch.change(failed.lease_left)
        except UnknownTask:
            log.info("guard of a task that is gone")
            return Ack()
        except FeedClosed:
            return Retry()
        except (QueueUnavailable, QueueRefused) as error:
            log.error("guard not published", error=str(error))
            return Retry()
        except StoreUnavailable as error:
            log.error("store unavailable", error=str(error))
            return Retry()
        except Unreadable as error:
            # By the guard's own pauses, which grow: another version may be away for long.
            log.error("task unreadable", error=str(error))
            return Retry()

    async def exhausted(self, guard: Guard) -> Ack | Retry:
        """Handle a guard whose deliveries are exhausted, as another delivery of it. If that fails
        too, have another guard come."""
        if isinstance(await self(guard), Ack):
            return Ack()
        try:
            await self._queue.enqueue_guard(guard.again(), EXHAUSTED_PAUSE)
        except (QueueUnavailable, QueueRefused) as error:
            log.error("guard not published", error=str(error))
            return Retry()
        return Ack()
