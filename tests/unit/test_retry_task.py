"""RetryTask: what is started anew, and what is not."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from adapters.live import Hub
from adapters.memory import MemoryIdempotencyKeys, MemoryTaskLog
from application.accounts import Caller
from application.errors import (
    IdempotencyConflict,
    NotRetryable,
    QueueUnavailable,
    StartUncertain,
    UnknownTask,
)
from application.previous_task import LONG_AT_ONCE, SHORT
from application.retry_task import RetryTask
from domain.answer import Answer
from domain.errors import InvalidRequest
from domain.events import TaskStatus
from domain.failure import Failure
from domain.request import RequestBounds, TaskRequest
from domain.task import Task
from tests.builders import NOW, REQUEST, claim, submit, unlimited
from tests.doubles.queue import RecordingQueue
from tests.doubles.starts import get_task, start_task
from tests.waiting import until

ANONYMOUS = Caller(None, "127.0.0.1")
FAILURE = Failure("model_error", "It failed.", False)
WHOLE = TaskRequest(
    model="m",
    prompt="And then?",
    previous_task_id="task_1_gone",
    history=({"role": "user", "content": "A"}, {"role": "assistant", "content": "B"}),
    options={"seed": 1},
    metadata={"k": "v"},
    ttl=60,
)


class SlowQueue(RecordingQueue):
    """Takes tasks once `opened`."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = asyncio.Event()
        self.opened.set()

    async def before_answer(self, task: Task) -> None:
        await self.opened.wait()


class Bench:
    def __init__(self, **bounds: Any) -> None:
        self.tasks = MemoryTaskLog(Hub(), 60.0)
        self.queue = SlowQueue()
        keys, quotas = MemoryIdempotencyKeys(), unlimited(self.tasks)
        start = start_task(
            self.tasks, keys, self.queue, quotas, bounds=RequestBounds(**bounds), wait=0.05
        )
        self._retry = RetryTask(get_task(self.tasks), start)

    async def failed(self, request: TaskRequest = REQUEST) -> str:
        task_id = await submit(self.tasks, request)
        await self.tasks.fail(task_id, FAILURE, NOW)
        return task_id

    async def retry(self, task_id: str, key: str | None = None, caller: Caller = ANONYMOUS) -> Task:
        return (await self._retry(task_id, caller, key)).task


async def test_the_whole_request_is_started_anew_though_the_task_before_is_gone() -> None:
    bench = Bench()
    old = await bench.failed(WHOLE)
    new = await bench.retry(old)
    assert (new.retry_of, new.status, new.ttl) == (old, TaskStatus.PENDING, 60)
    assert await bench.tasks.request(new.id) == WHOLE
    assert bench.queue.requests == [WHOLE]
    assert new.message_id == f"msg_{new.id}"
    await bench.tasks.cancel(new.id, NOW)
    assert (await bench.retry(new.id)).retry_of == new.id, "a retry of a cancelled retry"


@pytest.mark.parametrize("delay", [{"delay": 60}, {"not_before": 9 * NOW}])
async def test_one_that_was_delayed_is_started_anew_at_once(delay: dict[str, Any]) -> None:
    bench = Bench()
    new = await bench.retry(await bench.failed(replace(WHOLE, **delay)))
    assert new.not_before is None
    assert bench.queue.requests == [WHOLE]


async def test_what_has_not_ended_or_has_completed_is_not() -> None:
    bench = Bench()
    waiting, completed = await submit(bench.tasks), await submit(bench.tasks)
    attempt = await claim(bench.tasks, completed)
    answer = Answer("Done.")
    done = attempt.task.complete(NOW, answer=answer, finish_reason="stop", model="m", usage=None)
    await bench.tasks.commit(attempt, done)
    lost = f"{waiting}_lost"
    await bench.tasks.create(Task.restore(lost, None, "m", NOW, None, None))
    await bench.tasks.fail(lost, FAILURE, NOW)
    expected = {waiting: "task_not_ended", completed: "task_completed", lost: "input_lost"}
    for task_id, code in expected.items():
        with pytest.raises(NotRetryable) as refused:
            await bench.retry(task_id)
        assert refused.value.code == code
    with pytest.raises(UnknownTask):
        await bench.retry(await bench.failed(), caller=Caller("bob", "127.0.0.1"))
    assert bench.queue.taken == []


async def test_bounds_that_have_become_narrower_hold() -> None:
    bench = Bench(max_ttl=30)
    with pytest.raises(InvalidRequest, match="ttl"):
        await bench.retry(await bench.failed(WHOLE))
    assert bench.queue.taken == []


async def test_a_key_means_one_retry_of_one_task() -> None:
    bench = Bench()
    old, equal = await bench.failed(), await bench.failed()
    new = await bench.retry(old, "key")
    assert await bench.retry(old, "key") == new
    with pytest.raises(IdempotencyConflict):
        await bench.retry(equal, "key")
    assert bench.queue.taken == [new.id]


async def test_few_long_requests_are_held_at_once() -> None:
    bench = Bench()
    bench.queue.opened.clear()
    long = TaskRequest(model="m", prompt="x" * SHORT)
    many = [await bench.failed(long) for _ in range(LONG_AT_ONCE + 1)]
    retries = [asyncio.create_task(bench.retry(each)) for each in many]
    await until(lambda: len(bench.queue.taken) == LONG_AT_ONCE)
    for _ in range(100):
        await asyncio.sleep(0)
    assert len(bench.queue.taken) == LONG_AT_ONCE
    bench.queue.opened.set()
    assert {each.retry_of for each in await asyncio.gather(*retries)} == set(many)


async def test_with_a_key_a_retry_that_the_queue_did_not_answer_is_gone_on_with() -> None:
    bench = Bench()
    old = await bench.failed()
    bench.queue.error = QueueUnavailable("away")
    with pytest.raises(StartUncertain):
        await bench.retry(old, "key")
    bench.queue.error = None
    new = await bench.retry(old, "key")
    assert bench.queue.taken == [new.id, new.id]
    assert (await bench.tasks.get(new.id)).retry_of == old
