"""A TaskQueue, a LanguageModel and a TaskLog that trace the ones inside them."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from opentelemetry.trace import SpanKind, StatusCode, Tracer

from application.errors import ModelRefused, ModelUnavailable
from application.ports import (
    Announcement,
    Busy,
    Ended,
    Finished,
    ForwardingTaskLog,
    Guard,
    Item,
    Kept,
    LanguageModel,
    OfferedModel,
    Openings,
    Resumption,
    TaskLog,
    TaskQueue,
    anew,
)
from domain.answer import Answer
from domain.attempt import Attempt
from domain.continuation import Continuation
from domain.request import TaskRequest
from domain.task import Change, Submitted, Task


class TracedQueue(TaskQueue):
    """Makes a span of each publish."""

    def __init__(self, inner: TaskQueue, tracer: Tracer) -> None:
        self._inner = inner
        self._tracer = tracer

    async def enqueue(self, task: Task, request: TaskRequest, occasion: str = "") -> str:
        # The current span, so that the message carries its id.
        with self._tracer.start_as_current_span(
            "queue publish", kind=SpanKind.PRODUCER, attributes={"longtask.task": task.id}
        ) as span:
            message_id = await self._inner.enqueue(task, request, occasion)
            span.set_attribute("messaging.message.id", message_id)
            return message_id

    async def enqueue_guard(self, guard: Guard, delay: float) -> str:
        return await self._inner.enqueue_guard(guard, delay)

    async def enqueue_announcement(self, announcement: Announcement, delay: float = 0.0) -> str:
        with self._tracer.start_as_current_span(
            "queue publish",
            kind=SpanKind.PRODUCER,
            attributes={"longtask.task": announcement.task_id},
        ) as span:
            message_id = await self._inner.enqueue_announcement(announcement, delay)
            span.set_attribute("messaging.message.id", message_id)
            return message_id

    async def withdraw(self, message_id: str) -> bool:
        return await self._inner.withdraw(message_id)

    async def check(self) -> None:
        await self._inner.check()


class TracedModel(LanguageModel):
    """Makes a span of each call, from the request to the last token."""

    def __init__(self, inner: LanguageModel, tracer: Tracer) -> None:
        self._inner = inner
        self._tracer = tracer

    def keeper(self, model: str) -> str | None:
        return self._inner.keeper(model)

    def read_timeout(self, model: str) -> float | None:
        return self._inner.read_timeout(model)

    def goes_on(self, request: TaskRequest, said: Answer) -> bool:
        return self._inner.goes_on(request, said)

    async def stream(
        self, request: TaskRequest, resumption: Resumption | None = None
    ) -> AsyncGenerator[Item, None]:
        asked: dict[str, str | int] = {"gen_ai.request.model": request.model}
        if request.max_tokens is not None:
            asked["gen_ai.request.max_tokens"] = request.max_tokens
        # Never the current one: a generator may end in another context than it began in.
        span = self._tracer.start_span("model stream", kind=SpanKind.CLIENT, attributes=asked)
        begun = False
        try:
            async with aclosing(self._inner.stream(request, resumption)) as items:
                async for item in items:
                    if not begun and item and not isinstance(item, Kept):
                        begun = True
                        span.add_event("first token")
                    if isinstance(item, Finished):
                        span.set_attribute("gen_ai.response.model", item.model)
                        if item.usage is not None:
                            span.set_attribute(
                                "gen_ai.usage.output_tokens", item.usage.completion_tokens
                            )
                            span.set_attribute(
                                "gen_ai.usage.input_tokens", item.usage.prompt_tokens
                            )
                    yield item
        except (ModelUnavailable, ModelRefused) as error:
            span.set_status(StatusCode.ERROR, error.code)
            raise
        finally:
            span.end()

    async def release(self, continuation: Continuation, *, completed: bool) -> None:
        with self._tracer.start_as_current_span("model release", kind=SpanKind.CLIENT):
            await self._inner.release(continuation, completed=completed)

    async def models(self) -> Sequence[OfferedModel]:
        with self._tracer.start_as_current_span("model list", kind=SpanKind.CLIENT):
            return await self._inner.models()


class TracedTaskLog(ForwardingTaskLog):
    """Makes spans of the writes that begin and end something. Appends have none: there may be
    thousands."""

    def __init__(self, inner: TaskLog, tracer: Tracer) -> None:
        super().__init__(inner)
        self._tracer = tracer

    async def create(self, submitted: Submitted) -> Task:
        with self._tracer.start_as_current_span(
            "log create", attributes={"longtask.task": submitted.task.id}
        ):
            return await self._inner.create(submitted)

    async def claim(
        self, task_id: str, lease: float, now: int, opening: Openings = anew
    ) -> Attempt | Busy | Ended:
        with self._tracer.start_as_current_span(
            "log claim", attributes={"longtask.task": task_id}
        ) as span:
            claimed = await self._inner.claim(task_id, lease, now, opening)
            span.set_attribute("longtask.claimed", type(claimed).__name__)
            return claimed

    async def restart(self, attempt: Attempt, change: Change, lease: float) -> Attempt:
        with self._tracer.start_as_current_span(
            "log restart",
            attributes={"longtask.task": attempt.task.id, "longtask.attempt": attempt.number},
        ):
            return await self._inner.restart(attempt, change, lease)

    async def commit(self, attempt: Attempt, change: Change) -> None:
        with self._tracer.start_as_current_span(
            "log commit",
            attributes={
                "longtask.task": attempt.task.id,
                "longtask.attempt": attempt.number,
                "longtask.status": change.task.status.value,
            },
        ):
            await self._inner.commit(attempt, change)
