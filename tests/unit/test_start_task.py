"""StartTask when the queue does not answer as it should."""

import pytest

from adapters.memory import MemoryTaskLog
from application.fan_out import FanOut
from application.ports import QueueRefused, QueueUnavailable
from application.start_task import IdempotencyConflict, StartTask
from domain.events import TaskStatus
from domain.task import Attempt, Task, TaskRequest
from entrypoints.identity import RandomTaskIds, SystemClock

REQUEST = TaskRequest(model="m", max_tokens=10, temperature=0.5, prompt="Hi.")
OTHER = TaskRequest(model="m", max_tokens=11, temperature=0.5, prompt="Hi.")


class MoodyQueue:
    """Takes a task, or raises what it is told to. `arrives` lets the message come through though
    its answer is lost."""

    def __init__(self, tasks: MemoryTaskLog) -> None:
        self._tasks = tasks
        self.mood: Exception | None = None
        self.arrives = False
        self.taken: list[str] = []

    async def enqueue(self, task: Task, occasion: str = "") -> str:
        self.taken.append(task.id)
        if self.arrives:
            assert isinstance(await self._tasks.claim(task.id, 30.0, 1), Attempt)
        if self.mood is not None:
            raise self.mood
        return f"msg_{task.id}"

    async def withdraw(self, message_id: str) -> bool:
        raise NotImplementedError

    async def check(self) -> None:
        raise NotImplementedError


class Bench:
    def __init__(self) -> None:
        self.tasks = MemoryTaskLog(FanOut(), 60.0)
        self.queue = MoodyQueue(self.tasks)
        self.start = StartTask(self.tasks, self.queue, SystemClock(), RandomTaskIds())


@pytest.mark.parametrize("mood", [QueueUnavailable("away"), QueueRefused("no")])
async def test_a_task_that_the_queue_did_not_take_is_not_left_waiting(mood: Exception) -> None:
    bench = Bench()
    bench.queue.mood = mood
    with pytest.raises(type(mood)):
        await bench.start(REQUEST)
    task = await bench.tasks.get(bench.queue.taken[0])
    assert task.status is TaskStatus.FAILED
    assert task.failure is not None
    assert task.failure.code == "queue_unavailable"


async def test_a_message_that_arrived_though_its_answer_was_lost_counts() -> None:
    bench = Bench()
    bench.queue.mood, bench.queue.arrives = QueueUnavailable("time-out"), True
    task = await bench.start(REQUEST)
    assert task.status is TaskStatus.RUNNING


async def test_a_key_is_free_after_a_start_that_failed() -> None:
    bench = Bench()
    bench.queue.mood = QueueUnavailable("away")
    with pytest.raises(QueueUnavailable):
        await bench.start(REQUEST, "key")
    bench.queue.mood = None
    task = await bench.start(REQUEST, "key")
    assert task.status is TaskStatus.PENDING
    assert task.message_id == f"msg_{task.id}"


async def test_a_key_answers_the_same_task_and_publishes_once() -> None:
    bench = Bench()
    first = await bench.start(REQUEST, "key")
    assert await bench.start(REQUEST, "key") == first
    assert bench.queue.taken == [first.id]
    with pytest.raises(IdempotencyConflict):
        await bench.start(OTHER, "key")
    assert (await bench.start(REQUEST, "another")).id != first.id


async def test_a_crash_between_record_and_publish_is_mended_by_the_next_request() -> None:
    bench = Bench()
    bench.queue.mood = ZeroDivisionError()  # the process dies here
    with pytest.raises(ZeroDivisionError):
        await bench.start(REQUEST, "key")
    bench.queue.mood = None
    task = await bench.start(REQUEST, "key")
    assert bench.queue.taken == [task.id, task.id]
    assert task.message_id is not None
