"""The port of the queue that delivers tasks to workers."""

from dataclasses import dataclass
from typing import Protocol

from domain.request import TaskRequest
from domain.task import Change, Task


@dataclass(frozen=True, slots=True)
class Delivery:
    """A delivery of a task. It holds the whole request, so that a task that the store has lost can
    be created again."""

    task_id: str
    request: TaskRequest
    created_at: int
    max_attempts: int
    """The number of attempts after which a retryable fault fails the task."""
    owner: str | None = None
    origin: str | None = None

    def submitted(self) -> Change:
        """Return the task as it was before its first attempt, for a store that has lost it."""
        return Task.submit(self.task_id, self.request, self.created_at, self.owner, self.origin)


class TaskQueue(Protocol):
    async def enqueue(self, task: Task, occasion: str = "") -> str:
        """Have the task delivered to the webhook at least once; return the message id. Enqueued
        again, the same task is the same message, unless `occasion` (letters, digits, '-', '_')
        differs. Raises QueueUnavailable or QueueRefused."""
        ...

    async def withdraw(self, message_id: str) -> bool:
        """Stop further deliveries of a message; return whether the queue still had it. A delivery
        that is under way is not stopped. Raises QueueUnavailable."""
        ...

    async def check(self) -> None:
        """Return if the queue responds and accepts our token, else raise QueueUnavailable or
        QueueRefused."""
        ...
