"""The port of the queue that delivers tasks to workers."""

from dataclasses import dataclass
from typing import Protocol

from domain.request import TaskRequest
from domain.task import Submitted, Task


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
    """Those of the task."""

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
        )

    def matches(self, request: TaskRequest | None) -> bool:
        """Whether the store's request is that of this delivery."""
        if request is None:
            return False
        return self.request_digest is None or self.request_digest == request.digest()


@dataclass(frozen=True, slots=True)
class Guard:
    """A delivery that comes when the deadline of a task is over, so that the task ends though
    nobody reads it."""

    task_id: str


class TaskQueue(Protocol):
    async def enqueue(self, task: Task, request: TaskRequest, occasion: str = "") -> str:
        """Have the task delivered to the webhook at least once, and not before its time
        (`Task.not_before`); return the message id. Enqueued again, the same task is the same
        message, unless `occasion` (letters, digits, '-', '_') differs. Raises QueueUnavailable or
        QueueRefused."""
        ...

    async def enqueue_guard(self, task: Task) -> str:
        """Have the guard of a task delivered to the webhook once its deadline is over, at least
        once; return the message id. Enqueued again, it is the same message. Raises QueueUnavailable
        or QueueRefused."""
        ...

    async def withdraw(self, message_id: str) -> bool:
        """Stop further deliveries of a message; return whether the queue still had it. A delivery
        that is under way is not stopped. Raises QueueUnavailable."""
        ...

    async def check(self) -> None:
        """Return if the queue responds and accepts our token, else raise QueueUnavailable or
        QueueRefused."""
        ...
