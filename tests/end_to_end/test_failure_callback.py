"""The queue's callback that the deliveries of a task have run out."""

import threading
from typing import Any

import httpx
import pytest

from tests.doubles.upstream import (
    DONE,
    Gate,
    Script,
    Upstream,
    finish,
    piece,
)
from tests.running import Running
from tests.signing import FAILURE, OF_THE_NEXT_VERSION, deliver, failure_callback, message, sign
from tests.waiting import within


def _failure_callback(service: Running, body: bytes) -> httpx.Response:
    callback = failure_callback(body)
    signature = sign(service.url + FAILURE, callback, service.queue.current_key)
    return deliver(service.client.http, callback, signature, FAILURE)


def test_the_failure_callback_settles_a_task_that_nobody_holds(retrying: Running) -> None:
    reply = _failure_callback(retrying, message("task_1_ran_out"))
    assert reply.status_code == 200
    assert reply.json()["status"] == "failed"
    last = retrying.client.events("task_1_ran_out").logged[-1]
    assert last.data["code"] == "deliveries_exhausted"
    assert _failure_callback(retrying, message("task_1_ran_out")).json()["status"] == "failed"


def test_the_failure_callback_leaves_a_finished_task_alone(retrying: Running) -> None:
    task_id = retrying.client.start()
    retrying.client.wait_for(task_id, "completed")
    assert _failure_callback(retrying, message(task_id)).json()["status"] == "completed"


def test_the_failure_callback_waits_for_a_live_attempt(
    retrying: Running, scripted: Upstream
) -> None:
    gate = Gate()
    scripted.then(Script([piece("a"), gate, finish(), DONE]))
    task_id = retrying.client.start()
    retrying.client.events(task_id, until=lambda seen: "content" in seen.types)
    replies: list[dict[str, Any]] = []

    def call_back() -> None:
        replies.append(_failure_callback(retrying, message(task_id)).json())

    calling = threading.Thread(target=call_back)
    calling.start()
    # That it waits, whenever it comes, is shown in tests/unit/test_reap.py.
    gate.open()
    calling.join(within(10))
    assert replies[0]["status"] == "completed"


@pytest.mark.parametrize("body", OF_THE_NEXT_VERSION)
def test_a_callback_of_the_next_version_comes_again(retrying: Running, body: bytes) -> None:
    reply = _failure_callback(retrying, body)
    assert reply.status_code == 503
    assert reply.json()["type"] == "urn:longtask:problem:unreadable-delivery"
    assert int(reply.headers["Retry-After"]) > 0
    assert retrying.client.http.get("/api/tasks/task_1_next").status_code == 404
