"""What the routes return: JSON in camelCase. What they take is in start_body.py."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import msgspec

from application.manage_task import TaskWithAnswer
from domain.events import Usage
from domain.failure import Failure
from domain.prices import Prices
from domain.task import Task
from domain.webhook import Webhook
from entrypoints.http.native.start_body import RequestBody


class StartedBody(msgspec.Struct, rename="camel", omit_defaults=True):
    success: bool
    task_id: str
    message_id: str | None
    message: str
    status: str
    stream_url: str
    retry_of: str | None = None
    """The task that was retried. Only in the response to a retry."""
    not_before: int | None = None
    """When a task that is delayed may begin, in milliseconds since the Unix epoch."""
    deadline: int | None = None
    """When it fails unless it has ended, in the same way. Only if the start says."""


class StatusBody(msgspec.Struct, rename="camel"):
    task_id: str
    status: str
    error: str | None


class UsageBody(msgspec.Struct, rename="camel"):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    reasoning_tokens: int | None
    cached_tokens: int | None
    estimated: bool
    """Whether the model told no numbers: these follow from the numbers of characters."""


class CostBody(msgspec.Struct):
    """What the tokens of `usage` cost, by the service's table of prices as it now is."""

    amount: float
    currency: str
    """Three letters, such as `USD`."""
    estimated: bool
    """Whether the numbers of tokens are estimates."""


class ToolCallBody(msgspec.Struct):
    index: int
    id: str
    name: str
    arguments: str
    """JSON, as the model wrote it."""


class WebhookBody(msgspec.Struct, rename="camel"):
    url: str
    status: str
    """`pending`, `delivered` or `failed`: no call got a 2xx within 72 hours, or,
    after 0 attempts, none could be made."""
    attempts: int
    """How often it was called."""
    last_status: int | None
    """The HTTP status of the last response. Null: the last call got none."""


class FailureBody(msgspec.Struct):
    code: str
    message: str
    retryable: bool


class TaskBody(msgspec.Struct, rename="camel", kw_only=True):
    """The whole record. Times are milliseconds since the Unix epoch."""

    task_id: str
    status: str
    attempt: int
    request: RequestBody | None
    """Null: the store has lost it."""
    retry_of: str | None
    """The task whose request this one starts anew, if it is a retry."""
    created_at: int
    not_before: int | None
    """Until when the start of the task puts it off. Null: it may begin at once."""
    deadline: int | None
    """When the task fails unless it has ended. Null: it has no deadline."""
    updated_at: int
    started_at: int | None
    finished_at: int | None
    next_attempt_at: int | None
    """When the next attempt may begin, while the task waits for it after a lost one. Null: it does
    not, or that is not known."""
    message_id: str | None
    model: str | None
    finish_reason: str | None
    usage: UsageBody | None
    cost: CostBody | None
    """Null: `usage` or the price of the model is not known."""
    error: FailureBody | None
    webhook: WebhookBody | None
    """What has become of the webhook that the start named. Null: it named none."""
    stream_url: str
    """Path and query of the stream. Where API keys are needed, it holds a token in place of one."""
    valid: bool | None
    """Whether the text parses and fits the schema that the request gave. Null: no schema was given,
    the answer is not whole, or it could not be checked."""
    tool_calls: list[ToolCallBody]
    refusal: str
    """The part of the text with which the model refuses."""
    annotations: list[dict[str, Any]]
    """What the model's server notes about the text, in its own form."""
    items: list[dict[str, Any]]
    """Output items of the server's Responses API that stand in no other field, such as what its
    hosted tools did."""
    reasoning: str
    text: str


def usage_body(usage: Usage | None) -> UsageBody | None:
    return None if usage is None else UsageBody(**asdict(usage))


def cost_body(task: Task, prices: Prices) -> CostBody | None:
    cost = prices.cost(task.model or task.requested_model, task.usage)
    return None if cost is None else CostBody(float(cost.amount), cost.currency, cost.estimated)


def failure_body(failure: Failure | None) -> FailureBody | None:
    return None if failure is None else FailureBody(**asdict(failure))


def webhook_body(webhooks: Sequence[Webhook]) -> WebhookBody | None:
    """Return the task's own; the service's is none of its client's business."""
    for each in webhooks:
        if not each.service:
            return WebhookBody(each.url, each.status, each.attempts, each.last_status)
    return None


def task_body(found: TaskWithAnswer, stream_url: str, prices: Prices) -> TaskBody:
    task, answer = found.task, found.answer
    return TaskBody(
        task_id=task.id,
        status=task.status,
        attempt=task.attempt,
        request=None if found.request is None else RequestBody.of(found.request),
        retry_of=task.retry_of,
        created_at=task.created_at,
        not_before=task.not_before,
        deadline=task.deadline,
        updated_at=task.updated_at,
        started_at=task.started_at,
        finished_at=task.finished_at,
        next_attempt_at=task.next_attempt_at,
        message_id=task.message_id,
        model=task.model,
        finish_reason=task.finish_reason,
        usage=usage_body(task.usage),
        cost=cost_body(task, prices),
        error=failure_body(task.failure),
        webhook=webhook_body(task.webhooks),
        stream_url=stream_url,
        valid=task.valid,
        tool_calls=[ToolCallBody(**asdict(call)) for call in answer.tool_calls],
        refusal=answer.refusal,
        annotations=[dict(each) for each in answer.annotations],
        items=[dict(each) for each in answer.items],
        reasoning=answer.reasoning,
        text=answer.text,
    )
