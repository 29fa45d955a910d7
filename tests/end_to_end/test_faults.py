"""What the upstream, the queue and forgers can do, and what clients are told of it."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.doubles.upstream import (
    DONE,
    Gate,
    Script,
    Upstream,
    answer,
    event,
    finish,
    piece,
    refusal,
)
from tests.running import Running, running_service, settings_for
from tests.signing import sign
from tests.waiting import eventually, within

WEBHOOK = "/api/qstash/webhook"


@pytest.fixture
def service(upstream: Upstream) -> Iterator[Running]:
    """As everywhere, with two retries that follow at once."""
    settings = settings_for(
        openai_api_key="sk-planted-secret",
        openai_base_url=upstream.url,
        qstash_retries=2,
        qstash_retry_delay="20",
    )
    with running_service(settings) as running:
        yield running


def _last(service: Running, task_id: str) -> dict[str, Any]:
    return service.client.events(task_id).logged[-1].data


@pytest.mark.parametrize(
    ("script", "code"),
    [
        (refusal(401, "invalid_api_key", "Incorrect key sk-planted-secret"), "invalid_api_key"),
        (refusal(404, "model_not_found", "no such model"), "model_not_found"),
        (refusal(429, "insufficient_quota", "You exceeded your quota"), "insufficient_quota"),
        (refusal(400, "context_length_exceeded"), "context_length_exceeded"),
        (refusal(400, "content_policy_violation"), "content_refused"),
        (refusal(403), "permission_denied"),
        (
            Script([piece("x"), event({"error": {"type": "invalid_request_error"}})]),
            "invalid_request",
        ),
    ],
)
def test_a_permanent_fault_fails_the_task_at_once(
    service: Running, upstream: Upstream, script: Script, code: str
) -> None:
    upstream.then(script)
    task_id = service.client.start()
    last = _last(service, task_id)
    assert last["type"] == "error"
    assert last["code"] == code
    assert last["retryable"] is False
    assert "sk-planted-secret" not in json.dumps(last)
    record = service.client.record(task_id)
    assert record["status"] == "failed"
    assert record["attempt"] == 1
    assert record["error"]["code"] == code
    status = service.client.http.get("/api/tasks/start", params={"taskId": task_id}).json()
    assert status == {"taskId": task_id, "status": "failed", "error": last["data"]}
    assert len(upstream.received) == 1


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (refusal(500), "model_error"),
        (refusal(503), "model_error"),
        (refusal(429, "rate_limit_exceeded", **{"retry-after": "0"}), "rate_limited"),
        (Script([piece("lost "), piece("words")], cut=True), "connection_lost"),
        (Script([piece("no finish reason")]), "incomplete"),
        (Script([piece("no finish reason"), DONE]), "incomplete"),
        (Script([piece("a"), b"data: {broken\n\n"]), "invalid_response"),
        (Script([piece("a"), event({"error": {"code": "server_error"}})]), "model_error"),
    ],
)
def test_a_passing_fault_is_delivered_again(
    service: Running, upstream: Upstream, script: Script, reason: str
) -> None:
    upstream.then(script, Script(answer("Second ", "try.")))
    task_id = service.client.start()
    logged = service.client.events(task_id).logged
    statuses = [(e.data["data"], e.data["attempt"]) for e in logged if e.type == "status"]
    assert statuses == [
        ("pending", 0),
        ("running", 1),
        ("pending", 1),
        ("running", 2),
        ("completed", 2),
    ]
    lost = next(e for e in logged if e.data.get("reason"))
    assert lost.data["reason"] == reason
    assert logged[-1].data["data"] == "Second try."
    assert service.client.record(task_id)["text"] == "Second try."


def test_the_last_delivery_tells_what_went_wrong(service: Running, upstream: Upstream) -> None:
    upstream.then(*[refusal(500)] * 3)
    task_id = service.client.start()
    last = _last(service, task_id)
    assert last["type"] == "error"
    assert last["code"] == "model_error"
    assert last["retryable"] is True
    assert service.client.record(task_id)["attempt"] == 3
    assert len(upstream.received) == 3


def test_retry_after_of_the_model_is_passed_on(service: Running, upstream: Upstream) -> None:
    # The queue's own pause is 20 ms; the model asks for a second.
    upstream.then(refusal(429, "rate_limit_exceeded", **{"retry-after": "1"}), Script(answer("ok")))
    logged = service.client.events(service.client.start()).logged
    moments = {
        (e.data["data"], e.data["attempt"]): e.data["timestamp"]
        for e in logged
        if e.type == "status"
    }
    assert moments["running", 2] - moments["pending", 1] >= 950


def test_parameters_that_a_model_refuses_are_replaced(service: Running, upstream: Upstream) -> None:
    def unsupported(name: str, code: str) -> Script:
        error = {"message": "no", "type": "invalid_request_error", "code": code, "param": name}
        return Script([json.dumps({"error": error}).encode()], 400)

    upstream.then(
        unsupported("max_tokens", "unsupported_parameter"),
        unsupported("temperature", "unsupported_value"),
        Script(answer("fine")),
        Script(answer("again")),
    )
    first = service.client.start(maxTokens=9, model="o9")
    assert service.client.wait_for(first, "completed")["attempt"] == 1
    assert service.client.wait_for(service.client.start(maxTokens=9, model="o9"), "completed")
    assert len(upstream.received) == 4
    for received in upstream.received[2:]:
        assert received.body["max_completion_tokens"] == 9
        assert "max_tokens" not in received.body
        assert "temperature" not in received.body


def test_cancel_in_mid_stream_keeps_the_text_and_closes_the_connection(
    service: Running, upstream: Upstream
) -> None:
    gate = Gate()
    upstream.then(Script([piece("Kept"), gate, piece("never")]))
    task_id = service.client.start()
    service.client.events(task_id, until=lambda seen: "content" in seen.types)
    cancelled = service.client.http.post(f"/api/tasks/{task_id}/cancel")
    assert cancelled.status_code == 202
    assert cancelled.json()["status"] == "cancelled"
    assert cancelled.json()["text"] == "Kept"
    assert upstream.received[0].gone.wait(within(5)), "the model's connection stayed open"
    logged = service.client.events(task_id).logged
    assert [e.data["data"] for e in logged if e.type == "status"][-1] == "cancelled"
    assert logged[-1].data["data"] == "Kept"
    assert logged[-1].data["finishReason"] == "cancelled"
    assert service.client.http.post(f"/api/tasks/{task_id}/cancel").status_code == 200
    # The delivery was answered 200: nothing comes back.
    eventually(
        lambda: 'deliveries_total{status="200"} 1.0' in service.client.http.get("/metrics").text
    )
    assert len(upstream.received) == 1


def test_cancel_of_a_queued_task_withdraws_it(upstream: Upstream) -> None:
    # The first delivery fails and the next is an hour away: the task waits in the queue.
    upstream.then(refusal(500))
    settings = settings_for(openai_base_url=upstream.url, qstash_retry_delay="3600000")
    with running_service(settings) as service:
        task_id = service.client.start()
        eventually(lambda: service.client.record(task_id)["attempt"] == 1)
        service.client.wait_for(task_id, "pending")
        message_id = service.client.record(task_id)["messageId"]
        queue = httpx.Client(
            base_url=service.service.container.qstash_url(),
            headers={"Authorization": f"Bearer {service.queue.token}"},
        )
        with queue:
            assert queue.get(f"/v2/messages/{message_id}").status_code == 200
            assert service.client.http.post(f"/api/tasks/{task_id}/cancel").status_code == 202
            assert queue.get(f"/v2/messages/{message_id}").status_code == 404
        last = _last(service, task_id)
        assert last["type"] == "end"
        assert last["data"] == ""


def test_a_settled_task_cannot_be_cancelled(service: Running) -> None:
    task_id = service.client.start()
    service.client.wait_for(task_id, "completed")
    refused = service.client.http.post(f"/api/tasks/{task_id}/cancel")
    assert refused.status_code == 409
    assert refused.json()["type"] == "urn:longtask:problem:task-has-ended"


def _body(task_id: str, **changes: Any) -> bytes:
    message = {
        "v": 1,
        "taskId": task_id,
        "createdAt": 1_700_000_000_000,
        "maxRetries": 2,
        "request": {"v": 1, "model": "m", "max_tokens": 10, "temperature": 0.5, "prompt": "Hi."},
    }
    return json.dumps({**message, **changes}).encode()


def _signature(
    service: Running, url: str, body: bytes, key: str | None = None, **claims: Any
) -> str:
    return sign(url, body, key or service.queue.current_key, **claims)


def _deliver(
    service: Running, body: bytes, signature: str | None, **headers: str
) -> httpx.Response:
    sent = {"Content-Type": "application/json", **headers}
    if signature is not None:
        sent["Upstash-Signature"] = signature
    return service.client.http.post(WEBHOOK, content=body, headers=sent)


def test_a_duplicate_delivery_of_a_finished_task_runs_nothing(
    service: Running, upstream: Upstream
) -> None:
    task_id = service.client.start()
    before = service.client.events(task_id).logged
    body = _body(task_id)
    assert (
        _deliver(service, body, _signature(service, service.url + WEBHOOK, body)).status_code == 200
    )
    assert [e.id for e in service.client.events(task_id).logged] == [e.id for e in before]
    assert len(upstream.received) == 1


def test_a_duplicate_delivery_waits_for_the_running_attempt(
    service: Running, upstream: Upstream
) -> None:
    gate = Gate()
    upstream.then(Script([piece("a"), gate, piece("b"), finish(), DONE]))
    task_id = service.client.start()
    service.client.events(task_id, until=lambda seen: "content" in seen.types)
    body = _body(task_id)
    answers: list[int] = []

    def deliver() -> None:
        signature = _signature(service, service.url + WEBHOOK, body)
        answers.append(_deliver(service, body, signature).status_code)

    duplicate = threading.Thread(target=deliver)
    duplicate.start()
    eventually(lambda: "open_deliveries 2.0" in service.client.http.get("/metrics").text)
    assert answers == []
    gate.open()
    duplicate.join(within(10))
    assert answers == [200]
    assert len(upstream.received) == 1
    assert service.client.record(task_id)["attempt"] == 1


def test_a_delivery_alone_makes_a_lost_record_anew(service: Running) -> None:
    body = _body("task_1_unknown")
    assert (
        _deliver(service, body, _signature(service, service.url + WEBHOOK, body)).status_code == 200
    )
    record = service.client.record("task_1_unknown")
    assert record["status"] == "completed"
    assert record["createdAt"] == 1_700_000_000_000


def test_the_next_signing_key_is_accepted(service: Running) -> None:
    body = _body("task_1_rotated")
    signature = _signature(service, service.url + WEBHOOK, body, service.queue.next_key)
    assert _deliver(service, body, signature).status_code == 200


def test_a_clock_that_is_a_little_behind_is_waited_for(service: Running) -> None:
    body = _body("task_1_early")
    soon = int(time.time()) + 2
    signature = _signature(service, service.url + WEBHOOK, body, nbf=soon, iat=soon)
    assert _deliver(service, body, signature).status_code == 200


@pytest.mark.parametrize("case", ["missing", "key", "expired", "url", "body", "junk", "early"])
def test_what_is_not_signed_for_us_is_refused(
    service: Running, upstream: Upstream, case: str
) -> None:
    url = service.url + WEBHOOK
    body = _body("task_1_forged")
    now = int(time.time())
    signatures = {
        "missing": None,
        "key": _signature(service, url, body, "sig_of_somebody_else_with_32_bytes_"),
        "expired": _signature(service, url, body, exp=now - 60, nbf=now - 400, iat=now - 400),
        "url": _signature(service, "https://elsewhere.example/api/qstash/webhook", body),
        "body": _signature(service, url, body + b" "),
        "junk": "not.a.token",
        "early": _signature(service, url, body, nbf=now + 3600),
    }
    reply = _deliver(service, body, signatures[case])
    assert reply.status_code == 401
    assert reply.json()["type"] == "urn:longtask:problem:bad-signature"
    assert service.client.http.get("/api/tasks/task_1_forged").status_code == 404
    assert upstream.received == []


def test_a_webhook_delivery_replayed_to_the_failure_callback_is_refused(service: Running) -> None:
    body = _body("task_1_forged")
    signature = _signature(service, service.url + WEBHOOK, body)
    headers = {"Upstash-Signature": signature}
    reply = service.client.http.post("/api/qstash/failure", content=body, headers=headers)
    assert reply.status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        b"not json",
        b"{}",
        _body("bad id!"),
        _body(
            "task_1_x",
            request={"v": 1, "model": "m", "max_tokens": 0, "temperature": 9, "prompt": " "},
        ),
    ],
)
def test_signed_nonsense_is_not_delivered_again(service: Running, body: bytes) -> None:
    reply = _deliver(service, body, _signature(service, service.url + WEBHOOK, body))
    assert reply.status_code == 489
    assert reply.headers["Upstash-NonRetryable-Error"] == "true"


@pytest.mark.parametrize(
    "body",
    [
        _body("task_1_next", v=2, request={"hash": "0" * 64}),
        _body("task_1_next", request={"v": 2, "prompt": ["Hi."]}),
    ],
)
def test_a_message_of_the_next_version_is_delivered_again(service: Running, body: bytes) -> None:
    """During an upgrade: an instance that can read it takes one of the next deliveries."""
    replies = [
        _deliver(service, body, _signature(service, service.url + WEBHOOK, body)),
        _failure_callback(service, body),
    ]
    for reply in replies:
        assert reply.status_code == 503
        assert reply.json()["type"] == "urn:longtask:problem:unreadable-delivery"
        assert int(reply.headers["Retry-After"]) > 0
    assert service.client.http.get("/api/tasks/task_1_next").status_code == 404


def _failure_callback(service: Running, body: bytes) -> httpx.Response:
    source = base64.b64encode(body).decode()
    callback = json.dumps(
        {"status": 500, "sourceMessageId": "msg_1", "sourceBody": source}
    ).encode()
    signature = _signature(service, service.url + "/api/qstash/failure", callback)
    return service.client.http.post(
        "/api/qstash/failure", content=callback, headers={"Upstash-Signature": signature}
    )


def test_the_failure_callback_settles_a_task_that_nobody_holds(service: Running) -> None:
    reply = _failure_callback(service, _body("task_1_ran_out"))
    assert reply.status_code == 200
    assert reply.json()["status"] == "failed"
    last = _last(service, "task_1_ran_out")
    assert last["code"] == "deliveries_exhausted"
    assert _failure_callback(service, _body("task_1_ran_out")).json()["status"] == "failed"


def test_the_failure_callback_leaves_a_finished_task_alone(service: Running) -> None:
    task_id = service.client.start()
    service.client.wait_for(task_id, "completed")
    assert _failure_callback(service, _body(task_id)).json()["status"] == "completed"


def test_the_failure_callback_waits_for_a_live_attempt(
    service: Running, upstream: Upstream
) -> None:
    gate = Gate()
    upstream.then(Script([piece("a"), gate, finish(), DONE]))
    task_id = service.client.start()
    service.client.events(task_id, until=lambda seen: "content" in seen.types)
    replies: list[dict[str, Any]] = []

    def call_back() -> None:
        replies.append(_failure_callback(service, _body(task_id)).json())

    calling = threading.Thread(target=call_back)
    calling.start()
    # That it waits, whenever it comes, is shown in tests/unit/test_settle_task.py.
    gate.open()
    calling.join(within(10))
    assert replies[0]["status"] == "completed"


def test_the_development_route_runs_a_task_without_the_queue(service: Running) -> None:
    query = {"taskId": "test", "prompt": "Hello"}
    reply = service.client.http.get(WEBHOOK, params=query)
    assert reply.status_code == 200
    assert service.client.record("test")["text"] == "Hello, world."
    assert service.client.http.get(WEBHOOK, params={"prompt": "Hi"}).json()["taskId"]
    refused = service.client.http.get(WEBHOOK, params={"prompt": "  "})
    assert refused.status_code == 400
    assert refused.json()["errors"][0]["field"] == "prompt"


def test_the_development_route_is_closed_elsewhere(upstream: Upstream) -> None:
    with running_service(settings_for(env="production", openai_base_url=upstream.url)) as service:
        reply = service.client.http.get(WEBHOOK, params={"taskId": "test", "prompt": "Hello"})
        assert reply.status_code == 405
        assert reply.headers["content-type"] == "application/problem+json"
        assert service.client.http.get("/api/tasks/test").status_code == 404


@pytest.mark.parametrize(("status", "expected"), [(None, 503), (401, 502), (429, 503)])
def test_a_queue_that_does_not_take_the_task_is_told_to_the_client(
    status: int | None, expected: int, upstream: Upstream
) -> None:
    """The queue is away (its port is closed), refuses our token, or is over its limit."""
    upstream.then(*[refusal(status or 500)] * 2)
    url = upstream.url if status else "http://127.0.0.1:1"
    settings = settings_for(
        qstash_token="token",
        qstash_current_signing_key="sig_1",
        qstash_next_signing_key="sig_2",
        base_url="http://127.0.0.1:9",
        qstash_url=url,
        qstash_timeout=2.0,
    )
    with running_service(settings) as service:
        reply = service.client.http.post("/api/tasks/start", json={"prompt": "Hi."})
        assert reply.status_code == expected
        assert reply.headers["content-type"] == "application/problem+json"
        assert "not started" in reply.json()["error"]
        headers = {"Idempotency-Key": "order-8"}
        keyed = service.client.http.post(
            "/api/tasks/start", json={"prompt": "Hi."}, headers=headers
        )
        assert keyed.status_code == expected
        kind = "start-uncertain" if expected == 503 else "queue-refused"
        assert keyed.json()["type"] == f"urn:longtask:problem:{kind}"
        assert "taskId" not in reply.json()
        if expected == 503:
            assert int(reply.headers["retry-after"]) >= 1
