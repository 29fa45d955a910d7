"""Webhooks: whom a task tells of its end, and how that is published.

The message of a webhook, its announcement, is published once the task has ended and before the
delivery that ended it is acknowledged, or the message of a cancelled task withdrawn. A process that
dies in between leaves a task that has ended with a webhook that is not published. Each later
delivery, failure callback, guard and read of the task publishes it (after_end.py); published twice,
it is one message. What becomes of an announcement is told in send_webhook.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import structlog

from application.errors import (
    QueueRefused,
    QueueUnavailable,
    UnknownTask,
)
from application.ports import Announcement, TaskLog, TaskQueue, WebhookSecret
from domain.answer import CUT
from domain.errors import Fault, InvalidRequest
from domain.events import TaskStatus
from domain.request import TaskRequest
from domain.task import Task
from domain.webhook import Published, Webhook

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class WebhookRules:
    """What the operator has set."""

    secrets: Mapping[str | None, Sequence[WebhookSecret]] = field(default_factory=dict)
    """By owner. None: the service's, and that of callers without a name."""
    service_url: str | None = None
    """Who is told of every task."""

    def check(self, request: TaskRequest, owner: str | None) -> None:
        """Raise InvalidRequest for a webhook that could not be signed."""
        if request.webhook_url is not None and not self.secrets.get(owner):
            message = "needs a secret for this caller: LONGTASK_WEBHOOK_SECRETS of the service"
            raise InvalidRequest([Fault("webhook", message)])

    def of(self, request: TaskRequest) -> tuple[Webhook, ...]:
        """Return the webhooks of a new task."""
        own = () if request.webhook_url is None else (Webhook(request.webhook_url),)
        if self.service_url is None:
            return own
        return (*own, Webhook(self.service_url, service=True))

    def secrets_for(self, announcement: Announcement) -> Sequence[WebhookSecret]:
        """Return what its message is signed with: nothing if that is no longer set. What the
        service's own receiver is told is never signed with the secret of an owner, who could make
        it up."""
        return self.secrets.get(None if announcement.service else announcement.owner, ())


NO_WEBHOOKS = WebhookRules()


async def publish_webhooks(tasks: TaskLog, queue: TaskQueue, task: Task) -> bool:
    """Publish the webhooks of a task that has ended, as far as that was not done; return whether
    the queue has had all of them. Raises StoreUnavailable or Unreadable."""
    for number, webhook in enumerate(task.webhooks):
        if webhook.published:
            continue
        try:
            message_id = await queue.enqueue_announcement(announcement_of(task, number))
            await tasks.note_webhook(task.id, number, Published())
        except (QueueUnavailable, QueueRefused) as error:
            log.warning("webhook not published", task_id=task.id, error=str(error))
            return False
        except UnknownTask:  # deleted, or expired: the announcement goes on by itself
            continue
        log.info("webhook published", task_id=task.id, message_id=message_id)
    return True


def announcement_of(task: Task, number: int) -> Announcement:
    """Return the first announcement of a webhook of a task that has ended."""
    webhook = task.webhooks[number]
    finished_at = task.updated_at if task.finished_at is None else task.finished_at
    return Announcement(
        task.id,
        number,
        webhook.url,
        webhook.service,
        task.owner,
        finished_at,
        _event_of(task, webhook.service, finished_at),
    )


def _event_of(task: Task, service: bool, finished_at: int) -> dict[str, Any]:
    """Return what the receiver is told, in the form of OpenAI's webhooks."""
    data: dict[str, Any] = {
        "id": f"resp_{task.id}",
        "taskId": task.id,
        "status": task.status.value,
        "metadata": dict(task.metadata),
    }
    if task.failure is not None:
        data["error"] = {"code": task.failure.code, "message": task.failure.message}
    kind = task.status.value
    if task.status is TaskStatus.COMPLETED and (task.finish_reason or "").lower() in CUT:
        kind = "incomplete"
    return {
        "id": f"evt_{task.id}_service" if service else f"evt_{task.id}",
        "object": "event",
        "created_at": finished_at // 1000,
        "type": f"response.{kind}",
        "data": data,
    }
