"""Resume a log at a position, also if the log no longer has it.

The position of a reader names events that the reader has seen. If the log lost them, or has other
events there, the reader starts over from the first event. If the store has lost the whole log of a
task that has ended (a Redis that evicts keys), an error says so and is the last event.
"""

import structlog

from application.ports import Batch, Page, TaskLog
from domain.events import TaskErrored
from domain.position import START, Position

log = structlog.get_logger(__name__)

LOST = Position("lost", 1)
"""The position of the error that says that the log is lost: a reader that resumes here has seen
everything. No log has an epoch of this name."""


async def has_seen_all(tasks: TaskLog, task_id: str, position: Position) -> bool:
    """Return whether a reader at `position` has seen the last event of a task that has ended.
    Raises UnknownTask, Unreadable or StoreUnavailable."""
    if position.offset == 0:
        return False
    page = await tasks.read(task_id, position.offset - 1, 2)
    if page.length == 0:
        return position == LOST
    return page.caught_up and page.end == position and page.batches[-1].closes


async def next_page(tasks: TaskLog, task_id: str, position: Position, limit: int, now: int) -> Page:
    """Return at most `limit` events behind `position`, or from the first event if the log does not
    have this position. Raises UnknownTask, Unreadable or StoreUnavailable."""
    page = await _page(tasks, task_id, position, limit)
    if page.length == 0 and (await tasks.get(task_id)).status.terminal:
        page = await _page(tasks, task_id, position, limit)  # the end may have been written since
        if page.length == 0:
            log.error("log lost", task_id=task_id)
            return _lost_log(now)
    return page


async def _page(tasks: TaskLog, task_id: str, position: Position, limit: int) -> Page:
    page = await tasks.read(task_id, position.offset, limit)
    if page.after != position and position.offset > 0:
        page = await tasks.read(task_id, 0, limit)
    return page


def _lost_log(now: int) -> Page:
    message = "The events of this task were lost. Its record can still be read."
    error = TaskErrored(now, message, "log_lost", True)
    return Page(LOST.offset, START, (Batch(START, LOST.epoch, (error,)),))
