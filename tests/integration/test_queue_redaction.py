"""LONGTASK_QSTASH_REDACT_BODIES: what QStash is told to hide, and what it delivers all the same."""

import asyncio
import base64
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import httpx
import pytest

from adapters.qstash import DEVELOPMENT, QStashQueue
from adapters.qstash.retry_delay import RetryDelay
from application.ports import Announcement
from domain.request import TaskRequest
from domain.task import Task
from tests.doubles.destination import Answer, Destination
from tests.leaks import PROMPT
from tests.running import running_local_qstash
from tests.signing import delivered_task
from tests.waiting import eventually

FIELDS = ("upstash-redact-fields", "upstash-failure-callback-redact-fields")
"""The failure callback is a message of its own, and contains ours."""


@pytest.fixture
def stub() -> Iterator[Destination]:
    with Destination().running() as destination:
        yield destination


@asynccontextmanager
async def _queue(url: str, redact_bodies: bool, service: str) -> AsyncIterator[QStashQueue]:
    queue = QStashQueue(
        token=DEVELOPMENT.token,
        url=url,
        webhook_url=f"{service}/webhook",
        failure_url=f"{service}/failure",
        retries=0,
        retry_delay="1",
        timeout=5.0,
        delivery_timeout=None,
        redact_bodies=redact_bodies,
    )
    try:
        yield queue
    finally:
        await queue.aclose()


REQUEST = TaskRequest(model="m", prompt=PROMPT)


def _task(number: int) -> Task:
    return Task.submit(f"task_1_{number}", REQUEST, 1).task


@pytest.mark.parametrize(("redact_bodies", "told"), [(False, [None]), (True, ["body"])])
async def test_each_way_of_publishing_says_what_to_redact(
    stub: Destination, redact_bodies: bool, told: list[str | None]
) -> None:
    gate = threading.Event()
    stub.answers.append(Answer(body=b'{"messageId": "msg_0"}', gate=gate))
    stub.answers.append(Answer(body=b'[{"messageId": "msg_1"}, {"messageId": "msg_2"}]'))
    async with _queue(stub.url, redact_bodies, "http://127.0.0.1:1") as queue:
        alone = asyncio.create_task(queue.enqueue(_task(0), REQUEST))
        await asyncio.to_thread(eventually, lambda: stub.delivered)
        together = [asyncio.create_task(queue.enqueue(_task(number), REQUEST)) for number in (1, 2)]
        batch = await asyncio.to_thread(eventually, lambda: stub.at("/v2/batch"))
        gate.set()
        assert await asyncio.gather(alone, *together) == ["msg_0", "msg_1", "msg_2"]
    published = [
        stub.delivered[0].headers,
        *(
            {name.lower(): value for name, value in each["headers"].items()}
            for each in json.loads(batch[0].body)
        ),
    ]
    assert len(published) == 3
    for headers in published:
        assert [headers.get(name) for name in FIELDS] == told * 2


@pytest.mark.parametrize(("redact_bodies", "told"), [(False, None), (True, "body")])
async def test_the_callback_of_an_announcement_waits_for_hours_and_is_redacted(
    stub: Destination, redact_bodies: bool, told: str | None
) -> None:
    stub.answers.append(Answer(body=b'{"messageId": "msg_0"}'))
    event = {"id": "evt_task_1_a"}
    announcement = Announcement("task_1_a", 0, "https://a.example/", False, None, 1, event)
    async with _queue(stub.url, redact_bodies, "http://127.0.0.1:1") as queue:
        assert await queue.enqueue_announcement(announcement) == "msg_0"
    headers = stub.delivered[0].headers
    assert [headers.get(name) for name in FIELDS] == [told] * 2
    callback = "upstash-failure-callback-"
    delay = RetryDelay.parse(headers[callback + "retry-delay"])
    retries = range(int(headers[callback + "retries"]))
    assert [delay.seconds(number) for number in retries] == [1, 120, 14_400]


async def test_what_is_shown_is_redacted_and_what_is_delivered_is_not(stub: Destination) -> None:
    """On the local QStash, whose rules are those of the documentation."""
    gates = threading.Event(), threading.Event()
    stub.answers.append(Answer(489, {"Upstash-NonRetryable-Error": "true"}, gate=gates[0]))
    stub.answers.append(Answer(gate=gates[1]))
    bearer = {"Authorization": f"Bearer {DEVELOPMENT.token}"}
    with running_local_qstash() as url:
        api = httpx.AsyncClient(base_url=url, headers=bearer)
        async with _queue(url, True, stub.url) as queue:
            message_id = await queue.enqueue(_task(0), REQUEST)
        delivered = await asyncio.to_thread(eventually, lambda: stub.at("/webhook"))
        assert delivered_task(delivered[0].body).request == REQUEST
        shown = [await api.get(f"/v2/messages/{message_id}")]
        gates[0].set()
        called = await asyncio.to_thread(eventually, lambda: stub.at("/failure"))
        source = base64.b64decode(json.loads(called[0].body)["sourceBody"])
        assert delivered_task(source).request == REQUEST
        callback_id = called[0].headers["upstash-message-id"]
        shown.append(await api.get(f"/v2/messages/{callback_id}"))
        shown.append(await api.get("/v2/dlq"))
        gates[1].set()
        await api.aclose()
    for each in shown:
        assert "REDACTED:" in each.text
        assert PROMPT not in each.text
        assert base64.b64encode(delivered[0].body).decode() not in each.text
