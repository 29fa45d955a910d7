"""The summary of a task, as lists and the stream of changes have it, and that stream's events."""

import msgspec

from domain.prices import Prices
from domain.task import Task
from entrypoints.http.native.bodies import (
    CostBody,
    FailureBody,
    UsageBody,
    WebhookBody,
    cost_body,
    failure_body,
    usage_body,
    webhook_body,
)


class TaskSummary(msgspec.Struct, rename="camel", kw_only=True):
    """The record without its request and its answer. Times are milliseconds since the Unix
    epoch."""

    task_id: str
    status: str
    title: str | None
    """How the last message of the user begins. Null: the store has lost the request."""
    attempt: int
    model: str
    """The one that answered, and until then the one that was requested."""
    requested_model: str
    created_at: int
    not_before: int | None
    """Until when its start puts it off. Null: it may begin at once."""
    deadline: int | None
    """When it fails unless it has ended. Null: it has no deadline."""
    updated_at: int
    started_at: int | None
    finished_at: int | None
    next_attempt_at: int | None
    """When the next attempt may begin, as the record says it."""
    finish_reason: str | None
    usage: UsageBody | None
    cost: CostBody | None
    """What the usage cost, as the record says it."""
    error: FailureBody | None
    metadata: dict[str, str]
    retry_of: str | None
    """The task whose request this one starts anew, if it is a retry."""
    valid: bool | None
    """Whether the text fits the schema of the request, as the record says it."""
    webhook: WebhookBody | None
    """What has become of the webhook that its start named. Null: it named none. What becomes of it
    later is no change of the task that the stream of changes tells."""


class TaskListBody(msgspec.Struct):
    tasks: list[TaskSummary]
    """The newest first."""
    next: str | None
    """The cursor to go on behind (`after`). Null: there are no more."""


def summary_of(task: Task, prices: Prices) -> TaskSummary:
    return TaskSummary(
        task_id=task.id,
        status=task.status,
        title=task.title,
        attempt=task.attempt,
        model=task.model or task.requested_model,
        requested_model=task.requested_model,
        created_at=task.created_at,
        not_before=task.not_before,
        deadline=task.deadline,
        updated_at=task.updated_at,
        started_at=task.started_at,
        finished_at=task.finished_at,
        next_attempt_at=task.next_attempt_at,
        finish_reason=task.finish_reason,
        usage=usage_body(task.usage),
        cost=cost_body(task, prices),
        error=failure_body(task.failure),
        metadata=dict(task.metadata),
        retry_of=task.retry_of,
        valid=task.valid,
        webhook=webhook_body(task.webhooks),
    )


class _TaskChange(msgspec.Struct, rename="camel", tag_field="type", kw_only=True):
    timestamp: int
    """Milliseconds since the Unix epoch."""


class WatchConnected(_TaskChange, tag="connected", kw_only=True):
    """Comes first on every connection: its id is where the stream begins. Comes again, without an
    id, after notices were lost: deletions may have been missed."""


class TaskChanged(_TaskChange, tag="task", kw_only=True):
    """The task is as its summary says. It was not told so before on this connection."""

    task_id: str
    task: TaskSummary


class TaskDeleted(_TaskChange, tag="deleted", kw_only=True):
    """The task is gone: it was deleted, or the store has lost it."""

    task_id: str


class WatchReached(_TaskChange, tag="reached", kw_only=True):
    """Nothing has changed but the id to resume with: all before it was told."""


TaskChange = WatchConnected | TaskChanged | TaskDeleted | WatchReached
"""The data of each event of the stream of changes."""
