"""Starts by several processes over one store, each of which a test may freeze at any step."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from adapters.live import Hub
from adapters.memory import MemoryIdempotencyKeys, MemoryTaskLog
from application.accounts import Caller
from application.chats import Chats
from application.errors import LimitStatus, OverLimit
from application.manage_task import CancelTask, GetTask
from application.ports import ORPHAN_TIMEOUT, IdempotencyKeys, TaskLog, TaskQueue
from application.quotas import Quotas
from application.reap import FailOrphanedTasks
from application.start_task import Started, StartTask, Try, Turn
from domain.request import TaskRequest
from domain.task import Task
from entrypoints.identity import RandomTaskIds, SystemClock
from tests.builders import REQUEST, after_end
from tests.doubles.queue import RecordingQueue

CALLER = Caller("alice", "192.0.2.1")


def get_task(tasks: TaskLog) -> GetTask:
    clock = SystemClock()
    return GetTask(tasks, clock, FailOrphanedTasks(tasks, clock, ORPHAN_TIMEOUT))


def start_task(
    tasks: TaskLog, keys: IdempotencyKeys, queue: TaskQueue, quotas: Quotas, **options: Any
) -> StartTask:
    """As the container makes it. `options`: StartTask's own."""
    clock = SystemClock()
    cancel = CancelTask(tasks, queue, clock, after_end(tasks, queue))
    return StartTask(
        tasks, keys, queue, clock, RandomTaskIds(), quotas, get_task(tasks), cancel, **options
    )


class Admits:
    """Lets in as many starts as it has left; remembers which, and whose slots were released."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.admitted: list[str] = []
        self.released: list[str] = []

    async def start(
        self, caller: Caller, task_id: str, *, delayed: bool = False
    ) -> Sequence[LimitStatus]:
        await asyncio.sleep(0)
        if self.left == 0:
            raise OverLimit(LimitStatus("starts-per-key", 1, 0, 60.0))
        self.left -= 1
        self.admitted.append(task_id)
        return ()

    async def release(self, caller: Caller, task_id: str, *, delayed: bool = False) -> None:
        self.released.append(task_id)

    def origin(self, caller: Caller) -> str | None:
        return None


class Slow:
    """A port each of whose calls waits, before it is carried out and after."""

    def __init__(self, inner: object, pause: Callable[[str], Awaitable[None]]) -> None:
        self._inner = inner
        self._pause = pause

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any, **named: Any) -> Any:
            await self._pause(f"before {name}")
            try:
                result = await getattr(self._inner, name)(*args, **named)
            finally:
                await self._pause(f"after {name}")
            return result

        return call


class Bench:
    def __init__(self, ttl: float = 1e6, starts: int = 1_000) -> None:
        self.now = 0.0
        self.tasks = MemoryTaskLog(Hub(), ttl, elapsed=lambda: self.now)
        self.keys = MemoryIdempotencyKeys(lambda: self.now)
        self.queue = RecordingQueue()
        self.admits = Admits(starts)

    def starter(
        self, pause: Callable[[str], Awaitable[None]] | None = None, wait: float = 0.05
    ) -> StartTask:
        """A process of its own, before and behind each of whose calls the test may wait."""
        tasks: Any = self.tasks
        keys: Any = self.keys
        queue: Any = self.queue
        if pause is not None:
            tasks, keys, queue = Slow(tasks, pause), Slow(keys, pause), Slow(queue, pause)
        return start_task(tasks, keys, queue, cast(Quotas, self.admits), wait=wait)

    async def start(self, request: TaskRequest = REQUEST, key: str | Try | Turn = "key") -> Task:
        return (await self.starter()(request, CALLER, key)).task

    async def frozen_start(
        self, step: str, key: str | Try | Turn = "key", request: TaskRequest = REQUEST
    ) -> tuple["asyncio.Task[Started]", "Frozen"]:
        """Begin a start in a process of its own, which stops at a step. Return once it has."""
        frozen = Frozen(step)
        starting = asyncio.create_task(self.starter(frozen)(request, CALLER, key))
        await frozen.reached.wait()
        return starting, frozen

    def chats(self, wait: float = 0.05) -> Chats:
        return Chats(self.keys, get_task(self.tasks), wait=wait)

    def lose(self, task_id: str) -> None:
        """Let a task have had no heartbeat for the orphan timeout."""
        self.now += ORPHAN_TIMEOUT + 1
        entry = self.tasks._entries[task_id]
        entry.task = replace(entry.task, updated_at=1)

    @property
    def records(self) -> dict[str, Task]:
        return {task_id: entry.task for task_id, entry in self.tasks._entries.items()}


class Frozen:
    """Stops a process at one step."""

    def __init__(self, step: str) -> None:
        self.reached, self.go_on = asyncio.Event(), asyncio.Event()
        self._step = step

    async def __call__(self, step: str) -> None:
        if step == self._step:
            self._step = ""
            self.reached.set()
            await self.go_on.wait()

    async def go_on_to(self, step: str) -> None:
        """Let the process go on to a later step, and stop it there."""
        self._step = step
        self.reached.clear()
        self.go_on.set()
        self.go_on = asyncio.Event()
        await self.reached.wait()
