"""Requests that are too long for a message: they are in the store only, and the message names them
by their digest."""

import base64
import json
from collections.abc import Iterator
from functools import partial

import httpx
import pytest

from domain.request import TaskRequest
from tests.doubles.upstream import DONE, Gate, Script, Upstream, finish, piece, refusal
from tests.redis_server import LocalRedis, redis_cli
from tests.running import Client, Running, running_service, settings_for
from tests.signing import WEBHOOK, deliver, naming_message, sign
from tests.waiting import eventually

FAILURE = "/api/qstash/failure"
LONG = "A long prompt. é\n" * 200
LOST = TaskRequest(model="m", prompt=LONG)


@pytest.fixture(scope="module")
def bounded(shared_upstream: Upstream) -> Iterator[Running]:
    """Its messages have at most 2,048 bytes."""
    settings = settings_for(
        openai_api_key="sk-planted-secret",
        openai_base_url=shared_upstream.url,
        qstash_retries=2,
        qstash_retry_delay="20",
        max_message_bytes=2048,
    )
    with running_service(settings) as running:
        yield running


def _queued(service: Running, message_id: str) -> str:
    """The body of a message that the queue holds."""
    headers = {"Authorization": f"Bearer {service.queue.token}"}
    url = f"{service.service.container.qstash_url()}/v2/messages/{message_id}"
    found = httpx.get(url, headers=headers)
    assert found.status_code == 200, found.text
    return str(found.json()["body"])


def _prompt(upstream: Upstream) -> object:
    return upstream.received[-1].body["messages"][-1]["content"]


def test_a_long_request_is_run_from_the_store(bounded: Running, scripted: Upstream) -> None:
    """Also by the delivery after a lost attempt."""
    gate = Gate()
    scripted.then(refusal(500), Script([gate, piece("Well."), finish(), DONE]))
    client = bounded.client
    task_id = client.start(LONG, options={"seed": 7})
    assert gate.reached.wait(10)
    assert _prompt(scripted) == LONG
    record = client.record(task_id)
    assert record["request"]["prompt"] == LONG
    body = json.loads(_queued(bounded, record["messageId"]))
    assert body.keys() == {
        *(
            "v",
            "taskId",
            "createdAt",
            "maxRetries",
            "retryDelay",
            "model",
            "requestSize",
            "requestDigest",
        )
    }
    gate.open()
    record = client.wait_for(task_id, "completed")
    assert (record["text"], record["attempt"]) == ("Well.", 2)
    assert [each.body["seed"] for each in scripted.received] == [7, 7]


def test_a_short_one_is_in_its_message(bounded: Running, scripted: Upstream) -> None:
    gate = Gate()
    scripted.then(Script([gate, finish(), DONE]))
    task_id = bounded.client.start("Short.")
    assert gate.reached.wait(10)
    record = bounded.client.record(task_id)
    body = json.loads(_queued(bounded, record["messageId"]))
    assert body["request"]["prompt"] == "Short."
    gate.open()
    bounded.client.wait_for(task_id, "completed")


def _failed(client: Client, task_id: str) -> None:
    record = client.record(task_id)
    assert record["status"] == "failed"
    assert record["error"] == {
        "code": "input_lost",
        "message": "The store has lost the request of the task.",
        "retryable": True,
    }
    assert record["request"] is None
    last = client.events(task_id).logged[-1]
    assert (last.type, last.data["code"]) == ("error", "input_lost")


def test_a_delivery_whose_request_is_lost_fails_the_task(
    bounded: Running, scripted: Upstream
) -> None:
    body = naming_message("task_1_lost", LOST)
    signature = sign(bounded.url + WEBHOOK, body, bounded.queue.current_key)
    reply = deliver(bounded.client.http, body, signature)
    assert reply.status_code == 489
    assert reply.headers["Upstash-NonRetryable-Error"] == "true"
    _failed(bounded.client, "task_1_lost")
    assert scripted.received == []
    assert deliver(bounded.client.http, body, signature).status_code == 200  # it has ended


def test_so_does_a_failure_callback_that_comes_first(bounded: Running) -> None:
    source = base64.b64encode(naming_message("task_1_gone", LOST)).decode()
    body = json.dumps({"sourceMessageId": "msg_1", "sourceBody": source}).encode()
    signature = sign(bounded.url + FAILURE, body, bounded.queue.current_key)
    reply = deliver(bounded.client.http, body, signature, FAILURE)
    assert reply.json()["status"] == "failed"
    _failed(bounded.client, "task_1_gone")


def _known(client: Client, task_id: str) -> bool:
    return client.http.get(f"/api/tasks/{task_id}").status_code == 200


def test_a_store_that_loses_a_running_task_loses_its_long_request(
    own_redis: LocalRedis, upstream: Upstream
) -> None:
    """A short one goes on from its message."""
    settings = settings_for(
        redis_url=own_redis.url,
        openai_base_url=upstream.url,
        qstash_retry_delay="50",
        max_message_bytes=2048,
    )
    gates = [Gate(), Gate()]
    for gate in gates:
        upstream.then(Script([piece("One"), gate, piece(" two"), finish(), DONE]))
    with running_service(settings) as service:
        client = service.client
        long, short = client.start(LONG), client.start("Short.")
        for gate in gates:
            assert gate.reached.wait(10)
        redis_cli("-p", str(own_redis.port), "FLUSHALL")
        for gate in gates:
            gate.open()
        for task_id in (short, long):  # until its delivery has created it again
            eventually(partial(_known, client, task_id))
        assert client.events(short).types[-1] == "end"
        assert client.events(long).types[-1] == "error"
        _failed(client, long)
        assert client.record(short)["text"] == "Hello, world."
