"""Deleting tasks, and tasks that are kept for a short time: through HTTP and the local QStash."""

import threading

import httpx
import pytest

from tests.doubles.upstream import Gate, Script, Upstream, piece, refusal
from tests.end_to_end.guarded import BOB, alices, as_bearer
from tests.running import Running, Seen, running_service, settings_for
from tests.signing import FAILURE, WEBHOOK, deliver, failure_callback, message, sign
from tests.waiting import eventually, within


def _delete(service: Running, task_id: str) -> httpx.Response:
    return service.client.http.delete(f"/api/tasks/{task_id}")


def _assert_unknown(service: Running, task_id: str) -> None:
    http = service.client.http
    for reply in (
        http.get(f"/api/tasks/{task_id}"),
        http.get(f"/api/tasks/start?taskId={task_id}"),
        http.get(f"/api/tasks/stream?taskId={task_id}"),
        http.post(f"/api/tasks/{task_id}/cancel"),
        http.delete(f"/api/tasks/{task_id}"),
    ):
        assert reply.status_code == 404
        assert reply.json()["type"] == "urn:longtask:problem:unknown-task"


def _deliver_late(service: Running, body: bytes, path: str = WEBHOOK) -> httpx.Response:
    signature = sign(service.url + path, body, service.queue.current_key)
    return deliver(service.client.http, body, signature, path)


def test_what_is_deleted_is_gone_and_no_delivery_brings_it_back(
    retrying: Running, scripted: Upstream
) -> None:
    task_id = retrying.client.start()
    retrying.client.wait_for(task_id, "completed")
    reply = _delete(retrying, task_id)
    assert (reply.status_code, reply.content) == (204, b"")
    _assert_unknown(retrying, task_id)
    assert _deliver_late(retrying, message(task_id)).status_code == 200
    failed = _deliver_late(retrying, failure_callback(message(task_id)), FAILURE)
    assert (failed.status_code, failed.json()["status"]) == (200, "deleted")
    _assert_unknown(retrying, task_id)
    assert len(scripted.received) == 1


def test_deleting_in_mid_stream_ends_the_readers_and_the_model(
    retrying: Running, scripted: Upstream
) -> None:
    scripted.then(Script([piece("So far"), Gate(), piece("never")]))
    task_id = retrying.client.start()
    seen, reading = Seen(), threading.Event()

    def read() -> None:
        def note(each: Seen) -> bool:
            if "content" in each.types:
                reading.set()
            return False

        seen.events = retrying.client.events(task_id, until=note).events

    reader = threading.Thread(target=read)
    reader.start()
    assert reading.wait(within(10))
    assert _delete(retrying, task_id).status_code == 204
    reader.join(within(10))
    assert not reader.is_alive(), "the stream did not end"
    last = seen.logged[-1].data
    assert (last["finishReason"], last["data"]) == ("cancelled", "So far")
    assert scripted.received[0].gone.wait(within(5)), "the model's connection stayed open"
    _assert_unknown(retrying, task_id)
    eventually(lambda: "open_deliveries 0.0" in retrying.client.http.get("/metrics").text)
    assert len(scripted.received) == 1


def test_deleting_a_queued_task_withdraws_its_message(upstream: Upstream) -> None:
    # The first delivery fails and the next is an hour away: the task waits in the queue.
    upstream.then(refusal(500))
    settings = settings_for(openai_base_url=upstream.url, qstash_retry_delay="3600000")
    with running_service(settings) as service:
        task_id = service.client.start()
        eventually(lambda: service.client.record(task_id)["attempt"] == 1)
        message_id = service.client.wait_for(task_id, "pending")["messageId"]
        assert _delete(service, task_id).status_code == 204
        queued = httpx.get(
            f"{service.service.container.qstash_url()}/v2/messages/{message_id}",
            headers={"Authorization": f"Bearer {service.queue.token}"},
        )
        assert queued.status_code == 404


def test_the_key_of_a_deleted_task_starts_another(retrying: Running, scripted: Upstream) -> None:
    def start() -> str:
        reply = retrying.client.http.post(
            "/api/tasks/start", json={"prompt": "Hi."}, headers={"Idempotency-Key": "deleted"}
        )
        return str(reply.json()["taskId"])

    first = start()
    retrying.client.wait_for(first, "completed")
    assert start() == first
    assert _delete(retrying, first).status_code == 204
    second = start()
    assert second != first
    retrying.client.wait_for(second, "completed")
    assert len(scripted.received) == 2


def test_only_its_owner_deletes_a_task(upstream: Upstream) -> None:
    with alices(upstream) as service:
        task_id = service.client.start()
        service.client.wait_for(task_id, "completed")
        url = f"{service.url}/api/tasks/{task_id}"
        assert httpx.delete(url, headers=as_bearer(BOB)).status_code == 404
        assert httpx.delete(url).status_code == 401
        assert service.client.record(task_id)["status"] == "completed"
        assert _delete(service, task_id).status_code == 204


def test_deleting_frees_the_slot_of_a_running_task(upstream: Upstream) -> None:
    upstream.then(Script([piece("a"), Gate()]))
    with alices(upstream, limits="running=1") as service:
        first = service.client.start()
        eventually(lambda: len(upstream.received) == 1)
        refused = service.client.http.post("/api/tasks/start", json={"prompt": "Hi."})
        assert refused.status_code == 429
        assert _delete(service, first).status_code == 204
        service.client.wait_for(service.client.start(), "completed")


def test_a_task_is_kept_for_as_long_as_it_asked(retrying: Running, scripted: Upstream) -> None:
    task_id = retrying.client.start(ttl=1)
    eventually(lambda: retrying.client.http.get(f"/api/tasks/{task_id}").status_code == 404)
    assert _deliver_late(retrying, message(task_id)).status_code == 200
    _assert_unknown(retrying, task_id)
    assert len(scripted.received) == 1


@pytest.mark.parametrize("ttl", [60, 60.0])
def test_the_record_shows_the_time_to_live(retrying: Running, ttl: float) -> None:
    task_id = retrying.client.start(ttl=ttl)
    assert retrying.client.wait_for(task_id, "completed")["request"]["ttl"] == 60


@pytest.mark.parametrize("ttl", [0, -1, 86_401, 1.5, "60", True])
def test_a_time_to_live_out_of_bounds_is_named(retrying: Running, ttl: object) -> None:
    reply = retrying.client.http.post("/api/tasks/start", json={"prompt": "", "ttl": ttl})
    assert reply.status_code == 400
    assert {each["field"] for each in reply.json()["errors"]} == {"prompt", "ttl"}
