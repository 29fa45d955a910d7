"""GetTask, CancelTask and DeleteTask. A task of another owner counts as unknown."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace

import structlog

from application.after_end import AfterEnd
from application.errors import QueueUnavailable, UnknownTask
from application.ports import Batch, Clock, TaskLog, TaskQueue
from application.reap import FailOrphanedTasks
from application.resume import next_page
from domain.answer import Answer, AnswerBuilder
from domain.errors import IllegalTransition
from domain.events import ContentAdded, Event, ReasoningAdded, add_piece, answer_of, begins_anew
from domain.position import START, Position
from domain.request import TaskRequest
from domain.task import Task

log = structlog.get_logger(__name__)

PAGE = 5_000
"""Events per read of the log."""
WHOLE_LOGS = 2
"""Logs that one process reads at once to answer with the records of their tasks. The last event of
a log holds all the text again, so each may take megabytes until it is read."""


def owned(task: Task, owner: str | None) -> Task:
    """Return the task if it is this owner's, else raise UnknownTask."""
    if task.owner != owner:
        raise UnknownTask(task.id)
    return task


@dataclass(frozen=True, slots=True)
class TaskWithAnswer:
    """A record, its request (None if the store has lost it), and the answer of its last attempt so
    far."""

    task: Task
    request: TaskRequest | None
    answer: Answer


@dataclass(frozen=True, slots=True)
class TaskWithPages(TaskWithAnswer):
    """The same, but `answer` is without its text and reasoning. They come in pieces: a text that
    takes megabytes would stay in memory for as long as a slow client reads it."""

    reasoning: AsyncGenerator[str, None]
    text: AsyncGenerator[str, None]


class GetTask:
    def __init__(self, tasks: TaskLog, clock: Clock, fail_if_orphaned: FailOrphanedTasks) -> None:
        self._tasks = tasks
        self._clock = clock
        self._fail_if_orphaned = fail_if_orphaned
        self._whole_logs = asyncio.Semaphore(WHOLE_LOGS)

    async def record(self, task_id: str, owner: str | None = None) -> Task:
        """Return the record alone. Raises UnknownTask or StoreUnavailable."""
        return await self._fail_if_orphaned(owned(await self._tasks.get(task_id), owner))

    async def with_request(
        self, task_id: str, owner: str | None = None
    ) -> tuple[Task, TaskRequest | None]:
        """Return the record and the request (None if the store has lost it). Raises UnknownTask or
        StoreUnavailable."""
        task = await self.record(task_id, owner)
        return task, await self._tasks.request(task_id)

    async def log(self, task_id: str, position: Position = START) -> AsyncGenerator[Batch, None]:
        """Yield the events behind a position, up to the end of the log as it is now, in batches. If
        the log no longer has the position, they begin with the first event. Raises UnknownTask,
        Unreadable or StoreUnavailable."""
        while True:
            page = await next_page(self._tasks, task_id, position, PAGE, self._clock.now())
            for batch in page.batches:
                yield batch
            position = page.end
            if page.caught_up:
                return

    async def end(self, task_id: str) -> Position:
        """Return the position behind the last event of the log as it is now. Raises UnknownTask,
        Unreadable or StoreUnavailable."""
        length = (await self._tasks.read(task_id, 0, 1)).length
        return (await self._tasks.read(task_id, length, 1)).end

    async def with_answer(
        self, task_id: str, owner: str | None = None
    ) -> TaskWithAnswer | TaskWithPages:
        """Return the record with its request and answer, in pages if the log is longer than one
        page. Raises UnknownTask or StoreUnavailable."""
        # The record first: if it says that the task ended, the log is complete.
        task, request = await self.with_request(task_id, owner)
        async with self._whole_logs:
            return await self._with_answer(task, request)

    async def _with_answer(
        self, task: Task, request: TaskRequest | None
    ) -> TaskWithAnswer | TaskWithPages:
        after, begun = 0, 0
        rest = AnswerBuilder()
        while True:
            page = await self._tasks.read(task.id, after, PAGE)
            if after == 0 and len(page.events) >= page.length:
                return TaskWithAnswer(task, request, answer_of(page.events))
            for number, event in enumerate(page.events, after + 1):
                if begins_anew(event):
                    begun = number
                if not _is_paged(event):
                    add_piece(rest, event)
            after += len(page.events)
            if after >= page.length or not page.events:
                answer = replace(rest.answer(), text="", reasoning="")
                texts = (
                    self._pages(task.id, begun, after, kind)
                    for kind in (ReasoningAdded, ContentAdded)
                )
                return TaskWithPages(task, request, answer, *texts)

    async def _pages(
        self, task_id: str, after: int, until: int, kind: type[ReasoningAdded | ContentAdded]
    ) -> AsyncGenerator[str, None]:
        """Yield the text of events of one kind behind event number `after`, up to event `until`,
        page by page."""
        while after < until:
            events = (await self._tasks.read(task_id, after, min(PAGE, until - after))).events
            after += len(events) or until  # no more events: the log was lost in the meantime
            text = ["".join([event.text for event in events if isinstance(event, kind)])]
            del events  # neither it nor the text is kept while the client is slow
            yield text.pop()


def _is_paged(event: Event) -> bool:
    """Whether all that an event says is in the pages of the text or the reasoning."""
    if isinstance(event, ContentAdded):
        return not event.refusal and not event.annotations
    return isinstance(event, ReasoningAdded)


class CancelTask:
    def __init__(self, tasks: TaskLog, queue: TaskQueue, clock: Clock, after_end: AfterEnd) -> None:
        self._tasks = tasks
        self._queue = queue
        self._clock = clock
        self._after_end = after_end

    async def __call__(self, task_id: str, owner: str | None = None) -> Task:
        """Cancel a task and return its record.

        The feed tells a running attempt, which closes its connection to the model. The message is
        withdrawn from the queue; if the queue cannot be reached, the delivery will find that the
        task has ended. That delivery also does what cannot be done after the end now (AfterEnd), if
        the queue or the upstream does not respond. Raises UnknownTask, IllegalTransition or
        StoreUnavailable.
        """
        with structlog.contextvars.bound_contextvars(task_id=task_id):
            owned(await self._tasks.get(task_id), owner)
            task = await self._tasks.cancel(task_id, self._clock.now())
            log.info("task cancelled", attempt=task.attempt)
            done = await self._after_end(task)
            if done and task.message_id is not None:
                try:
                    await self._queue.withdraw(task.message_id)
                except QueueUnavailable as error:
                    log.warning("message not withdrawn", error=str(error))
            return task


class DeleteTask:
    def __init__(self, tasks: TaskLog, cancel: CancelTask, after_end: AfterEnd) -> None:
        self._tasks = tasks
        self._cancel = cancel
        self._after_end = after_end

    async def __call__(self, task_id: str, owner: str | None = None) -> None:
        """Delete a task with all that it said. One that has not ended is cancelled first, so that
        its readers get the end and a running attempt stops. The tombstone keeps deliveries from
        creating it again. What is missing after its end is tried once more. Raises UnknownTask or
        StoreUnavailable."""
        try:
            await self._cancel(task_id, owner)
        except IllegalTransition:
            await self._after_end(await self._tasks.get(task_id))
        await self._tasks.delete(task_id)
        log.info("task deleted", task_id=task_id)
