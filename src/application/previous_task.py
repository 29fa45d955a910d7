"""Continue the conversation of a task: resolve `previousTaskId` when a task starts.

The new task holds the whole conversation, so it depends on no other task once it is accepted.
"""

from dataclasses import replace

from application.errors import PreviousUnusable, UnknownTask
from application.manage_task import owned
from application.ports import TaskLog
from domain.answer import Answer
from domain.events import TaskEnded, TaskStatus
from domain.messages import answer_message
from domain.request import RequestBounds, TaskRequest


async def with_history(
    request: TaskRequest, tasks: TaskLog, owner: str | None, bounds: RequestBounds
) -> TaskRequest:
    """Return the request with the conversation of the task that it continues, if it names one.
    The system text of that task is not part of it. Raises PreviousUnusable, InvalidRequest (the
    result of a tool without its call) or StoreUnavailable."""
    previous_id = request.previous_task_id
    if previous_id is None:
        return request
    try:
        task = owned(await tasks.get(previous_id), owner)
        previous = await tasks.request(previous_id)
        if not task.status.terminal:
            raise PreviousUnusable("previous_not_ended", "The previous task has not ended yet.")
        if task.status is TaskStatus.FAILED:
            raise PreviousUnusable("previous_failed", "The previous task failed.")
        answer = await _answer(tasks, previous_id)
    except UnknownTask:
        raise _unknown() from None
    if previous is None or answer is None:
        raise _unknown()
    message = answer_message(answer, whole=task.status is TaskStatus.COMPLETED)
    history = (*previous.history, *previous.given(), *((message,) if message else ()))
    resolved = replace(request, history=history)
    if resolved.size() > bounds.max_bytes:
        raise PreviousUnusable(
            "previous_too_long",
            f"The conversation with the previous task is longer than {bounds.max_bytes} bytes.",
        )
    resolved.check(bounds)
    return resolved


def _unknown() -> PreviousUnusable:
    return PreviousUnusable("previous_unknown", "There is no such previous task.")


async def _answer(tasks: TaskLog, task_id: str) -> Answer | None:
    """Return the answer of a task that has ended, or None if its log was lost."""
    length = (await tasks.read(task_id, 0, 1)).length
    last = (await tasks.read(task_id, length - 1, 1)).events if length else ()
    return last[0].answer if last and isinstance(last[0], TaskEnded) else None
