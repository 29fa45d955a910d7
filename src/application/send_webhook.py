"""SendWebhook: handle one delivery of an announcement, call the receiver, and note what came of it.

A receiver that fails is called again after the pauses of PAUSES, until GIVING_UP seconds after the
end of the task. Each call is an announcement of its own, which the queue delays: so each costs one
message of QStash, however many deliveries its plan allows.

QStash's own retries are for faults of this service, and for want of room. Once they are spent, its
failure callback goes on: with the next call if this one was made, else with this one after a pause
of UNCALLED_PAUSES. So does a delivery that finds no secret set. So a receiver loses none of its
calls to what is no fault of its own.

The receiver gets the same id each time. After a 2xx that was noted it is not called again.
"""

import json
from collections.abc import Sequence
from random import SystemRandom

import structlog

from application.errors import (
    DeletedTask,
    ExpiredTask,
    QueueRefused,
    QueueUnavailable,
    StoreUnavailable,
    TooManyWebhooks,
    UnknownTask,
    Unreadable,
    WebhookError,
)
from application.outcome import UNREADABLE_RETRY_AFTER, Ack, Overloaded, Retry
from application.ports import (
    Announcement,
    Clock,
    TaskLog,
    TaskQueue,
    WebhookMessage,
    WebhookSecret,
    WebhookSender,
)
from application.webhooks import WebhookRules
from domain.webhook import GivenUp, Note, Tried, Webhook

log = structlog.get_logger(__name__)

PAUSES = (5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000)
"""Seconds before each further call of a receiver; the last one again and again."""
UNCALLED_PAUSES = PAUSES[:4]
"""Seconds before a call that could not be made is tried again; the last one again and again."""
GIVING_UP = 72 * 3600
"""Seconds after the end of its task for which a receiver is called."""
BUSY_RETRY_AFTER = 5.0, 60.0
"""Seconds, at least and at most, until an announcement that found this process full comes again.
The time is random. Many tasks may end together: if their announcements came again together, only a
few would find room, and the others would use up their deliveries."""


class SendWebhook:
    def __init__(
        self,
        tasks: TaskLog,
        queue: TaskQueue,
        sender: WebhookSender,
        clock: Clock,
        rules: WebhookRules,
    ) -> None:
        self._tasks = tasks
        self._queue = queue
        self._sender = sender
        self._clock = clock
        self._rules = rules

    async def __call__(self, announcement: Announcement) -> Ack | Retry | Overloaded:
        """Call the receiver, unless that is settled or the task was deleted. A fault of the
        receiver, the store or the queue does not raise: it is part of the outcome."""
        try:
            webhook = await self._due(announcement)
            if webhook is None:
                return Ack()
            if not (secrets := self._rules.secrets_for(announcement)):
                log.error("webhook not sent: its secret is not set any more")
            elif webhook.attempts <= announcement.calls:
                tried = Tried(await self._send(announcement, secrets))
                await self._note(announcement, tried)
                webhook = webhook.noted(tried)
            if not webhook.settled:
                await self._go_on(announcement, webhook)
            return Ack()
        except TooManyWebhooks:
            return Overloaded(SystemRandom().uniform(*BUSY_RETRY_AFTER))
        except (StoreUnavailable, QueueUnavailable, QueueRefused) as error:
            log.error("webhook not settled", error=str(error))
            return Retry()
        except Unreadable as error:
            log.error("task unreadable", error=str(error))
            return Retry(UNREADABLE_RETRY_AFTER)

    async def exhausted(self, announcement: Announcement) -> Ack | Retry:
        """Go on behind an announcement that no delivery has settled: also while the store fails,
        since it may go on to fail for longer than the queue asks again. Idempotent."""
        try:
            webhook = await self._due(announcement)
        except (StoreUnavailable, Unreadable) as error:
            log.error("webhook queued again unread", error=str(error))
            webhook = _alone(announcement)
        if webhook is None:
            return Ack()
        try:
            await self._go_on(announcement, webhook)
        except (StoreUnavailable, Unreadable, QueueUnavailable, QueueRefused) as error:
            log.error("webhook not settled", error=str(error))
            return Retry()
        return Ack()

    async def _due(self, announcement: Announcement) -> Webhook | None:
        """Return what is known of the webhook, or None if its receiver is not to be called any
        more. It is if the task has only expired: then the announcement goes on by itself."""
        try:
            task = await self._tasks.get(announcement.task_id)
        except UnknownTask as error:
            deleted = isinstance(error, DeletedTask) and not isinstance(error, ExpiredTask)
            return None if deleted else _alone(announcement)
        webhook = next(iter(task.webhooks[announcement.number :]), _alone(announcement))
        return None if webhook.settled else webhook

    async def _send(
        self, announcement: Announcement, secrets: Sequence[WebhookSecret]
    ) -> int | None:
        """Return the status of the response, or None if there was none. Raises TooManyWebhooks."""
        told = {"task_id": announcement.task_id, "round": announcement.round}
        body = json.dumps(announcement.event, separators=(",", ":")).encode()
        message = WebhookMessage(announcement.event["id"], self._clock.now() // 1000, body)
        named_by = None if announcement.service else announcement.owner
        try:
            status = await self._sender.send(announcement.url, message, secrets, named_by)
        except TooManyWebhooks:
            raise
        except WebhookError as error:
            log.warning("webhook failed", reason=error.reason, **told)
            return None
        log.info("webhook sent", status=status, **told)
        return status

    async def _note(self, announcement: Announcement, note: Note) -> None:
        try:
            await self._tasks.note_webhook(announcement.task_id, announcement.number, note)
        except UnknownTask:  # expired, or deleted meanwhile
            return

    async def _go_on(self, announcement: Announcement, webhook: Webhook) -> None:
        """Queue the next announcement, or give up."""
        told = {"task_id": announcement.task_id, "round": announcement.round}
        left = announcement.finished_at / 1000 + GIVING_UP - self._clock.now() / 1000
        if left <= 0:
            log.warning("webhook given up", calls=webhook.attempts, **told)
            await self._note(announcement, GivenUp())
            return
        if webhook.attempts > announcement.calls:
            following = announcement.next_round(webhook.attempts)
            pause: float = PAUSES[min(announcement.round, len(PAUSES) - 1)]
        else:
            following = announcement.once_more()
            pause = UNCALLED_PAUSES[min(announcement.uncalled, len(UNCALLED_PAUSES) - 1)]
        pause = min(pause, left)
        log.info("webhook queued again", pause=pause, uncalled=following.uncalled, **told)
        await self._queue.enqueue_announcement(following, pause)


def _alone(announcement: Announcement) -> Webhook:
    """What an announcement knows of its webhook without the record."""
    return Webhook(announcement.url, announcement.service, attempts=announcement.calls)
