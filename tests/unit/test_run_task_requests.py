"""RunTask and the requests of deliveries: those that are in the store only, those that are lost,
and how many bytes of them a process works on."""

import asyncio

from application.outcome import Ack, Outcome, Overloaded, Reject
from application.ports import Delivery
from application.reap import INPUT_LOST
from application.run_task import OVERLOADED_RETRY_AFTER
from domain.attempt import Attempt
from domain.events import TaskStatus
from domain.request import TaskRequest
from domain.task import Task
from tests.builders import OTHER_REQUEST, REQUEST, naming_delivery_of
from tests.unit.run_task_bench import FINISHED, TASK_ID, Bench

NAMING = naming_delivery_of(TASK_ID, REQUEST)
SIZE = REQUEST.size()


def _deliver(bench: Bench, delivery: Delivery) -> asyncio.Task[Outcome]:
    return asyncio.create_task(bench.run(delivery))


async def test_a_request_that_is_in_the_store_only_is_run() -> None:
    bench = Bench()
    await bench.tasks.create(Task.submit(TASK_ID, REQUEST, 1))
    bench.model.say("a", FINISHED)
    assert await _deliver(bench, NAMING) == Ack()
    assert await bench.content() == ["a"]


async def test_a_request_that_the_store_lost_fails_the_task() -> None:
    bench = Bench()
    assert await _deliver(bench, NAMING) == Reject("input_lost")
    task = await bench.tasks.get(TASK_ID)
    assert (task.status, task.failure) == (TaskStatus.FAILED, INPUT_LOST)
    assert (task.created_at, task.requested_model) == (1, REQUEST.model)
    assert bench.model.asked == 0
    assert await _deliver(bench, NAMING) == Ack()  # delivered again, it has ended


async def test_another_request_under_its_id_is_not_run() -> None:
    bench = Bench()
    await bench.tasks.create(Task.submit(TASK_ID, OTHER_REQUEST, 1))
    assert await _deliver(bench, NAMING) == Reject("input_lost")
    assert bench.model.asked == 0


async def test_a_store_keeps_no_copy_of_a_request() -> None:
    bench = Bench()
    await bench.tasks.create(Task.submit(TASK_ID, REQUEST, 1))
    assert await bench.tasks.request(TASK_ID) is REQUEST
    attempt = await bench.tasks.claim(TASK_ID, 30.0, 1)
    assert isinstance(attempt, Attempt)
    assert attempt.request is REQUEST


async def test_beyond_the_room_for_requests_deliveries_are_refused() -> None:
    bench = Bench(requests_room=2 * SIZE)
    running = [bench.deliver(task_id=f"task_1_{n}") for n in range(2)]
    await _until_asked(bench, 2)
    refused = Overloaded(OVERLOADED_RETRY_AFTER)
    assert await bench.deliver(task_id="task_1_c") == refused
    # Also one whose request is still in the store.
    assert await _deliver(bench, naming_delivery_of("task_1_d", REQUEST)) == refused
    bench.model.say(FINISHED, FINISHED)
    assert await asyncio.gather(*running) == [Ack(), Ack()]
    bench.model.say(FINISHED)
    assert await bench.deliver(task_id="task_1_c") == Ack()


async def test_a_request_that_is_larger_than_the_room_is_run_alone() -> None:
    bench = Bench(requests_room=SIZE)
    large = TaskRequest(model="m", prompt="x" * SIZE)
    small = bench.deliver(task_id="task_1_small")
    await _until_asked(bench, 1)
    assert await bench.deliver(task_id="task_1_large", request=large) == Overloaded(
        OVERLOADED_RETRY_AFTER
    )
    bench.model.say(FINISHED)
    assert await small == Ack()
    running = bench.deliver(task_id="task_1_large", request=large)
    await _until_asked(bench, 2)
    assert await bench.deliver(task_id="task_1_small") == Overloaded(OVERLOADED_RETRY_AFTER)
    bench.model.say(FINISHED)
    assert await running == Ack()


async def _until_asked(bench: Bench, times: int) -> None:
    while bench.model.asked < times:
        await asyncio.sleep(0)
