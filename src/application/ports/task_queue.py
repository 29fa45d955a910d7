"""The port of the queue that brings tasks to a worker."""

from dataclasses import dataclass
from typing import Protocol

from domain.request import TaskRequest
from domain.task import Change, Task


@dataclass(frozen=True, slots=True)
class Delivery:
    """What the queue brought. It holds the whole request, so a store that lost its data can be
    made whole again."""

    task_id: str
    request: TaskRequest
    created_at: int
    max_attempts: int
    """Attempts after which a fault that may pass is one for good."""
    owner: str | None = None

    def submitted(self) -> Change:
        """The task as it was before its first attempt, for a store that has lost it."""
        return Task.submit(self.task_id, self.request, self.created_at, self.owner)


class TaskQueue(Protocol):
    async def enqueue(self, task: Task, occasion: str = "") -> str:
        """Have the task delivered to the webhook, at least once; answer the message id. The same
        task again is the same message, unless for another occasion (letters, digits, '-', '_').
        Raises QueueUnavailable or QueueRefused."""
        ...

    async def withdraw(self, message_id: str) -> bool:
        """Ask for no further delivery of a message; answer whether the queue still had it. It may
        be on its way already. Raises QueueUnavailable."""
        ...

    async def check(self) -> None:
        """Return if the queue answers and accepts our token, else raise QueueUnavailable or
        QueueRefused."""
        ...
