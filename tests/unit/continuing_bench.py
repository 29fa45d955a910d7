"""RunTask beside a model whose upstream keeps its answers, on the memory store."""

import asyncio
from typing import Any

from adapters.live import Hub
from adapters.memory import MemoryTaskLog
from application.accounts import Accounts, Limits
from application.attempt import AttemptBounds
from application.outcome import Outcome
from application.ports import EventFeed, Finished, LanguageModel, TaskLog
from application.run_task import RunTask
from domain.answer import Answer, Reasoning, Text, ToolCall, ToolCallDelta
from domain.events import (
    Event,
    StatusChanged,
    TaskEnded,
    TaskStatus,
    Usage,
    fold,
)
from domain.task import Task
from entrypoints.identity import SystemClock
from tests.builders import REQUEST, after_end, delivery_of, meter_of, run_task
from tests.doubles.attempts import CountingAttempts
from tests.doubles.keeping import KeepingModel
from tests.doubles.queue import RecordingQueue

TASK_ID = "task_1_a"
OWNER = "alice"
LEASE = 30.0
USAGE = Usage(5, 7, 12)
FINISHED = Finished("stop", "m-1", USAGE)
PIECES = (
    Reasoning("Let me "),
    Reasoning("see."),
    Text("One"),
    Text(" two"),
    ToolCallDelta(0, "{", "call_1", "look"),
    ToolCallDelta(0, "}"),
    Text(" three"),
)


class Bench:
    def __init__(
        self,
        model: LanguageModel | None = None,
        *,
        grace: float = 60.0,
        tasks: TaskLog | None = None,
        feed: EventFeed | None = None,
        task_id: str = TASK_ID,
    ) -> None:
        """`tasks` and `feed`: of another store. It has a clock of its own."""
        self.seconds = 0.0
        self.task_id = task_id
        hub = Hub()
        self.feed = feed or hub
        self.memory = MemoryTaskLog(hub, 600.0, elapsed=lambda: self.seconds)
        self.tasks = tasks or self.memory
        self.keeping = KeepingModel(PIECES, FINISHED)
        self.model = model or self.keeping
        self.queue = RecordingQueue()
        self.observer = CountingAttempts()
        self.meter = meter_of(Accounts(Limits(tokens=10_000_000), Limits()))
        self.after_end = after_end(self.tasks, self.queue, model=self.model)
        self.bounds = AttemptBounds(LEASE, 60.0, 60.0, 1_000_000, grace)

    def process(self, tasks: Any = None) -> RunTask:
        """A worker, perhaps with a store of its own."""
        tasks = tasks or self.tasks
        end = after_end(tasks, self.queue, model=self.model)
        return run_task(
            tasks,
            self.feed,
            self.model,
            SystemClock(),
            self.meter,
            end,
            self.bounds,
            observer=self.observer,
        )

    async def deliver(self, run: RunTask | None = None, max_attempts: int = 2) -> Outcome:
        run = run or self.process()
        return await run(delivery_of(self.task_id, REQUEST, max_attempts=max_attempts, owner=OWNER))

    def delivering(self, run: RunTask | None = None) -> "asyncio.Task[Outcome]":
        return asyncio.create_task(self.deliver(run))

    async def record(self) -> Task:
        return await self.tasks.get(self.task_id)

    async def events(self) -> list[Event]:
        return list((await self.tasks.read(self.task_id, 0, 10_000)).events)

    async def statuses(self) -> list[str]:
        """The statuses in the log, each with what it says of the attempt."""
        return [_told(each) for each in await self.events() if isinstance(each, StatusChanged)]

    async def retractions(self) -> int:
        """How often an attempt began anew after the first."""
        return (await self.statuses()).count("running") - 1

    async def charged(self) -> int:
        """The tokens that its owner was charged for."""
        return await self.meter.used(f"key:{OWNER}")

    async def ended(self) -> TaskEnded:
        """The end of a log that keeps the rules."""
        events = await self.events()
        assert fold(events).closed
        assert isinstance(events[-1], TaskEnded)
        return events[-1]


def _told(event: StatusChanged) -> str:
    told = event.status.value
    if event.status is TaskStatus.RUNNING and event.resumed:
        told += " resumed"
    return f"{told} {event.reason}" if event.reason else told


WHOLE = Answer("One two three", "", "Let me see.", (ToolCall(0, "call_1", "look", "{}"),))


async def whole(bench: Bench) -> None:
    """The task has completed with the whole answer, and the upstream knows."""
    ended = await bench.ended()
    assert ended.answer == WHOLE
    assert ended.usage == USAGE
    assert [each.released for each in bench.keeping.by_key.values()] == [True]
