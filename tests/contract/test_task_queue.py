"""What the TaskQueue promises (application/ports.py), by the QStash adapter on a local QStash."""

from collections.abc import AsyncIterator

import pytest

from adapters.qstash import QStashQueue
from application.ports import QueueRefused, QueueUnavailable
from domain.task import Task, TaskRequest
from entrypoints.settings import DEV_TOKEN
from tests.running import running_local_qstash

REQUEST = TaskRequest(model="m", max_tokens=10, temperature=0.5, prompt="Hi.")
NOBODY = "http://127.0.0.1:1"


def _queue(url: str, token: str = DEV_TOKEN) -> QStashQueue:
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
    first = await queue.enqueue(_task("task_1_a"))
    assert await queue.enqueue(_task("task_1_a")) == first
    assert await queue.enqueue(_task("task_1_b")) != first


async def test_another_occasion_is_another_message(queue: QStashQueue) -> None:
    first = await queue.enqueue(_task("task_1_a"))
    again = await queue.enqueue(_task("task_1_a"), first)
    assert again != first
    assert await queue.enqueue(_task("task_1_a"), first) == again


async def test_a_message_is_withdrawn_once(queue: QStashQueue) -> None:
    message_id = await queue.enqueue(_task("task_1_a"))
    assert await queue.withdraw(message_id) is True
    assert await queue.withdraw(message_id) is False


async def test_a_queue_that_answers_says_so(queue: QStashQueue) -> None:
    await queue.check()


async def test_a_wrong_token_is_refused() -> None:
    with running_local_qstash() as url:
        stranger = _queue(url, token="other")
        with pytest.raises(QueueRefused):
            await stranger.enqueue(_task("task_1_a"))
        with pytest.raises(QueueRefused):
            await stranger.check()
        await stranger.aclose()


async def test_a_queue_that_is_not_there_is_unavailable() -> None:
    away = _queue(NOBODY)
    with pytest.raises(QueueUnavailable):
        await away.enqueue(_task("task_1_a"))
    with pytest.raises(QueueUnavailable):
        await away.withdraw("msg_1")
    with pytest.raises(QueueUnavailable):
        await away.check()
    await away.aclose()
