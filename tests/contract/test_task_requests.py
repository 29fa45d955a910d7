"""What every TaskLog promises of requests (application/ports/): each is kept as it was accepted,
for as long as its task, and told to attempts."""

import pytest

from adapters.redis.record import SHARED_LIMIT
from application.errors import UnknownTask
from domain.failure import Failure
from domain.request import TaskRequest
from domain.task import Task
from tests.builders import NOW, OTHER_REQUEST, REQUEST, claim, submit
from tests.contract.stores import Store, in_time
from tests.waiting import until

MIB = 1024 * 1024
CALL = {"id": "call_a", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
REQUESTS = {
    "prompt": TaskRequest(model="m", prompt="A\u2028é🌊"),
    "numbers": REQUEST,
    "messages": TaskRequest(
        model="m",
        messages=({"role": "user", "content": "A"}, {"role": "assistant", "content": "B"}),
        system="S",
        metadata={"k": "é"},
    ),
    "parts": TaskRequest(
        model="m",
        messages=(
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
                    {"type": "of tomorrow", "x": [1, 2.5, None, {"y": True}]},
                ],
            },
        ),
    ),
    "tools": TaskRequest(
        model="m",
        messages=(
            {"role": "developer", "content": "D"},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "call_a", "content": "42"},
        ),
        options={"tools": TOOLS, "seed": 2**70, "top_p": 0.25, "stop": ["a", "b"], "x": None},
    ),
    "history": TaskRequest(
        model="m",
        prompt="And then?",
        previous_task_id="task_1_before",
        history=({"role": "user", "content": "A"}, {"role": "assistant", "content": "B"}),
    ),
    "just shared": TaskRequest(model="m", prompt="é" * (SHARED_LIMIT // 2)),
    "8 MiB": TaskRequest(
        model="m",
        messages=({"role": "user", "content": [{"type": "text", "text": "é" * (2 * MIB)}] * 2},),
        options={"seed": 1},
    ),
}


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_request_is_kept_as_it_was_accepted(store: Store, name: str) -> None:
    request = REQUESTS[name]
    task_id = await submit(store.tasks, request)
    assert (await store.tasks.get(task_id)).requested_model == "m"
    kept = await store.tasks.request(task_id)
    assert kept == request
    assert kept.digest() == request.digest()
    attempt = await claim(store.tasks, task_id)
    assert attempt.request == request
    await store.tasks.commit(attempt, attempt.task.requeue(NOW, "x"))
    assert (await claim(store.tasks, task_id)).request == request
    await store.tasks.cancel(task_id, NOW)
    assert await store.tasks.request(task_id) == request


async def test_a_failed_task_keeps_its_request(store: Store) -> None:
    task_id = await submit(store.tasks, REQUESTS["tools"])
    await store.tasks.fail(task_id, Failure("c", "m", True), NOW)
    assert await store.tasks.request(task_id) == REQUESTS["tools"]


async def test_creating_again_leaves_the_request(store: Store) -> None:
    task_id = await submit(store.tasks)
    await store.tasks.create(Task.submit(task_id, OTHER_REQUEST, NOW + 1))
    await store.tasks.create(Task.restore(task_id, None, "other", NOW + 1, None, None))
    assert await store.tasks.request(task_id) == REQUEST
    assert (await claim(store.tasks, task_id)).request == REQUEST


async def test_a_task_is_created_again_without_its_request(store: Store) -> None:
    """Its store lost it, and the delivery knows no more than its digest."""
    submitted = Task.restore(f"task_1_{id(store):x}", None, "m-1", NOW, "alice", "192.0.2.7")
    assert await store.tasks.create(submitted) == submitted.task
    task = await store.tasks.get(submitted.task.id)
    assert (task.requested_model, task.owner, task.origin) == ("m-1", "alice", "192.0.2.7")
    assert await store.tasks.request(task.id) is None
    attempt = await claim(store.tasks, task.id)
    assert attempt.request is None
    failure = Failure("input_lost", "It is lost.", True)
    await store.tasks.commit(attempt, attempt.task.fail(NOW, failure))
    assert (await store.tasks.get(task.id)).failure == failure


async def test_a_request_expires_with_its_task(forgetful_store: Store) -> None:
    tasks = forgetful_store.tasks
    task_id = await submit(tasks, REQUESTS["tools"])

    async def gone() -> bool:
        try:
            await tasks.request(task_id)
        except UnknownTask:
            return True
        return False

    await until(gone)

    async def request_of_one_restored() -> object:
        await tasks.create(Task.restore(task_id, None, "m", NOW, None, None))
        return await tasks.request(task_id)

    assert await in_time(request_of_one_restored) is None
