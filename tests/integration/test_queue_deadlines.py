"""A call to the queue ends within the time-out of its caller, whatever it waits for."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from functools import partial

import pytest

from adapters.qstash import DEVELOPMENT, QStashQueue
from application.errors import QueueUnavailable
from domain.request import TaskRequest
from domain.task import Task
from tests.builders import REQUEST
from tests.running import running_local_qstash
from tests.tcp_proxy import TcpProxy
from tests.waiting import until, within

LARGE = TaskRequest(model="m", max_tokens=10, temperature=0.5, prompt="x" * 40_000)
TIMEOUT = 1.0
SLACK = 1.0
"""Seconds that a busy machine may add."""


@asynccontextmanager
async def queue_behind(proxy: TcpProxy) -> AsyncIterator[QStashQueue]:
    queue = QStashQueue(
        token=DEVELOPMENT.token,
        url=proxy.url,
        webhook_url="http://127.0.0.1:1/webhook",
        failure_url="http://127.0.0.1:1/failure",
        retries=3,
        retry_delay="3600000",
        timeout=TIMEOUT,
        delivery_timeout=None,
    )
    try:
        yield queue
    finally:
        await queue.aclose()


def task(number: int, request: TaskRequest = REQUEST) -> tuple[Task, TaskRequest]:
    return Task.submit(f"task_1_{number}", request, 1).task, request


async def timed(call: Awaitable[object]) -> tuple[object, float]:
    began = time.monotonic()
    try:
        return await call, time.monotonic() - began
    except QueueUnavailable as error:
        return error, time.monotonic() - began


async def test_callers_that_wait_for_each_other_end_within_their_own_timeout() -> None:
    """More than four calls of 32 messages, so that some would wait for a second round, and some
    for the calls of their own that follow a batch."""
    with running_local_qstash() as url:
        proxy = TcpProxy(int(url.rpartition(":")[2]))
        with proxy.running():
            async with queue_behind(proxy) as queue:
                with proxy.silent():
                    calls = [timed(queue.enqueue(*task(number))) for number in range(300)]
                    calls += [timed(queue.enqueue(*task(300 + n, LARGE))) for n in range(120)]
                    calls += [timed(queue.withdraw("msg_1")), timed(queue.check())]
                    answers = await asyncio.gather(*calls)
                assert {type(answer) for answer, _ in answers} == {QueueUnavailable}
                assert max(seconds for _, seconds in answers) < TIMEOUT + within(SLACK)
                await until(partial(_goes_on, queue))


async def _goes_on(queue: QStashQueue) -> bool:
    """Whether the queue takes the next message, in its own time."""
    try:
        return bool(await queue.enqueue(*task(1000)))
    except QueueUnavailable:
        return False


async def test_a_caller_that_gives_up_takes_the_message_of_no_other_with_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with running_local_qstash() as url:
        proxy = TcpProxy(int(url.rpartition(":")[2]))
        with proxy.running():
            async with queue_behind(proxy) as queue:
                await asyncio.gather(*(queue.enqueue(*task(number)) for number in range(3)))
                proxy.delay = 0.2  # each way
                first, second = (
                    asyncio.create_task(queue.enqueue(*task(number))) for number in (10, 11)
                )
                await asyncio.sleep(0.1)
                first.cancel()
                assert await second
                assert (await asyncio.gather(first, return_exceptions=True))[0] is not None
                taken_late = await queue.enqueue(*task(10))
    # The message that was taken all the same is told of, and is the same again.
    [line] = [each.getMessage() for each in caplog.records if "too late" in each.getMessage()]
    assert "task_1_10" in line
    assert taken_late in line
