"""The port of the queue that delivers tasks to workers."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from domain.request import TaskRequest
from domain.task import Submitted, Task
from domain.webhook import Webhook

LONGEST_PAUSE = 86_400.0
"""Seconds: the queue keeps no longer pause that a worker asks for, and chooses one itself."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery of a task. It holds the whole request, unless that is too large for a message: so
    a task that the store has lost can be created again."""

    task_id: str
    request: TaskRequest | None
    """None: the request is in the store only, and `request_digest` is its digest."""
    created_at: int
    max_attempts: int
    """The number of counted attempts after which a retryable fault fails the task."""
    requested_model: str
    request_size: int
    """Bytes of the request, roughly."""
    request_digest: str | None = None
    owner: str | None = None
    origin: str | None = None
    ttl: int | None = None
    """That of the request."""
    retry_of: str | None = None
    """The task whose request this one starts anew, if it is a retry."""
    not_before: int | None = None
    deadline: int | None = None
    guard_id: str | None = None
    webhooks: tuple[Webhook, ...] = ()
    """Those of the task."""
    retry_delay: float | None = None
    """Seconds after which the queue delivers the task again unless the outcome names another time.
    None: that is not known, or this is the last delivery of the message."""
    own_flow: bool = False
    """Whether the queue does not hold it back by the share of its owner: its message has a flow
    control of its own, or there is none."""

    def next_at(self, now: int, retry_after: float | None) -> int | None:
        """Return when the queue delivers the task again if its attempt is lost now and the outcome
        asks for a pause of `retry_after` seconds. None: that is not known."""
        if self.retry_delay is None:
            return None
        # A worker asks for whole seconds.
        pause = self.retry_delay if retry_after is None else math.ceil(retry_after)
        return None if pause > LONGEST_PAUSE else now + round(pause * 1000)

    def submitted(self) -> Submitted:
        """Return the task as it was before its first attempt, for a store that has lost it."""
        return Task.restore(
            self.task_id,
            self.request,
            self.requested_model,
            self.created_at,
            self.owner,
            self.origin,
            self.ttl,
            self.retry_of,
            self.not_before,
            self.deadline,
            self.guard_id,
            self.webhooks,
        )

    def matches(self, request: TaskRequest | None) -> bool:
        """Whether the store's request is that of this delivery."""
        if request is None:
            return False
        return self.request_digest is None or self.request_digest == request.digest()


@dataclass(frozen=True, slots=True)
class Guard:
    """A delivery that comes when the deadline of a task is over, or else when the task may be
    orphaned, so that it ends without being read."""

    task_id: str
    round: int = 0
    """How many guards of the task came before."""

    def again(self) -> "Guard":
        """Return the next one."""
        return replace(self, round=self.round + 1)


@dataclass(frozen=True, slots=True)
class Announcement:
    """A delivery that has a webhook of an ended task called. It holds all that the receiver is
    told, so it may outlive the record."""

    task_id: str
    number: int
    """That of the webhook in `Task.webhooks`."""
    url: str
    service: bool
    """Whether the webhook is the service's."""
    owner: str | None
    finished_at: int
    """When the task ended."""
    event: Mapping[str, Any]
    """What the receiver is told, as JSON."""
    round: int = 0
    """How many announcements of the same have called the receiver in vain."""
    calls: int = 0
    """How many calls the record had counted when this one was queued: it counts more once this one
    has called."""
    uncalled: int = 0
    """How many announcements of this round have ended without a call."""

    def next_round(self, calls: int) -> "Announcement":
        """Return the next one, after a call in vain. `calls`: as the record counts them now."""
        return replace(self, round=self.round + 1, calls=calls, uncalled=0)

    def once_more(self) -> "Announcement":
        """Return the next one of this round, if this one could not call the receiver."""
        return replace(self, uncalled=self.uncalled + 1)


class TaskQueue(Protocol):
    async def enqueue(self, task: Task, request: TaskRequest, occasion: str = "") -> str:
        """Have the task delivered to the webhook at least once, and not before its time
        (`Task.not_before`), nor before its flow control allows it: that of the request, else the
        share of its owner. Return the message id. Enqueued again, the same task is the same
        message, unless `occasion` (letters, digits, '-', '_') differs. Raises QueueUnavailable or
        QueueRefused."""
        ...

    async def enqueue_guard(self, guard: Guard, delay: float) -> str:
        """Have the guard of a task delivered to the webhook after `delay` seconds, at least once;
        return the message id. Enqueued again, it is the same message. If its deliveries are
        exhausted, the queue reports that, as it does for a task. Raises QueueUnavailable or
        QueueRefused."""
        ...

    async def enqueue_announcement(self, announcement: Announcement, delay: float = 0.0) -> str:
        """Have an announcement delivered to the webhook in the same way. If its deliveries are
        exhausted, the queue reports that, as it does for a task."""
        ...

    async def withdraw(self, message_id: str) -> bool:
        """Stop further deliveries of a message; return whether the queue still had it. A delivery
        that is under way is not stopped. Raises QueueUnavailable."""
        ...

    async def check(self) -> None:
        """Return if the queue responds and accepts our token, else raise QueueUnavailable or
        QueueRefused."""
        ...
