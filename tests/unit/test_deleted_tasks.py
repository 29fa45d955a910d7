"""What is deleted stays deleted: no delivery runs it, no start is told of it, and it holds no slot.
On the memory store."""

import asyncio
from dataclasses import replace

import pytest

from adapters.live import Hub
from adapters.memory import MemoryIdempotencyKeys, MemoryLimiter, MemoryTaskLog
from application.accounts import Accounts, Caller, Limits
from application.errors import DeletedTask, QueueUnavailable, StartUncertain, UnknownTask
from application.manage_task import CancelTask, DeleteTask
from application.outcome import Ack
from application.ports import TaskLog
from application.quotas import Quotas
from application.run_directly import RunDirectly
from application.running_slots import SlotReleasingLog
from domain.events import TaskStatus
from domain.request import TaskRequest
from domain.task import Task
from entrypoints.identity import RandomTaskIds, SystemClock
from tests.builders import NOW, REQUEST, after_end, naming_delivery_of, quotas_of, submit, unlimited
from tests.doubles.queue import RecordingQueue
from tests.doubles.starts import start_task
from tests.unit.run_task_bench import FINISHED, OWNER, TASK_ID, Bench
from tests.waiting import within

ALICE = Caller(OWNER, "192.0.2.1")


class Withdrawing(RecordingQueue):
    def __init__(self) -> None:
        super().__init__()
        self.withdrawn: list[str] = []

    async def withdraw(self, message_id: str) -> bool:
        self.withdrawn.append(message_id)
        if self.error is not None:
            raise self.error
        return True


def _delete_task(tasks: TaskLog, queue: RecordingQueue | None = None) -> DeleteTask:
    queue = queue or Withdrawing()
    end = after_end(tasks, queue)
    return DeleteTask(tasks, CancelTask(tasks, queue, SystemClock(), end), end)


# Deleting


async def test_a_waiting_task_is_withdrawn_from_the_queue() -> None:
    tasks, queue = MemoryTaskLog(Hub(), 60.0), Withdrawing()
    task_id = await submit(tasks)
    await tasks.note_message(task_id, "msg_1")
    await _delete_task(tasks, queue)(task_id)
    assert queue.withdrawn == ["msg_1"]
    with pytest.raises(DeletedTask):
        await tasks.get(task_id)


async def test_a_queue_that_is_away_keeps_no_task_from_being_deleted() -> None:
    tasks, queue = MemoryTaskLog(Hub(), 60.0), Withdrawing()
    queue.error = QueueUnavailable("away")
    task_id = await submit(tasks)
    await tasks.note_message(task_id, "msg_1")
    await _delete_task(tasks, queue)(task_id)
    with pytest.raises(DeletedTask):
        await tasks.get(task_id)


async def test_an_ended_task_is_deleted_and_a_second_time_it_is_unknown() -> None:
    tasks = MemoryTaskLog(Hub(), 60.0)
    task_id = await submit(tasks)
    await tasks.cancel(task_id, NOW)
    delete = _delete_task(tasks)
    await delete(task_id)
    with pytest.raises(UnknownTask):
        await delete(task_id)


@pytest.mark.parametrize("ended", [False, True])
async def test_a_task_of_another_owner_is_unknown_and_stays(ended: bool) -> None:
    tasks = MemoryTaskLog(Hub(), 60.0)
    await tasks.create(Task.submit(TASK_ID, REQUEST, NOW, "bob"))
    if ended:
        await tasks.cancel(TASK_ID, NOW)
    with pytest.raises(UnknownTask):
        await _delete_task(tasks)(TASK_ID, OWNER)
    assert (await tasks.get(TASK_ID)).status.terminal is ended


# Deliveries


async def test_a_late_delivery_of_a_deleted_task_is_acknowledged_and_not_run() -> None:
    bench = Bench()
    await submit(bench.tasks, task_id=TASK_ID)
    await _delete_task(bench.tasks)(TASK_ID)
    assert await bench.deliver() == Ack()
    assert await bench.run(naming_delivery_of(TASK_ID, REQUEST)) == Ack()
    assert bench.model.asked == 0
    with pytest.raises(DeletedTask):
        await bench.tasks.get(TASK_ID)


async def test_a_running_attempt_stops_and_its_delivery_is_acknowledged() -> None:
    bench = Bench()
    running = bench.deliver()
    bench.model.say("a")
    await bench.until_content("a")
    standby = bench.deliver()
    await _delete_task(bench.tasks)(TASK_ID, OWNER)
    assert await asyncio.wait_for(running, within(5)) == Ack()
    assert await asyncio.wait_for(standby, within(5)) == Ack()
    assert (bench.model.asked, bench.model.closed) == (1, 1)


async def test_an_attempt_that_the_feed_does_not_tell_ends_at_its_next_write() -> None:
    bench = Bench()
    running = bench.deliver()
    bench.model.say("a")
    await bench.until_content("a")
    await bench.tasks.delete(TASK_ID)
    bench.model.say("b", FINISHED)
    assert await asyncio.wait_for(running, within(5)) == Ack()
    with pytest.raises(DeletedTask):
        await bench.tasks.get(TASK_ID)


async def test_a_task_whose_own_time_to_live_is_over_is_not_run_again() -> None:
    bench = Bench()
    seconds = 0.0
    bench.tasks._elapsed = lambda: seconds
    request = replace(REQUEST, ttl=5)
    running = bench.deliver(request=request)
    bench.model.say("a", FINISHED)
    assert await running == Ack()
    seconds = 4.0
    assert (await bench.tasks.get(TASK_ID)).status is TaskStatus.COMPLETED
    seconds = 6.0
    assert await bench.deliver(request=request) == Ack()
    assert bench.model.asked == 1


async def test_a_task_that_is_created_again_keeps_its_time_to_live() -> None:
    bench = Bench()
    delivery = replace(naming_delivery_of(TASK_ID, REQUEST), ttl=5)
    await bench.run(delivery)
    assert (await bench.tasks.get(TASK_ID)).ttl == 5


async def test_the_development_route_does_not_run_it_and_takes_no_slot() -> None:
    bench = Bench()
    await bench.tasks.create(Task.submit(TASK_ID, REQUEST, NOW, OWNER))
    await bench.tasks.delete(TASK_ID)
    limiter, clock = MemoryLimiter(), SystemClock()
    quotas = _quotas(bench.tasks, limiter)
    directly = RunDirectly(bench.tasks, clock, RandomTaskIds(), quotas, bench.run)
    with pytest.raises(UnknownTask):
        await directly(REQUEST, ALICE, TASK_ID)
    assert await limiter.holders(ACCOUNT, 10) == []


# Starts


class Vanishing(MemoryTaskLog):
    """A task is deleted as soon as its request is asked for."""

    async def request(self, task_id: str) -> TaskRequest | None:
        await self.delete(task_id)
        return await super().request(task_id)


async def test_a_task_that_is_deleted_while_its_start_is_resumed_is_started_anew() -> None:
    tasks, queue = Vanishing(Hub(), 60.0), RecordingQueue()
    start = start_task(tasks, MemoryIdempotencyKeys(), queue, unlimited(tasks))
    queue.error = QueueUnavailable("away")
    with pytest.raises(StartUncertain):
        await start(REQUEST, ALICE, "key")
    queue.error = None
    started = await start(REQUEST, ALICE, "key")
    first, second = queue.taken
    assert first != second == started.task.id
    with pytest.raises(DeletedTask):
        await tasks.get(first)


# Slots

ACCOUNT = f"running:key:{OWNER}"
ACCOUNTS = Accounts(Limits(running=1), Limits())


def _quotas(tasks: TaskLog, limiter: MemoryLimiter) -> Quotas:
    return quotas_of(limiter, tasks, ACCOUNTS)


async def test_deleting_releases_the_slot() -> None:
    limiter = MemoryLimiter()
    tasks = SlotReleasingLog(MemoryTaskLog(Hub(), 60.0), limiter, ACCOUNTS)
    await _quotas(tasks, limiter).start(ALICE, TASK_ID)
    await tasks.create(Task.submit(TASK_ID, REQUEST, NOW, OWNER))
    await _delete_task(tasks)(TASK_ID, OWNER)
    assert await limiter.holders(ACCOUNT, 10) == []


async def test_a_start_finds_the_slot_that_a_deleted_task_left() -> None:
    """The process died before it released the slot."""
    limiter, tasks = MemoryLimiter(), MemoryTaskLog(Hub(), 60.0)
    quotas = _quotas(tasks, limiter)
    await quotas.start(ALICE, TASK_ID)
    await tasks.create(Task.submit(TASK_ID, REQUEST, NOW, OWNER))
    await tasks.delete(TASK_ID)
    await quotas.start(ALICE, "task_1_b")
    assert [each.holder for each in await limiter.holders(ACCOUNT, 10)] == ["task_1_b"]
