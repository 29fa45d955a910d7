"""Cancelling a task: one that runs, one that waits, and one that has ended."""

import re

import httpx

from tests.doubles.upstream import (
    Gate,
    Script,
    Upstream,
    piece,
    refusal,
)
from tests.running import Running, running_service, settings_for
from tests.waiting import eventually, within


def _deliveries(service: Running) -> float:
    """How many were answered 200."""
    page = service.client.http.get("/metrics").text
    found = re.search(r'deliveries_total{status="200"} (\S+)', page)
    return float(found[1]) if found else 0.0


def test_cancel_in_mid_stream_keeps_the_text_and_closes_the_connection(
    retrying: Running, scripted: Upstream
) -> None:
    gate = Gate()
    scripted.then(Script([piece("Kept"), gate, piece("never")]))
    answered = _deliveries(retrying)
    task_id = retrying.client.start()
    retrying.client.events(task_id, until=lambda seen: "content" in seen.types)
    cancelled = retrying.client.http.post(f"/api/tasks/{task_id}/cancel")
    assert cancelled.status_code == 202
    assert cancelled.json()["status"] == "cancelled"
    assert cancelled.json()["text"] == "Kept"
    assert scripted.received[0].gone.wait(within(5)), "the model's connection stayed open"
    logged = retrying.client.events(task_id).logged
    assert [e.data["data"] for e in logged if e.type == "status"][-1] == "cancelled"
    assert logged[-1].data["data"] == "Kept"
    assert logged[-1].data["finishReason"] == "cancelled"
    assert retrying.client.http.post(f"/api/tasks/{task_id}/cancel").status_code == 200
    # The delivery was answered 200: nothing comes back.
    eventually(lambda: _deliveries(retrying) == answered + 1)
    assert len(scripted.received) == 1


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
        last = service.client.events(task_id).logged[-1]
        assert (last.type, last.data["data"]) == ("end", "")


def test_an_ended_task_cannot_be_cancelled(retrying: Running) -> None:
    task_id = retrying.client.start()
    retrying.client.wait_for(task_id, "completed")
    refused = retrying.client.http.post(f"/api/tasks/{task_id}/cancel")
    assert refused.status_code == 409
    assert refused.json()["type"] == "urn:longtask:problem:task-has-ended"
