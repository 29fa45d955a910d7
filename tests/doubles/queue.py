"""A task queue that keeps what it is given and delivers nothing."""

import asyncio

from application.ports import Announcement, Guard
from domain.request import TaskRequest
from domain.task import Task


class RecordingQueue:
    """Takes every task, or raises `error` in answer to each."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, str]] = []
        """The task and the occasion of each message, in order."""
        self.requests: list[TaskRequest] = []
        """The request of each message."""
        self.guards: list[Guard] = []
        """The guards that were taken, in order."""
        self.delays: list[float] = []
        """After how many seconds each of them is to come."""
        self.announcements: list[tuple[Announcement, float]] = []
        """The announcements that were taken, each with its delay."""
        self.withdrawn: list[str] = []
        """The ids of the messages that were withdrawn, in order."""
        self.error: Exception | None = None

    @property
    def taken(self) -> list[str]:
        return [task_id for task_id, _ in self.messages]

    async def enqueue(self, task: Task, request: TaskRequest, occasion: str = "") -> str:
        self.messages.append((task.id, occasion))
        self.requests.append(request)
        await self.before_answer(task)
        if self.error is not None:
            raise self.error
        return f"msg_{task.id}"

    async def enqueue_guard(self, guard: Guard, delay: float) -> str:
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        self.guards.append(guard)
        self.delays.append(delay)
        return f"guard_{guard.task_id}"

    async def enqueue_announcement(self, announcement: Announcement, delay: float = 0.0) -> str:
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        self.announcements.append((announcement, delay))
        return f"webhook_{announcement.task_id}_{announcement.number}_{announcement.round}"

    async def before_answer(self, task: Task) -> None:
        """What happens between the message and its answer."""
        await asyncio.sleep(0)

    async def withdraw(self, message_id: str) -> bool:
        self.withdrawn.append(message_id)
        return True

    async def check(self) -> None:
        raise NotImplementedError
