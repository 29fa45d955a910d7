"""FailTask beside an attempt that is still alive: it waits, and takes only what is left over."""

import asyncio

from adapters.memory import MemoryTaskLog
from application.fan_out import FanOut
from application.manage_task import FailTask
from domain.events import ContentAdded, TaskStatus
from domain.task import Attempt, Task, TaskRequest
from entrypoints.identity import SystemClock

REQUEST = TaskRequest(model="m", max_tokens=10, temperature=0.5, prompt="Hi.")
TASK_ID = "task_1_a"


class Bench:
    def __init__(self) -> None:
        self.feed = FanOut()
        self.tasks = MemoryTaskLog(self.feed, 60.0)
        self.fail = FailTask(self.tasks, self.feed, SystemClock())

    async def attempt(self, lease: float) -> Attempt:
        await self.tasks.create(Task.submit(TASK_ID, REQUEST, 1))
        attempt = await self.tasks.claim(TASK_ID, lease, 1)
        assert isinstance(attempt, Attempt)
        return attempt


async def test_a_live_attempt_is_waited_for() -> None:
    bench = Bench()
    attempt = await bench.attempt(lease=30.0)
    failing = asyncio.create_task(bench.fail(TASK_ID, REQUEST, 1))
    for text in ("a", "b"):
        attempt = await bench.tasks.append(attempt, [ContentAdded(1, text)], 30.0)
        done, _ = await asyncio.wait({failing}, timeout=0.05)
        assert not done
    end = attempt.task.complete(2, text="ab", finish_reason="stop", model="m", usage=None)
    await bench.tasks.settle(attempt, end)
    assert (await asyncio.wait_for(failing, 5)).status is TaskStatus.COMPLETED


async def test_one_that_went_silent_is_failed_when_its_lease_lapses() -> None:
    bench = Bench()
    await bench.attempt(lease=0.1)
    task = await asyncio.wait_for(bench.fail(TASK_ID, REQUEST, 1), 5)
    assert task.failure is not None
    assert task.failure.code == "deliveries_exhausted"
