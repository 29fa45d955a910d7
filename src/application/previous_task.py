"""Continue the conversation of a task: resolve `previousTaskId` when a task starts.

The new task holds the whole conversation, so it depends on no other task once it is accepted.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from itertools import islice

from application.errors import PreviousUnusable, UnknownTask
from application.manage_task import owned
from application.ports import TaskLog
from domain.errors import InvalidRequest, MalformedTaskId
from domain.events import TaskEnded, TaskStatus
from domain.messages import MESSAGES_LIMIT, Message, answer_message, tool_faults
from domain.request import FAULTS_LIMIT, RequestBounds, TaskRequest
from domain.task_id import check_task_id

LONG_AT_ONCE = 8
"""Starts of a process that may hold a long conversation at the same time."""
SHORT = 16 * 1024
"""Bytes of a conversation that is not worth counting."""


class PreviousTasks:
    def __init__(self, tasks: TaskLog, bounds: RequestBounds) -> None:
        """`bounds`: of a request together with the conversation that it continues."""
        self._tasks = tasks
        self._bounds = bounds
        self._long = asyncio.Semaphore(LONG_AT_ONCE)

    @asynccontextmanager
    async def continued(
        self, request: TaskRequest, owner: str | None
    ) -> AsyncGenerator[TaskRequest, None]:
        """Yield the request with the conversation of the task that it continues, if it names one
        and does not hold the conversation already, as a stored request does. The system text of
        that task is not part of it. Few long conversations are held at once,
        each for as long as the context is open; others wait for their turn.

        Raises PreviousUnusable, InvalidRequest (the result of a tool without its call),
        UnreadableTask or StoreUnavailable.
        """
        if request.previous_task_id is None or request.history:
            yield request
            return
        async with AsyncExitStack() as held:
            await held.enter_async_context(self._long)
            history = await self._conversation(request.previous_task_id, owner)
            resolved = replace(request, history=history)
            size = self._check(resolved)
            if size <= SHORT:
                await held.aclose()
            yield resolved

    async def _conversation(self, task_id: str, owner: str | None) -> tuple[Message, ...]:
        """Return the messages of a task, the answer included."""
        try:
            task = owned(await self._tasks.get(check_task_id(task_id)), owner)
            if not task.status.terminal:
                raise PreviousUnusable("previous_not_ended", "The previous task has not ended yet.")
            if task.status is TaskStatus.FAILED:
                raise PreviousUnusable("previous_failed", "The previous task failed.")
            request = await self._tasks.request(task_id)
            end = await self._end(task_id)
        except (UnknownTask, MalformedTaskId):
            raise PreviousUnusable("previous_unknown", "There is no such previous task.") from None
        if request is None or end is None:
            raise PreviousUnusable(
                "previous_unknown", "The store has lost the conversation of the previous task."
            )
        answer = answer_message(end.answer, end.finish_reason)
        return (*request.history, *request.given(), *((answer,) if answer else ()))

    async def _end(self, task_id: str) -> TaskEnded | None:
        """Return the last event of a task that has ended, or None if its log was lost."""
        length = (await self._tasks.read(task_id, 0, 1)).length
        last = (await self._tasks.read(task_id, length - 1, 1)).events if length else ()
        return last[0] if last and isinstance(last[0], TaskEnded) else None

    def _check(self, resolved: TaskRequest) -> int:
        """Check what can be checked only with the conversation. Returns the size in bytes."""
        size, messages = resolved.size(), len(resolved.conversation())
        if size > self._bounds.max_bytes or messages > MESSAGES_LIMIT:
            raise PreviousUnusable(
                "previous_too_long",
                "The conversation with the previous task is longer than "
                f"{self._bounds.max_bytes} bytes or {MESSAGES_LIMIT} messages.",
            )
        faults = tool_faults(resolved.history, resolved.messages)
        if found := list(islice(faults, FAULTS_LIMIT)):
            raise InvalidRequest(found)
        return size
