"""A service with a queue that keeps its messages, and clocks that the test drives: its processes
die at any step, and the queue delivers what is due."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from typing import Any

from adapters.live import Hub
from adapters.memory import MemoryIdempotencyKeys, MemoryTaskLog
from adapters.qstash.message import decode, encode, encode_announcement, encode_guard
from application.accounts import Caller
from application.attempt import AttemptBounds
from application.deadlines import EndOverdueTask
from application.manage_task import CancelTask
from application.new_tasks import NewTasks
from application.outcome import Ack, Outcome, Reject
from application.ports import Announcement, Delivery, Finished, Guard
from application.reap import FailOrphanedTasks, HandleExhaustedDeliveries
from application.send_webhook import SendWebhook
from domain.request import DEFAULT_BOUNDS, TaskRequest
from domain.task import Task
from tests.builders import LEASE, NOW, REQUEST, after_end, meter_of, run_task, unlimited
from tests.doubles.model import DrivenModel
from tests.unit.webhook_bench import ORPHAN_TIMEOUT, RULES, TASK_ID, URL, Receiver

CALLER = Caller("alice", "192.0.2.1")
WITH_WEBHOOK = replace(REQUEST, webhook_url=URL)
RETRIES, RETRY_PAUSE = 3, 60.0


@dataclass
class Kept:
    body: bytes
    due: float
    retried: int = 0
    is_callback: bool = False


class World:
    """What outlives a process: the store, the queue, the receiver, and the time."""

    def __init__(self) -> None:
        self.elapsed = 0.0
        """Seconds that have really gone by."""
        self.jump = 0.0
        """Seconds by which the clock of the service was set forward."""
        self.tasks = MemoryTaskLog(
            Hub(),
            1e9,
            ORPHAN_TIMEOUT,
            elapsed=lambda: self.elapsed,
            wall=lambda: self.now() / 1000,
        )
        self.accepted = False
        """Whether a client was told of its task."""
        self.receiver = Receiver()
        self.messages: dict[str, Kept] = {}
        self._known: set[str] = set()

    def now(self) -> int:
        return NOW + round((self.elapsed + self.jump) * 1000)

    # The queue

    def keep(self, name: str, body: bytes, delay: float) -> str:
        if name not in self._known:
            self._known.add(name)
            self.messages[name] = Kept(body, self.elapsed + delay)
        return name

    async def enqueue(self, task: Task, request: TaskRequest, occasion: str = "") -> str:
        name = f"msg-{task.id}-{occasion}"
        return self.keep(name, encode(task, request, RETRIES), task.delay_left(self.now()))

    async def enqueue_guard(self, guard: Guard, delay: float) -> str:
        return self.keep(f"guard-{guard.task_id}-{guard.round}", encode_guard(guard), delay)

    async def enqueue_announcement(self, announcement: Announcement, delay: float = 0.0) -> str:
        name = f"webhook-{announcement.task_id}-{announcement.number}-{announcement.round}"
        return self.keep(name, encode_announcement(announcement), delay)

    async def withdraw(self, message_id: str) -> bool:
        return self.messages.pop(message_id, None) is not None

    def lose_tasks(self) -> None:
        """Lose the messages of tasks. Guards and announcements stay."""
        self.messages = {
            name: each for name, each in self.messages.items() if not name.startswith("msg-")
        }

    async def deliver(self, process: "Process", name: str) -> None:
        """Deliver a message once, at the time at which it is due."""
        kept = self.messages[name]
        self.elapsed = max(self.elapsed, kept.due)
        outcome = await process.handle(decode(kept.body, self.now()), kept.is_callback, name)
        if isinstance(outcome, Ack | Reject):
            self.messages.pop(name, None)
            return
        kept.retried += 1
        kept.due = self.elapsed + (outcome.retry_after or RETRY_PAUSE)
        if kept.retried > RETRIES and not kept.is_callback:
            kept.is_callback, kept.retried = True, 0

    async def drain(self, process: "Process", most: int = 60) -> int:
        """Deliver all that is in the queue, in order, until nothing is; return how many times."""
        deliveries = 0
        while self.messages:
            await self.deliver(
                process, min(self.messages, key=lambda each: self.messages[each].due)
            )
            deliveries += 1
            assert deliveries < most, f"it never ends: {self.messages}"
        return deliveries

    async def task(self) -> Task:
        return await self.tasks.get(TASK_ID)


class Process:
    """The use cases over ports that may die."""

    def __init__(self, world: World, tasks: Any = None, queue: Any = None) -> None:
        self._world = world
        tasks, queue = tasks or world.tasks, queue or world
        hub = Hub()
        orphans = FailOrphanedTasks(tasks, world, ORPHAN_TIMEOUT)
        keys = MemoryIdempotencyKeys(lambda: world.elapsed)
        quotas = unlimited(MemoryTaskLog(Hub(), 60.0))
        self._model = DrivenModel()
        ended = after_end(tasks, queue, world, self._model)
        self._new_tasks = NewTasks(
            tasks, keys, queue, world, quotas, DEFAULT_BOUNDS, RULES, ORPHAN_TIMEOUT
        )
        bounds = AttemptBounds(LEASE, 60.0, 60.0, 1_000, 0.0)
        self._run = run_task(tasks, hub, self._model, world, meter_of(), ended, bounds)
        self.guard = EndOverdueTask(tasks, hub, queue, world, orphans, ended, ORPHAN_TIMEOUT)
        self._exhausted = HandleExhaustedDeliveries(tasks, hub, queue, world, ended)
        self._send = SendWebhook(tasks, queue, world.receiver, world, RULES)
        self._cancel = CancelTask(tasks, queue, world, ended)

    async def start(self, request: TaskRequest) -> None:
        async with self._new_tasks.created(request, CALLER, TASK_ID) as (task, whole, _):
            await self._new_tasks.publish(task, whole)
        self._world.accepted = True

    async def cancel(self) -> None:
        await self._cancel(TASK_ID, CALLER.owner)

    async def handle(
        self, message: Delivery | Guard | Announcement, is_callback: bool, name: str
    ) -> Outcome:
        if isinstance(message, Guard):
            return await (self.guard.exhausted(message) if is_callback else self.guard(message))
        if isinstance(message, Announcement):
            if not is_callback:
                return await self._send(message)
            await self._send.exhausted(message)
            return Ack()
        if is_callback:
            await self._exhausted(message, name)
            return Ack()
        self._model.say("Said", Finished("stop", "m", None))
        return await self._run(message)


Life = Callable[[World, Process], Coroutine[Any, Any, None]]
"""What a process does until it dies."""
