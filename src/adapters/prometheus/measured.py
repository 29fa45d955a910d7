"""A TaskLog, a LanguageModel and a WebhookSender that measure the ones inside them."""

import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from adapters.prometheus.metrics import Metrics
from application.errors import (
    ModelRefused,
    ModelUnavailable,
    TooManyWebhooks,
    UnknownTask,
    WebhookError,
    WebhookRefused,
)
from application.ports import (
    Busy,
    Ended,
    EndObservingTaskLog,
    Finished,
    Item,
    Kept,
    LanguageModel,
    OfferedModel,
    Openings,
    Resumption,
    TaskLog,
    WebhookMessage,
    WebhookSecret,
    WebhookSender,
    anew,
)
from domain.answer import Answer
from domain.attempt import Attempt
from domain.continuation import Continuation
from domain.events import Event, StatusChanged, TaskStatus
from domain.request import TaskRequest
from domain.task import Change, Task
from domain.webhook import GivenUp, Note


class MeasuredTaskLog(EndObservingTaskLog):
    """Measures claims and appends, and counts what ends tasks and attempts."""

    def __init__(self, inner: TaskLog, metrics: Metrics) -> None:
        super().__init__(inner)
        self._metrics = metrics

    async def claim(
        self, task_id: str, lease: float, now: int, opening: Openings = anew
    ) -> Attempt | Busy | Ended:
        claimed = await self._inner.claim(task_id, lease, now, opening)
        if isinstance(claimed, Attempt):
            self._metrics.attempts.inc()
            if claimed.number == 1:
                task = claimed.task
                waited = (now - max(task.created_at, task.not_before or 0)) / 1000
                self._metrics.queue_seconds.observe(max(0.0, waited))
        return claimed

    async def append(
        self, attempt: Attempt, events: Sequence[Event], lease: float, cursor: int | None = None
    ) -> Attempt:
        began = time.perf_counter()
        appended = await self._inner.append(attempt, events, lease, cursor)
        self._metrics.append_seconds.observe(time.perf_counter() - began)
        return appended

    async def commit(self, attempt: Attempt, change: Change) -> None:
        await super().commit(attempt, change)
        if not change.task.status.terminal:
            self._lost(change)

    async def restart(self, attempt: Attempt, change: Change, lease: float) -> Attempt:
        begun = await self._inner.restart(attempt, change, lease)
        self._lost(change)
        self._metrics.attempts.inc()
        return begun

    async def note_webhook(self, task_id: str, number: int, note: Note) -> None:
        try:
            await self._inner.note_webhook(task_id, number, note)
        except UnknownTask:
            self._count_given_up(note)  # a receiver may be called for longer than a task is kept
            raise
        self._count_given_up(note)

    def _count_given_up(self, note: Note) -> None:
        if isinstance(note, GivenUp):
            self._metrics.webhooks_given_up.inc()

    def _lost(self, change: Change) -> None:
        reason = next((e.reason for e in change.events if isinstance(e, StatusChanged)), None)
        self._metrics.attempts_lost.labels(reason or "unknown").inc()

    async def _ended(self, task: Task) -> None:
        self._metrics.tasks.labels(task.status.value).inc()
        if task.failure is not None and task.failure.code == "budget_exceeded":
            self._metrics.tasks_over_budget.inc()
        name, answered = task.model or task.requested_model, task.status is TaskStatus.COMPLETED
        model = self._metrics.models.label(name, answered=answered)
        self._metrics.model_tasks.labels(model, task.status.value).inc()


class MeasuredModel(LanguageModel):
    """Measures the time to the first token and the tokens per second, and counts failed calls."""

    def __init__(self, inner: LanguageModel, metrics: Metrics) -> None:
        self._inner = inner
        self._metrics = metrics

    def keeper(self, model: str) -> str | None:
        return self._inner.keeper(model)

    def read_timeout(self, model: str) -> float | None:
        return self._inner.read_timeout(model)

    def goes_on(self, request: TaskRequest, said: Answer) -> bool:
        return self._inner.goes_on(request, said)

    async def stream(
        self, request: TaskRequest, resumption: Resumption | None = None
    ) -> AsyncGenerator[Item, None]:
        began = time.perf_counter()
        first = 0.0
        try:
            async with aclosing(self._inner.stream(request, resumption)) as items:
                async for item in items:
                    if not first and item and not isinstance(item, Kept):
                        first = time.perf_counter()
                        self._metrics.first_token_seconds.observe(first - began)
                    if isinstance(item, Finished):
                        self._finished(item, time.perf_counter() - first)
                    yield item
        except (ModelUnavailable, ModelRefused) as error:
            self._metrics.model_errors.labels(error.code).inc()
            raise

    async def release(self, continuation: Continuation, *, completed: bool) -> None:
        await self._inner.release(continuation, completed=completed)

    async def models(self) -> Sequence[OfferedModel]:
        return await self._inner.models()

    def _finished(self, finished: Finished, seconds: float) -> None:
        if finished.usage is not None and seconds > 0 and finished.usage.completion_tokens > 1:
            self._metrics.tokens_per_second.observe(finished.usage.completion_tokens / seconds)


_OUTCOMES = {WebhookRefused: "not_allowed", TooManyWebhooks: "no_room"}


class MeasuredSender(WebhookSender):
    """Counts what came of each call of a receiver: `delivered`, `refused` (by the receiver),
    `unreachable`, `not_allowed` (by this service), or `no_room`: it was not called then."""

    def __init__(self, inner: WebhookSender, metrics: Metrics) -> None:
        self._inner = inner
        self._metrics = metrics

    async def send(
        self,
        url: str,
        message: WebhookMessage,
        secrets: Sequence[WebhookSecret],
        owner: str | None = None,
    ) -> int:
        try:
            status = await self._inner.send(url, message, secrets, owner)
        except WebhookError as error:
            outcome = _OUTCOMES.get(type(error), "unreachable")
            self._metrics.webhooks.labels(outcome).inc()
            raise
        self._metrics.webhooks.labels("delivered" if 200 <= status < 300 else "refused").inc()
        return status
