"""TaskLogs that forward every call to another one: the bases of decorators that add something to a
few of its methods."""

from collections.abc import Coroutine, Sequence
from typing import Any

from application.ports.log_pages import Page
from application.ports.task_log import (
    Busy,
    Ended,
    NotOrphaned,
    Openings,
    Orphaned,
    TaskLog,
    anew,
)
from domain.attempt import Attempt
from domain.events import Event
from domain.failure import Failure
from domain.request import TaskRequest
from domain.task import Change, Submitted, Task
from domain.webhook import Note


class ForwardingTaskLog(TaskLog):
    """Returns what the inner log returns and raises what it raises. A method returns the inner
    log's coroutine instead of awaiting it: so forwarding costs one function call."""

    def __init__(self, inner: TaskLog) -> None:
        self._inner = inner

    def create(self, submitted: Submitted) -> Coroutine[Any, Any, Task]:
        return self._inner.create(submitted)

    def note_message(self, task_id: str, message_id: str) -> Coroutine[Any, Any, None]:
        return self._inner.note_message(task_id, message_id)

    def get(self, task_id: str) -> Coroutine[Any, Any, Task]:
        return self._inner.get(task_id)

    def request(self, task_id: str) -> Coroutine[Any, Any, TaskRequest | None]:
        return self._inner.request(task_id)

    def claim(
        self, task_id: str, lease: float, now: int, opening: Openings = anew
    ) -> Coroutine[Any, Any, Attempt | Busy | Ended]:
        return self._inner.claim(task_id, lease, now, opening)

    def append(
        self, attempt: Attempt, events: Sequence[Event], lease: float, cursor: int | None = None
    ) -> Coroutine[Any, Any, Attempt]:
        return self._inner.append(attempt, events, lease, cursor)

    def note_response(self, attempt: Attempt, response_id: str) -> Coroutine[Any, Any, Attempt]:
        return self._inner.note_response(attempt, response_id)

    def restart(
        self, attempt: Attempt, change: Change, lease: float
    ) -> Coroutine[Any, Any, Attempt]:
        return self._inner.restart(attempt, change, lease)

    def renew(self, attempt: Attempt, lease: float) -> Coroutine[Any, Any, None]:
        return self._inner.renew(attempt, lease)

    def commit(self, attempt: Attempt, change: Change) -> Coroutine[Any, Any, None]:
        return self._inner.commit(attempt, change)

    def cancel(self, task_id: str, now: int) -> Coroutine[Any, Any, Task]:
        return self._inner.cancel(task_id, now)

    def fail(self, task_id: str, failure: Failure, now: int) -> Coroutine[Any, Any, Task | Busy]:
        return self._inner.fail(task_id, failure, now)

    def fail_unqueued(
        self, task_id: str, failure: Failure, now: int
    ) -> Coroutine[Any, Any, Task | None]:
        return self._inner.fail_unqueued(task_id, failure, now)

    def fail_orphaned(
        self, task_id: str, failure: Failure, now: int
    ) -> Coroutine[Any, Any, Orphaned | NotOrphaned]:
        return self._inner.fail_orphaned(task_id, failure, now)

    def note_webhook(self, task_id: str, number: int, note: Note) -> Coroutine[Any, Any, None]:
        return self._inner.note_webhook(task_id, number, note)

    def note_released(self, task_id: str) -> Coroutine[Any, Any, None]:
        return self._inner.note_released(task_id)

    def delete(self, task_id: str) -> Coroutine[Any, Any, None]:
        return self._inner.delete(task_id)

    def read(self, task_id: str, after: int, limit: int) -> Coroutine[Any, Any, Page]:
        return self._inner.read(task_id, after, limit)

    def check(self) -> Coroutine[Any, Any, None]:
        return self._inner.check()


class EndObservingTaskLog(ForwardingTaskLog):
    """Is told of each task that a write of this process has ended. A task ends by one of these five
    calls, whichever use case makes it."""

    async def commit(self, attempt: Attempt, change: Change) -> None:
        await self._inner.commit(attempt, change)
        if change.task.status.terminal:
            await self._ended(change.task)

    async def cancel(self, task_id: str, now: int) -> Task:
        task = await self._inner.cancel(task_id, now)
        await self._ended(task)
        return task

    async def fail(self, task_id: str, failure: Failure, now: int) -> Task | Busy:
        failed = await self._inner.fail(task_id, failure, now)
        if isinstance(failed, Task):
            await self._ended(failed)
        return failed

    async def fail_unqueued(self, task_id: str, failure: Failure, now: int) -> Task | None:
        failed = await self._inner.fail_unqueued(task_id, failure, now)
        if failed is not None:
            await self._ended(failed)
        return failed

    async def fail_orphaned(
        self, task_id: str, failure: Failure, now: int
    ) -> Orphaned | NotOrphaned:
        outcome = await self._inner.fail_orphaned(task_id, failure, now)
        if isinstance(outcome, Orphaned):
            await self._ended(outcome.task)
        return outcome

    async def _ended(self, task: Task) -> None:
        raise NotImplementedError
