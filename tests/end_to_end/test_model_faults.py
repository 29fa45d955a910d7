"""What the model's server can do wrong, and what clients are told of it."""

import json
from typing import Any

import pytest

from tests.doubles.upstream import (
    Script,
    Upstream,
    answer,
    event,
    piece,
    refusal,
)
from tests.running import Running


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
    retrying: Running, scripted: Upstream, script: Script, code: str
) -> None:
    scripted.then(script)
    task_id = retrying.client.start()
    last = _last(retrying, task_id)
    assert last["type"] == "error"
    assert last["code"] == code
    assert last["retryable"] is False
    assert "sk-planted-secret" not in json.dumps(last)
    record = retrying.client.record(task_id)
    assert record["status"] == "failed"
    assert record["attempt"] == 1
    assert record["error"]["code"] == code
    status = retrying.client.http.get("/api/tasks/start", params={"taskId": task_id}).json()
    assert status == {"taskId": task_id, "status": "failed", "error": last["data"]}
    assert len(scripted.received) == 1


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (refusal(500), "model_error"),
        (refusal(503), "model_error"),
        (refusal(429, "rate_limit_exceeded", **{"retry-after": "0"}), "rate_limited"),
        (Script([piece("lost "), piece("words")], cut=True), "connection_lost"),
        (Script([piece("no finish reason")]), "incomplete"),
        (Script([piece("a"), b"data: {broken\n\n"]), "invalid_response"),
        (Script([piece("a"), event({"error": {"code": "server_error"}})]), "model_error"),
    ],
)
def test_a_passing_fault_is_delivered_again(
    retrying: Running, scripted: Upstream, script: Script, reason: str
) -> None:
    scripted.then(script, Script(answer("Second ", "try.")))
    task_id = retrying.client.start()
    logged = retrying.client.events(task_id).logged
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
    assert retrying.client.record(task_id)["text"] == "Second try."


def test_the_last_delivery_tells_what_went_wrong(retrying: Running, scripted: Upstream) -> None:
    scripted.then(*[refusal(500)] * 3)
    task_id = retrying.client.start()
    last = _last(retrying, task_id)
    assert last["type"] == "error"
    assert last["code"] == "model_error"
    assert last["retryable"] is True
    assert retrying.client.record(task_id)["attempt"] == 3
    assert len(scripted.received) == 3


def test_retry_after_of_the_model_is_passed_on(retrying: Running, scripted: Upstream) -> None:
    # The queue's own pause is 20 ms; the model asks for a second.
    scripted.then(refusal(429, "rate_limit_exceeded", **{"retry-after": "1"}), Script(answer("ok")))
    logged = retrying.client.events(retrying.client.start()).logged
    lost = next(e.data for e in logged if e.data.get("reason") == "rate_limited")
    moments = {
        (e.data["data"], e.data["attempt"]): e.data["timestamp"]
        for e in logged
        if e.type == "status"
    }
    assert moments["running", 2] - moments["pending", 1] >= 950
    assert lost["nextAttemptAt"] == moments["pending", 1] + 1_000


def test_a_task_says_when_its_next_attempt_may_begin(retrying: Running, scripted: Upstream) -> None:
    scripted.then(refusal(429, "rate_limit_exceeded", **{"retry-after": "3600"}))
    client = retrying.client
    task_id = client.start()
    lost = client.events(task_id, until=lambda seen: "nextAttemptAt" in seen.events[-1].data)
    next_at = lost.logged[-1].data["nextAttemptAt"]
    assert next_at == lost.logged[-1].data["timestamp"] + 3_600_000
    assert client.record(task_id)["nextAttemptAt"] == next_at
    listed = client.http.get("/api/tasks").json()["tasks"]
    assert next(each for each in listed if each["taskId"] == task_id)["nextAttemptAt"] == next_at
    assert client.http.post(f"/api/tasks/{task_id}/cancel").status_code == 202
    assert client.wait_for(task_id, "cancelled")["nextAttemptAt"] is None


def test_parameters_that_a_model_refuses_are_replaced(
    retrying: Running, scripted: Upstream
) -> None:
    def unsupported(name: str, code: str) -> Script:
        error = {"message": "no", "type": "invalid_request_error", "code": code, "param": name}
        return Script([json.dumps({"error": error}).encode()], 400)

    scripted.then(
        unsupported("max_tokens", "unsupported_parameter"),
        unsupported("temperature", "unsupported_value"),
        Script(answer("fine")),
        Script(answer("again")),
    )
    wanted: dict[str, Any] = {"maxTokens": 9, "temperature": 0.5, "model": "o9"}
    first = retrying.client.start(**wanted)
    assert retrying.client.wait_for(first, "completed")["attempt"] == 1
    assert retrying.client.wait_for(retrying.client.start(**wanted), "completed")
    assert len(scripted.received) == 4
    for received in scripted.received[2:]:
        assert received.body["max_completion_tokens"] == 9
        assert "max_tokens" not in received.body
        assert "temperature" not in received.body
