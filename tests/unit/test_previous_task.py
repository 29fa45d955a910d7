"""Going on from a previous task: what the new one holds, and what is refused."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from adapters.live import Hub
from adapters.memory import MemoryIdempotencyKeys, MemoryLimiter, MemoryTaskLog
from application import previous_task
from application.accounts import Accounts, Caller, Limits
from application.errors import (
    IdempotencyConflict,
    OverLimit,
    PreviousUnusable,
    UnknownTask,
)
from application.ports import Page
from domain.answer import Answer, ToolCall
from domain.errors import InvalidRequest
from domain.events import ContentAdded
from domain.failure import Failure
from domain.messages import MESSAGES_LIMIT, text_message
from domain.request import RequestBounds, TaskRequest
from domain.task import Task
from tests.builders import LEASE, NOW, claim, quotas_of
from tests.doubles.queue import RecordingQueue
from tests.doubles.starts import start_task
from tests.waiting import until

ALICE = Caller("alice", "127.0.0.1")
CALL = ToolCall(0, "call_1", "add", '{"a": 2}')
CALL_MESSAGE = {
    "role": "assistant",
    "content": None,
    "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 2}'}}
    ],
}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "4"}


class HeldQueue(RecordingQueue):
    """Takes tasks once `opened`."""

    def __init__(self) -> None:
        super().__init__()
        self.opened = asyncio.Event()
        self.opened.set()

    async def before_answer(self, task: Task) -> None:
        await self.opened.wait()


class Bench:
    def __init__(self, bounds: RequestBounds | None = None, limits: Limits | None = None) -> None:
        self.tasks = MemoryTaskLog(Hub(), 60.0)
        self.queue = HeldQueue()
        accounts = Accounts(limits or Limits(), Limits())
        self._start = start_task(
            self.tasks,
            MemoryIdempotencyKeys(),
            self.queue,
            quotas_of(MemoryLimiter(), self.tasks, accounts),
            bounds=bounds or RequestBounds(),
        )

    async def start(
        self,
        previous: str | None = None,
        *,
        key: str | None = None,
        caller: Caller = ALICE,
        **of: Any,
    ) -> str:
        given = {"prompt": "Next."} if "messages" not in of else {}
        request = TaskRequest(**{"model": "m", "previous_task_id": previous, **given, **of})
        return (await self._start(request, caller, key)).task.id

    async def end(self, task_id: str, answer: Answer, reason: str = "stop") -> None:
        attempt = await claim(self.tasks, task_id)
        change = attempt.task.complete(
            NOW, answer=answer, finish_reason=reason, model="m", usage=None
        )
        await self.tasks.commit(attempt, change)

    async def ended(self, answer: Answer, reason: str = "stop", **of: Any) -> str:
        task_id = await self.start(**of)
        await self.end(task_id, answer, reason)
        return task_id

    async def request(self, task_id: str) -> TaskRequest:
        request = await self.tasks.request(task_id)
        assert request is not None
        return request


async def refused(bench: Bench, previous: str, **of: Any) -> str:
    with pytest.raises(PreviousUnusable) as error:
        await bench.start(previous, **of)
    return error.value.code


async def test_a_chain_of_three_holds_the_whole_conversation_without_system_texts() -> None:
    bench = Bench()
    first = await bench.ended(Answer("One."), prompt="A?", system="Old.")
    second = await bench.start(first, prompt="B?", system="Older.")
    assert (await bench.request(second)).history == (
        text_message("user", "A?"),
        text_message("assistant", "One."),
    )
    await bench.end(second, Answer("Two.", reasoning="Hm."))
    third = await bench.request(await bench.start(second, prompt="C?", system="New."))
    assert [each["content"] for each in third.conversation()] == [
        *("New.", "A?", "One.", "B?", "Two.", "C?")
    ]
    assert third.prompt == "C?"
    assert third.messages == ()


async def test_the_results_of_tools_follow_their_calls() -> None:
    bench = Bench()
    called = await bench.ended(Answer(tool_calls=(CALL,)), "tool_calls", prompt="2 and 2?")
    task = await bench.request(await bench.start(called, messages=(RESULT,)))
    assert task.conversation() == (text_message("user", "2 and 2?"), CALL_MESSAGE, RESULT)
    with pytest.raises(InvalidRequest) as error:
        await bench.start(called, messages=({**RESULT, "tool_call_id": "call_9"},))
    assert [each.field for each in error.value.faults] == ["messages[0].tool_call_id"]


async def test_a_cancelled_task_goes_on_with_what_it_said() -> None:
    bench = Bench()
    task_id = await bench.start(prompt="Count.")
    attempt = await claim(bench.tasks, task_id)
    await bench.tasks.append(attempt, [ContentAdded(NOW, "One, tw")], LEASE)
    await bench.tasks.cancel(task_id, NOW)
    history = (await bench.request(await bench.start(task_id))).history
    assert history == (text_message("user", "Count."), text_message("assistant", "One, tw"))
    silent = await bench.start(prompt="Say.")
    await bench.tasks.cancel(silent, NOW)
    assert (await bench.request(await bench.start(silent))).history == (
        text_message("user", "Say."),
    )


async def test_what_cannot_be_gone_on_from_is_refused_by_its_code() -> None:
    bench = Bench()
    running = await bench.start()
    assert await refused(bench, running) == "previous_not_ended"
    await claim(bench.tasks, running)
    assert await refused(bench, running) == "previous_not_ended"
    failed = await bench.start()
    await bench.tasks.fail(failed, Failure("model_error", "It failed.", True), NOW)
    assert await refused(bench, failed) == "previous_failed"
    alices = await bench.ended(Answer("Secret."))
    assert await refused(bench, alices, caller=Caller("bob", "127.0.0.1")) == "previous_unknown"
    assert await refused(bench, "task_1_none") == "previous_unknown"
    assert await refused(bench, "no id\n") == "previous_unknown"


async def test_a_lost_log_is_no_conversation(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    task_id = await bench.ended(Answer("Lost."))
    read = bench.tasks.read

    async def lost(task_id: str, after: int, limit: int) -> Page:
        return replace(await read(task_id, after, limit), batches=(), length=0)

    monkeypatch.setattr(bench.tasks, "read", lost)
    assert await refused(bench, task_id) == "previous_unknown"


async def test_a_conversation_is_bounded_as_a_request_is() -> None:
    bench = Bench(RequestBounds(max_bytes=2_000))
    task_id = await bench.ended(Answer("x" * 1_000))
    await bench.start(task_id, prompt="y" * 500)
    assert await refused(bench, task_id, prompt="y" * 1_000) == "previous_too_long"
    bench = Bench()
    many = await bench.ended(Answer("x"), messages=(text_message("user", "x"),) * MESSAGES_LIMIT)
    assert await refused(bench, many) == "previous_too_long"


async def test_a_refused_start_leaves_neither_a_slot_nor_a_key_behind() -> None:
    bench = Bench(limits=Limits(running=1))
    assert await refused(bench, "task_1_none", key="key") == "previous_unknown"
    started = await bench.start(key="key")
    # Without a free slot, the previous task is not even looked for.
    with pytest.raises(OverLimit):
        await bench.start("task_1_none")
    assert bench.queue.taken == [started]


async def test_a_key_covers_the_request_as_it_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    task_id = await bench.ended(Answer("One."))
    first = await bench.start(task_id, key="key", options={"seed": 1})
    get = bench.tasks.get

    async def expired(wanted: str) -> Task:
        if wanted == task_id:
            raise UnknownTask(wanted)
        return await get(wanted)

    monkeypatch.setattr(bench.tasks, "get", expired)
    assert await refused(bench, task_id) == "previous_unknown"
    assert await bench.start(task_id, key="key", options={"seed": 1}) == first
    for changed in ({"options": {"seed": 2}}, {"options": {"seed": 1}, "prompt": "Other."}):
        with pytest.raises(IdempotencyConflict):
            await bench.start(task_id, key="key", **changed)


async def test_a_start_that_died_is_resumed_with_its_conversation() -> None:
    bench = Bench()
    task_id = await bench.ended(Answer("One."))
    bench.queue.error = ZeroDivisionError()  # the process dies here
    with pytest.raises(ZeroDivisionError):
        await bench.start(task_id, key="key")
    bench.queue.error = None
    published: list[TaskRequest] = []
    enqueue = bench.queue.enqueue

    async def noting(task: Task, request: TaskRequest, occasion: str = "") -> str:
        published.append(request)
        return await enqueue(task, request, occasion)

    bench.queue.enqueue = noting  # type: ignore[method-assign]
    resumed = await bench.start(task_id, key="key")
    assert published == [await bench.request(resumed)]
    assert len(published[0].history) == 2


async def test_few_long_conversations_are_held_at_once() -> None:
    bench = Bench()
    long = await bench.ended(Answer("x" * previous_task.SHORT))
    short = await bench.ended(Answer("x"))
    bench.queue.opened.clear()
    before = len(bench.queue.taken)
    starts = [asyncio.create_task(bench.start(long)) for _ in range(20)]
    await until(lambda: len(bench.queue.taken) == before + previous_task.LONG_AT_ONCE)
    bench.queue.opened.set()
    await asyncio.gather(*starts)
    bench.queue.opened.clear()
    before = len(bench.queue.taken)
    starts = [asyncio.create_task(bench.start(short)) for _ in range(20)]
    await until(lambda: len(bench.queue.taken) == before + 20)
    bench.queue.opened.set()
    await asyncio.gather(*starts)
