"""Deliveries as QStash makes them, twice, early and late, and as forgers do."""

import json
import threading
import time
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
from tests.end_to_end.guarded import alices
from tests.running import Running
from tests.signing import OF_THE_NEXT_VERSION, WEBHOOK, deliver, message, sign
from tests.waiting import eventually, within


def _signed(service: Running, body: bytes, key: str | None = None, **claims: Any) -> httpx.Response:
    """The answer to a delivery that the queue of the service signs."""
    signature = sign(service.url + WEBHOOK, body, key or service.queue.current_key, **claims)
    return deliver(service.client.http, body, signature)


def test_a_duplicate_delivery_of_a_finished_task_runs_nothing(
    retrying: Running, scripted: Upstream
) -> None:
    task_id = retrying.client.start()
    before = retrying.client.events(task_id).logged
    assert _signed(retrying, message(task_id)).status_code == 200
    assert [e.id for e in retrying.client.events(task_id).logged] == [e.id for e in before]
    assert len(scripted.received) == 1


def test_a_duplicate_delivery_waits_for_the_running_attempt(
    retrying: Running, scripted: Upstream
) -> None:
    gate = Gate()
    scripted.then(Script([piece("a"), gate, piece("b"), finish(), DONE]))
    task_id = retrying.client.start()
    retrying.client.events(task_id, until=lambda seen: "content" in seen.types)
    answers: list[int] = []

    def deliver_again() -> None:
        answers.append(_signed(retrying, message(task_id)).status_code)

    duplicate = threading.Thread(target=deliver_again)
    duplicate.start()
    eventually(lambda: "open_deliveries 2.0" in retrying.client.http.get("/metrics").text)
    assert answers == []
    gate.open()
    duplicate.join(within(10))
    assert answers == [200]
    assert len(scripted.received) == 1
    assert retrying.client.record(task_id)["attempt"] == 1


def test_a_delivery_alone_makes_a_lost_record_anew(retrying: Running) -> None:
    assert _signed(retrying, message("task_1_unknown")).status_code == 200
    record = retrying.client.record("task_1_unknown")
    assert record["status"] == "completed"
    assert record["createdAt"] == 1_700_000_000_000


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        (
            {"model": "gpt-3.5-turbo", "maxTokens": 1000, "temperature": 0.7},
            {"model": "gpt-3.5-turbo", "max_tokens": 1000, "temperature": 0.7},
        ),
        ({}, {"model": "gpt-4o-mini"}),
    ],
)
def test_a_message_of_the_older_system_is_run(
    retrying: Running, scripted: Upstream, fields: dict[str, Any], sent: dict[str, Any]
) -> None:
    task_id = f"task_1700000000000_abc{len(fields)}"
    body = json.dumps({"taskId": task_id, "prompt": "写一个故事", **fields}).encode()
    assert _signed(retrying, body).status_code == 200
    record = retrying.client.record(task_id)
    assert (record["status"], record["text"]) == ("completed", "Hello, world.")
    [received] = scripted.received
    assert received.body.items() >= sent.items()
    assert received.body["messages"] == [{"role": "user", "content": "写一个故事"}]


@pytest.mark.parametrize(("owner", "status"), [(None, 489), ("alice", 200)])
def test_with_api_keys_a_message_of_the_older_system_needs_an_owner(
    scripted: Upstream, owner: str | None, status: int
) -> None:
    body = json.dumps({"taskId": "task_1_older", "prompt": "Hi."}).encode()
    with alices(scripted, older_messages_owner=owner) as running:
        assert _signed(running, body).status_code == status
        found = running.client.http.get("/api/tasks/task_1_older")
        assert found.status_code == (200 if owner else 404)


def test_the_next_signing_key_is_accepted(retrying: Running) -> None:
    reply = _signed(retrying, message("task_1_rotated"), retrying.queue.next_key)
    assert reply.status_code == 200


def test_a_clock_that_is_a_little_behind_is_tolerated(retrying: Running) -> None:
    soon = int(time.time()) + 2
    reply = _signed(retrying, message("task_1_early"), nbf=soon, iat=soon)
    assert reply.status_code == 200


@pytest.mark.parametrize(
    ("case", "wrong"),
    [
        ("missing", "signature"),
        ("key", "signature"),
        ("junk", "signature"),
        ("expired", "expiry"),
        ("url", "url"),
        ("body", "body"),
        ("early", "clock"),
    ],
)
def test_what_is_not_signed_for_us_is_refused_and_the_log_says_why(
    retrying: Running,
    scripted: Upstream,
    case: str,
    wrong: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    url, key, body = retrying.url + WEBHOOK, retrying.queue.current_key, message("task_1_forged")
    now = int(time.time())
    signatures = {
        "missing": None,
        "key": sign(url, body, "sig_of_another_account_with_32_bytes"),
        "expired": sign(url, body, key, exp=now - 60, nbf=now - 400, iat=now - 400),
        "url": sign("https://me:planted@elsewhere.example/x?token=planted", body, key),
        "body": sign(url, body + b" ", key),
        "junk": "not.a.token",
        "early": sign(url, body, key, nbf=now + 3600),
    }
    reply = deliver(retrying.client.http, body, signatures[case])
    assert reply.status_code == 401
    assert reply.json()["type"] == "urn:longtask:problem:bad-signature"
    assert retrying.client.http.get("/api/tasks/task_1_forged").status_code == 404
    assert scripted.received == []
    lines = [each.getMessage() for each in caplog.records]
    [told] = [line for line in lines if "delivery refused" in line]
    assert f"wrong='{wrong}'" in told
    assert f"expected_url='{url}'" in told
    assert ("https://elsewhere.example/x" in told) is (case == "url")
    assert "planted" not in caplog.text


def test_a_webhook_delivery_replayed_to_the_failure_callback_is_refused(retrying: Running) -> None:
    body = message("task_1_forged")
    signature = sign(retrying.url + WEBHOOK, body, retrying.queue.current_key)
    reply = deliver(retrying.client.http, body, signature, "/api/qstash/failure")
    assert reply.status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        b"not json",
        b"{}",
        message("bad id!"),
        message(
            "task_1_x",
            request={"v": 1, "model": "m", "max_tokens": "0", "temperature": 9, "prompt": " "},
        ),
    ],
)
def test_signed_nonsense_is_not_delivered_again(retrying: Running, body: bytes) -> None:
    reply = _signed(retrying, body)
    assert reply.status_code == 489
    assert reply.headers["Upstash-NonRetryable-Error"] == "true"


@pytest.mark.parametrize("path", [WEBHOOK, "/api/qstash/failure"])
def test_nor_is_what_is_deeper_than_can_be_read(retrying: Running, path: str) -> None:
    body = b'{"taskId":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    signature = sign(retrying.url + path, body, retrying.queue.current_key)
    assert deliver(retrying.client.http, body, signature, path).status_code == 489


@pytest.mark.parametrize("body", OF_THE_NEXT_VERSION)
def test_a_message_of_the_next_version_is_delivered_again(retrying: Running, body: bytes) -> None:
    """During an upgrade: an instance that can read it takes one of the next deliveries."""
    reply = _signed(retrying, body)
    assert reply.status_code == 503
    assert reply.json()["type"] == "urn:longtask:problem:unreadable-delivery"
    assert int(reply.headers["Retry-After"]) > 0
    assert retrying.client.http.get("/api/tasks/task_1_next").status_code == 404
