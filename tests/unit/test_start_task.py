"""StartTask when the queue does not respond as it should."""

import asyncio
from dataclasses import replace

import pytest

from adapters.live import Hub
from adapters.memory import MemoryIdempotencyKeys, MemoryTaskLog
from application.accounts import Caller
from application.errors import IdempotencyConflict, QueueRefused, QueueUnavailable, StartUncertain
from application.ports import Guard
from application.start_task import Started
from domain.attempt import Attempt
from domain.events import TaskStatus
from domain.request import TaskRequest
from domain.task import Task
from tests.builders import OTHER_REQUEST, REQUEST, unlimited
from tests.doubles.queue import RecordingQueue
from tests.doubles.starts import start_task

CALLER = Caller(None, "127.0.0.1")


class FaultyQueue(RecordingQueue):
    """`arrives`: the message arrives although the response is lost."""

    def __init__(self, tasks: MemoryTaskLog) -> None:
        super().__init__()
        self._tasks = tasks
        self.arrives = False
        self.hold: asyncio.Event | None = None
        """What the response waits for, if anything."""

    async def before_answer(self, task: Task) -> None:
        if self.hold is not None:
            await self.hold.wait()
        if self.arrives:
            assert isinstance(await self._tasks.claim(task.id, 30.0, 1), Attempt)


class Bench:
    def __init__(self) -> None:
        self.tasks = MemoryTaskLog(Hub(), 60.0)
        self.queue = FaultyQueue(self.tasks)
        self._start = start_task(
            self.tasks, MemoryIdempotencyKeys(), self.queue, unlimited(self.tasks)
        )

    async def start(self, request: TaskRequest, key: str | None = None) -> Task:
        return (await self.started(request, key)).task

    async def started(self, request: TaskRequest, key: str | None) -> Started:
        return await self._start(request, CALLER, key)


@pytest.mark.parametrize("fault", [QueueUnavailable("away"), QueueRefused("no")])
async def test_a_task_that_the_queue_did_not_take_fails(fault: Exception) -> None:
    bench = Bench()
    bench.queue.error = fault
    with pytest.raises(type(fault)):
        await bench.start(REQUEST)
    task = await bench.tasks.get(bench.queue.taken[0])
    assert task.status is TaskStatus.FAILED
    assert task.failure is not None
    assert task.failure.code == "queue_unavailable"


async def test_a_message_that_arrived_though_its_answer_was_lost_counts() -> None:
    bench = Bench()
    bench.queue.error, bench.queue.arrives = QueueUnavailable("time-out"), True
    task = await bench.start(REQUEST)
    assert task.status is TaskStatus.RUNNING


async def test_a_key_is_free_after_a_start_that_was_refused() -> None:
    bench = Bench()
    bench.queue.error = QueueRefused("no")
    with pytest.raises(QueueRefused):
        await bench.start(REQUEST, "key")
    bench.queue.error = None
    task = await bench.start(OTHER_REQUEST, "key")
    assert task.status is TaskStatus.PENDING
    assert task.message_id == f"msg_{task.id}"
    assert len(set(bench.queue.taken)) == 2


@pytest.mark.parametrize("arrives", [False, True])
async def test_with_a_key_a_start_without_an_answer_is_gone_on_with(arrives: bool) -> None:
    bench = Bench()
    bench.queue.error, bench.queue.arrives = QueueUnavailable("away", 7.0), arrives
    with pytest.raises(StartUncertain) as uncertain:
        await bench.start(REQUEST, "key")
    assert uncertain.value.retry_after == 7.0
    bench.queue.error, bench.queue.arrives = None, False
    task = await bench.start(REQUEST, "key")
    assert task.status is (TaskStatus.RUNNING if arrives else TaskStatus.PENDING)
    assert bench.queue.taken == [task.id, task.id]


async def test_one_who_gets_no_answer_does_not_fail_the_task_of_one_who_does() -> None:
    """Two with the same key at once: the slower one's publish breaks off after the other's 202."""
    bench = Bench()
    bench.queue.error, bench.queue.hold = QueueUnavailable("away"), asyncio.Event()
    slow = asyncio.create_task(bench.start(REQUEST, "key"))
    while not bench.queue.taken:
        await asyncio.sleep(0)
    hold, bench.queue.hold, bench.queue.error = bench.queue.hold, None, None
    accepted = await bench.start(REQUEST, "key")
    bench.queue.error = QueueUnavailable("away")
    hold.set()
    with pytest.raises(StartUncertain):
        await slow
    assert (await bench.tasks.get(accepted.id)).status is TaskStatus.PENDING


async def test_a_key_answers_the_same_task_and_publishes_once() -> None:
    bench = Bench()
    first = await bench.start(REQUEST, "key")
    assert await bench.start(REQUEST, "key") == first
    assert bench.queue.taken == [first.id]
    with pytest.raises(IdempotencyConflict):
        await bench.start(OTHER_REQUEST, "key")
    assert (await bench.start(REQUEST, "another")).id != first.id


async def test_a_start_tells_whether_it_joined_a_task() -> None:
    bench = Bench()
    assert not (await bench.started(REQUEST, None)).joined
    assert not (await bench.started(REQUEST, "key")).joined
    assert (await bench.started(REQUEST, "key")).joined


async def test_a_crash_between_record_and_publish_is_mended_by_the_next_request() -> None:
    bench = Bench()
    bench.queue.error = ZeroDivisionError()  # the process dies here
    with pytest.raises(ZeroDivisionError):
        await bench.start(REQUEST, "key")
    bench.queue.error = None
    task = await bench.start(REQUEST, "key")
    assert bench.queue.taken == [task.id, task.id]
    assert task.message_id is not None


LIMITED = replace(REQUEST, deadline=60)


async def test_a_task_with_a_deadline_has_its_guard_in_the_queue_before_its_record() -> None:
    bench = Bench()
    task = await bench.start(LIMITED, "key")
    assert bench.queue.guards == [Guard(task.id)]
    assert task.guard_id == f"guard_{task.id}"
    assert task.deadline == task.created_at + 60_000
    assert (await bench.start(LIMITED, "key")).id == task.id
    assert bench.queue.guards == [Guard(task.id)]
    await bench.start(REQUEST)
    assert bench.queue.guards == [Guard(task.id)]


@pytest.mark.parametrize("key", [None, "key"])
async def test_a_start_whose_guard_the_queue_does_not_take_is_refused(key: str | None) -> None:
    bench = Bench()
    bench.queue.error = QueueUnavailable("away")
    with pytest.raises(QueueUnavailable):
        await bench.start(LIMITED, key)
    assert not bench.queue.taken
    bench.queue.error = None
    task = await bench.start(LIMITED, key)
    assert bench.queue.taken == [task.id]
