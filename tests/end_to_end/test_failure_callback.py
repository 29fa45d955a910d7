"""The queue's callback that the deliveries of a task have run out."""

import json
import threading
from typing import Any

import httpx
import pytest

from adapters.qstash.message import encode_guard
from adapters.webhooks import new_secret
from application.ports import Guard
from entrypoints.identity import SystemClock
from tests.doubles.destination import Destination
from tests.doubles.upstream import (
    DONE,
    Gate,
    Script,
    Upstream,
    finish,
    piece,
)
from tests.instances import QSTASH
from tests.running import Running, running_local_qstash, running_service, settings_for
from tests.signing import FAILURE, OF_THE_NEXT_VERSION, deliver, failure_callback, message, sign
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually, within


def _failure_callback(service: Running, body: bytes, base_url: str = "") -> httpx.Response:
    callback = failure_callback(body)
    url = (base_url or service.url) + FAILURE
    signature = sign(url, callback, service.queue.current_key)
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


def test_a_guard_whose_deliveries_all_failed_ends_its_task_and_tells_of_it() -> None:
    """No instance could be reached when the guard came. No reader reads the task."""
    with (
        running_local_qstash() as qstash,
        TcpProxy().running() as front,
        Destination().running() as receiver,
    ):
        settings = settings_for(
            base_url=front.url,
            qstash_token=QSTASH["QSTASH_TOKEN"],
            qstash_current_signing_key=QSTASH["QSTASH_CURRENT_SIGNING_KEY"],
            qstash_next_signing_key=QSTASH["QSTASH_NEXT_SIGNING_KEY"],
            qstash_url=qstash,
            qstash_retry_delay="3600000",
            webhook_secrets=new_secret(),
            private_webhooks=True,
        )
        with running_service(settings) as service:
            task_id = service.client.start(deadline=1, webhook={"url": receiver.url})
            guard = encode_guard(Guard(task_id))
            accepted_at = SystemClock().now()
            eventually(lambda: SystemClock().now() > accepted_at + 1000)
            front.ports.append(int(service.url.rpartition(":")[2]))
            for _ in range(2):
                reply = _failure_callback(service, guard, front.url)
                assert (reply.status_code, reply.json()) == (
                    200,
                    {"success": True, "taskId": task_id},
                )
            eventually(lambda: receiver.delivered)
            (told,) = (json.loads(each.body) for each in receiver.delivered)
            assert told["data"]["error"]["code"] == "deadline_exceeded"
            gone = _failure_callback(service, encode_guard(Guard("task_1_gone")), front.url)
            assert gone.status_code == 200


@pytest.mark.parametrize("body", OF_THE_NEXT_VERSION)
def test_a_callback_of_the_next_version_comes_again(retrying: Running, body: bytes) -> None:
    reply = _failure_callback(retrying, body)
    assert reply.status_code == 503
    assert reply.json()["type"] == "urn:longtask:problem:unreadable-delivery"
    assert int(reply.headers["Retry-After"]) > 0
    assert retrying.client.http.get("/api/tasks/task_1_next").status_code == 404
