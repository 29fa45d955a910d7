"""What the TaskQueue promises (application/ports/), by the QStash adapter on a local QStash."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from qstash import AsyncQStash

from adapters.qstash import DEVELOPMENT, QStashQueue
from adapters.qstash.sdk_internals import http_client_of
from application.errors import QueueRefused, QueueUnavailable
from application.ports import Announcement, Guard
from domain.task import Task
from tests.builders import REQUEST
from tests.running import running_local_qstash
from tests.stream_server import serving

NOBODY = "http://127.0.0.1:1"


def _queue(url: str, token: str = DEVELOPMENT.token) -> QStashQueue:
    return QStashQueue(
        token=token,
        url=url,
        webhook_url=f"{NOBODY}/webhook",
        failure_url=f"{NOBODY}/failure",
        retries=3,
        retry_delay="3600000",
        timeout=2.0,
        delivery_timeout=None,
    )


@pytest.fixture
async def queue() -> AsyncIterator[QStashQueue]:
    with running_local_qstash() as url:
        opened = _queue(url)
        yield opened
        await opened.aclose()


def _task(name: str) -> Task:
    return Task.submit(name, REQUEST, 1).task


async def test_a_task_enqueued_twice_is_one_message(queue: QStashQueue) -> None:
    first = await queue.enqueue(_task("task_1_a"), REQUEST)
    assert await queue.enqueue(_task("task_1_a"), REQUEST) == first
    assert await queue.enqueue(_task("task_1_b"), REQUEST) != first


async def test_a_delayed_task_is_a_delayed_message() -> None:
    with running_local_qstash() as url:
        queue, now = _queue(url), time.time_ns() // 1_000_000
        client = AsyncQStash(DEVELOPMENT.token, base_url=url)
        async with contextlib.aclosing(queue), http_client_of(client):
            for delay in (3_600_000, 3_600_400):
                request = replace(REQUEST, not_before=now + delay)
                task = Task.submit(f"task_1_{delay}", request, now - 60_000).task
                sent = await client.message.get(await queue.enqueue(task, request))
                assert sent.not_before is not None
                assert sent.not_before >= now + delay
                assert sent.not_before - sent.created_at <= delay + 1000, "QStash counts in seconds"


async def test_a_guard_is_one_message_delayed_until_the_deadline() -> None:
    with running_local_qstash() as url:
        queue, now = _queue(url), time.time_ns() // 1_000_000
        client = AsyncQStash(DEVELOPMENT.token, base_url=url)
        task = Task.submit("task_1_a", replace(REQUEST, deadline=3600), now).task
        guard = Guard(task.id)
        guard_id = await queue.enqueue_guard(guard, 3600)
        assert await queue.enqueue_guard(guard, 3600) == guard_id
        assert await queue.enqueue_guard(guard.again(), 3600) != guard_id
        assert await queue.enqueue(task, REQUEST) != guard_id
        sent = await client.message.get(guard_id)
        assert sent.not_before is not None
        assert task.deadline is not None
        assert 0 <= sent.not_before - task.deadline <= 2000, "QStash counts in seconds"
        assert sent.failure_callback == f"{NOBODY}/failure"
        retrying = (sent.failure_callback_headers or {}).items()
        assert {name.lower(): value for name, value in retrying} == {
            "upstash-retries": [str(sent.max_retries)],
            "upstash-retry-delay": [sent.retry_delay_expression],
        }
        assert await queue.withdraw(guard_id) is True
        await http_client_of(client).aclose()
        await queue.aclose()


async def test_each_call_of_a_webhook_and_each_try_of_it_is_one_message(
    queue: QStashQueue,
) -> None:
    first = Announcement("task_1_a", 0, NOBODY, False, None, 1, {"id": "evt_task_1_a"})
    all_of_them = (first, first.once_more(), first.once_more().once_more(), first.next_round(1))
    ids = [await queue.enqueue_announcement(each, 3600) for each in all_of_them]
    assert len(set(ids)) == 4
    assert [await queue.enqueue_announcement(each, 3600) for each in all_of_them] == ids


async def test_tasks_enqueued_at_once_are_each_a_message(queue: QStashQueue) -> None:
    tasks = [_task(f"task_1_{number}") for number in range(50)]
    messages = await asyncio.gather(*(queue.enqueue(task, REQUEST) for task in tasks))
    assert len(set(messages)) == 50
    # Each its own: one by one they are the same again.
    assert [await queue.enqueue(task, REQUEST) for task in tasks[::10]] == messages[::10]


async def test_a_message_that_is_refused_takes_none_with_it() -> None:
    """Said of a QStash that refuses one of a batch, in the ways in which it may."""
    for answer in ("error beside the others", "whole batch refused"):
        async with _refusing(answer) as (url, calls):
            queue = _queue(url)
            tasks = [_task(f"task_1_{number}") for number in range(6)] + [_task("task_1_bad")]
            answers = await asyncio.gather(
                *(queue.enqueue(task, REQUEST) for task in tasks), return_exceptions=True
            )
            assert answers[:6] == [f"msg_task_1_{number}" for number in range(6)]
            assert isinstance(answers[6], QueueRefused)
            assert "/v2/batch" in calls
            await queue.aclose()


@contextlib.asynccontextmanager
async def _refusing(answer: str) -> AsyncIterator[tuple[str, list[str]]]:
    """A QStash that refuses one task, whose address and the paths that were called."""
    calls: list[str] = []

    def publish(body: str) -> dict[str, str]:
        task_id = json.loads(body)["taskId"]
        return {"error": "no"} if "bad" in task_id else {"messageId": f"msg_{task_id}"}

    def respond(path: str, body: bytes) -> tuple[int, object]:
        if path != "/v2/batch":
            one = publish(body.decode())
            return (400 if "error" in one else 201), one
        answers = [publish(each["body"]) for each in json.loads(body)]
        if answer == "whole batch refused" and {"error": "no"} in answers:
            return 400, {"error": "no"}
        return 200, answers

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            length = int(head.partition("content-length: ")[2].split()[0])
            path = head.split()[1]
            status, data = respond(path, await reader.readexactly(length))
            calls.append(path)
            body = json.dumps(data).encode()
            writer.write(
                b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
                % (status, len(body))
            )
            writer.write(body)

    async with serving(serve) as port:
        yield f"http://127.0.0.1:{port}", calls


async def test_another_occasion_is_another_message(queue: QStashQueue) -> None:
    first = await queue.enqueue(_task("task_1_a"), REQUEST)
    again = await queue.enqueue(_task("task_1_a"), REQUEST, first)
    assert again != first
    assert await queue.enqueue(_task("task_1_a"), REQUEST, first) == again


async def test_a_message_is_withdrawn_once(queue: QStashQueue) -> None:
    message_id = await queue.enqueue(_task("task_1_a"), REQUEST)
    assert await queue.withdraw(message_id) is True
    assert await queue.withdraw(message_id) is False


async def test_a_queue_that_answers_says_so(queue: QStashQueue) -> None:
    await queue.check()


async def test_a_wrong_token_is_refused() -> None:
    with running_local_qstash() as url:
        stranger = _queue(url, token="other")
        with pytest.raises(QueueRefused):
            await stranger.enqueue(_task("task_1_a"), REQUEST)
        with pytest.raises(QueueRefused):
            await stranger.check()
        await stranger.aclose()


async def test_a_queue_that_is_not_there_is_unavailable() -> None:
    away = _queue(NOBODY)
    with pytest.raises(QueueUnavailable):
        await away.enqueue(_task("task_1_a"), REQUEST)
    with pytest.raises(QueueUnavailable):
        await away.withdraw("msg_1")
    with pytest.raises(QueueUnavailable):
        await away.check()
    await away.aclose()
