"""POST /api/tasks/{taskId}/retry: through HTTP and the local QStash, with the embedded store."""

from typing import Any

import httpx

from tests.doubles.upstream import Gate, Script, Upstream, answer, piece, refusal
from tests.end_to_end.guarded import BOB, alices, as_bearer
from tests.running import Running
from tests.waiting import within

PROBLEM = "urn:longtask:problem:"


def _retry(service: Running, task_id: str, **headers: str) -> httpx.Response:
    return service.client.http.post(f"/api/tasks/{task_id}/retry", headers=headers)


def _asked(upstream: Upstream) -> list[Any]:
    return [each.body for each in upstream.received]


def test_a_failed_task_is_started_anew_with_all_that_it_asked(
    retrying: Running, scripted: Upstream
) -> None:
    scripted.then(Script(answer("First.")), refusal(401), Script(answer("Better.")))
    first = retrying.client.start("One?")
    retrying.client.wait_for(first, "completed")
    old = retrying.client.start(
        "And two?",
        previousTaskId=first,
        options={"seed": 7},
        metadata={"k": "v"},
        ttl=3_600,
        maxTokens=9,
    )
    failed = retrying.client.wait_for(old, "failed")
    assert failed["retryOf"] is None
    assert retrying.client.http.delete(f"/api/tasks/{first}").status_code == 204

    reply = _retry(retrying, old)
    assert reply.status_code == 202
    started = reply.json()
    new = started["taskId"]
    assert new != old
    assert (started["success"], started["retryOf"]) == (True, old)
    assert reply.headers["Location"] == f"/api/tasks/{new}"
    record = retrying.client.wait_for(new, "completed")
    assert (record["retryOf"], record["text"]) == (old, "Better.")
    assert record["request"] == failed["request"]
    assert _asked(scripted)[2] == _asked(scripted)[1]
    assert retrying.client.record(old) == failed, "the old one has changed"
    assert [each.data["data"] for each in retrying.client.events(new).logged][-1] == "Better."


def test_a_cancelled_task_is_started_anew_once_for_each_key(
    retrying: Running, scripted: Upstream
) -> None:
    gate = Gate()
    scripted.then(Script([piece("So"), gate]), Script(answer("Whole.")))
    old = retrying.client.start()
    assert gate.reached.wait(within(10))
    refused = _retry(retrying, old)
    assert (refused.status_code, refused.json()["type"]) == (409, f"{PROBLEM}task-not-ended")
    assert retrying.client.http.post(f"/api/tasks/{old}/cancel").status_code == 202
    replies = [_retry(retrying, old, **{"Idempotency-Key": "again"}) for _ in range(2)]
    assert [each.status_code for each in replies] == [202, 202]
    new, joined = (each.json()["taskId"] for each in replies)
    assert new == joined
    assert retrying.client.wait_for(new, "completed")["text"] == "Whole."
    refused = _retry(retrying, new)
    assert (refused.status_code, refused.json()["type"]) == (409, f"{PROBLEM}task-completed")
    conflict = retrying.client.http.post(
        "/api/tasks/start", json={"prompt": "Hi."}, headers={"Idempotency-Key": "again"}
    )
    assert conflict.status_code == 422


def test_everything_at_fault_is_named(retrying: Running) -> None:
    bad = _retry(retrying, "-", **{"Idempotency-Key": "x" * 256})
    assert {each["field"] for each in bad.json()["errors"]} == {"taskId", "Idempotency-Key"}
    assert _retry(retrying, "task_1_nobody").status_code == 404


def test_only_its_owner_retries_a_task_and_it_counts_as_a_start(upstream: Upstream) -> None:
    upstream.then(refusal(401))
    with alices(upstream, limits="starts=2") as service:
        old = service.client.start()
        service.client.wait_for(old, "failed")
        url = f"{service.url}/api/tasks/{old}/retry"
        assert httpx.post(url, headers=as_bearer(BOB)).status_code == 404
        assert httpx.post(url).status_code == 401
        accepted, refused = _retry(service, old), _retry(service, old)
        assert accepted.status_code == 202
        assert "starts-per-key" in accepted.headers["RateLimit"]
        assert (refused.status_code, refused.json()["type"]) == (429, f"{PROBLEM}too-many-starts")
        page = service.client.http.get("/metrics").text
        assert "longtask_starts_total 2.0" in page
