"""Webhooks of a whole service on the embedded queue, to real receivers that verify them by the
official libraries."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai import OpenAI
from standardwebhooks import Webhook, WebhookVerificationError

import application.send_webhook
from adapters.webhooks import new_secret
from entrypoints.task_commands.record_text import record_text
from tests.doubles.destination import Answer, Delivered, Destination
from tests.doubles.upstream import Gate, Script, Upstream, answer, piece, refusal
from tests.end_to_end.test_watching import figures
from tests.leaks import PROMPT
from tests.running import Client, Running, running_service, settings_for
from tests.waiting import eventually, within

SECRET, ALICE, BOB = new_secret(), new_secret(), new_secret()
ALICES_KEY, BOBS_KEY = "lt_" + "a" * 20, "lt_" + "b" * 20


@pytest.fixture
def receiver() -> Iterator[Destination]:
    with Destination().running() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def telling(shared_upstream: Upstream) -> Iterator[Running]:
    """It may call this machine."""
    settings = settings_for(
        openai_base_url=shared_upstream.url,
        qstash_retries=0,
        webhook_secrets=SECRET,
        private_webhooks=True,
    )
    with running_service(settings) as running:
        yield running


def webhook(receiver: Destination, path: str = "/hook") -> dict[str, str]:
    return {"url": receiver.url + path}


def settled(client: Client, task_id: str) -> dict[str, Any]:
    """What the record says of the webhook, once that is not pending any more."""

    def ended() -> dict[str, Any] | None:
        told: dict[str, Any] = client.record(task_id)["webhook"]
        return told if told["status"] != "pending" else None

    return eventually(ended)


def verified(told: Delivered, secret: str = SECRET) -> dict[str, Any]:
    """The event, as both official libraries have it."""
    event: dict[str, Any] = Webhook(secret).verify(told.body, told.headers)
    client = OpenAI(api_key="none", webhook_secret=secret)
    unwrapped = client.webhooks.unwrap(told.body, told.headers)
    assert (unwrapped.id, unwrapped.type) == (event["id"], event["type"])
    return event


def test_a_receiver_is_told_how_a_task_has_ended(
    telling: Running, scripted: Upstream, receiver: Destination
) -> None:
    gate = Gate()
    scripted.then(
        Script(answer("Said.")),
        Script(answer("Said.", reason="length")),
        refusal(401),
        Script([piece("Said"), gate]),
    )
    client, ends = telling.client, ("completed", "completed", "failed", "cancelled")
    types = ("completed", "incomplete", "failed", "cancelled")
    for status, kind in zip(ends, types, strict=True):
        task_id = client.start(webhook=webhook(receiver), metadata={"of": "mine"})
        if status == "cancelled":
            assert gate.reached.wait(within(5))
            client.http.post(f"/api/tasks/{task_id}/cancel")
        record = client.wait_for(task_id, status)
        assert settled(client, task_id) == {
            "url": receiver.url + "/hook",
            "status": "delivered",
            "attempts": 1,
            "lastStatus": 200,
        }
        (told,) = [each for each in receiver.delivered if task_id in each.headers["webhook-id"]]
        event = verified(told)
        data = event["data"]
        assert (told.method, told.path) == ("POST", "/hook")
        assert told.headers["content-type"] == "application/json"
        assert told.headers["webhook-id"] == event["id"]
        assert (event["object"], event["type"]) == ("event", f"response.{kind}")
        assert event["created_at"] == record["finishedAt"] // 1000
        assert (data["taskId"], data["status"]) == (task_id, status)
        assert data["metadata"] == {"of": "mine"}
        assert PROMPT not in json.dumps(event)
        with OpenAI(base_url=f"{telling.url}/v1", api_key="none") as openai:
            assert openai.responses.retrieve(data["id"]).status == kind


def test_a_receiver_that_fails_is_called_again_with_the_same_id(
    telling: Running,
    scripted: Upstream,
    receiver: Destination,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(application.send_webhook, "PAUSES", (1,))
    elsewhere = {"Location": f"{receiver.url}/elsewhere"}
    receiver.answers.extend([Answer(503), Answer(302, elsewhere), Answer(204, body=b"")])
    task_id = telling.client.start(webhook=webhook(receiver))
    assert settled(telling.client, task_id) == {
        "url": receiver.url + "/hook",
        "status": "delivered",
        "attempts": 3,
        "lastStatus": 204,
    }
    assert [each.path for each in receiver.delivered] == ["/hook"] * 3
    assert len({each.headers["webhook-id"] for each in receiver.delivered}) == 1
    first, *_, last = (verified(each) for each in receiver.delivered)
    assert first == last
    stamps = [int(each.headers["webhook-timestamp"]) for each in receiver.delivered]
    assert stamps == sorted(stamps)
    assert stamps[-1] > stamps[0], "signed anew"


@pytest.mark.soak
def test_a_receiver_that_never_takes_it_is_given_up(
    telling: Running,
    scripted: Upstream,
    receiver: Destination,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(application.send_webhook, "PAUSES", (1,))
    monkeypatch.setattr(application.send_webhook, "GIVING_UP", 2)
    receiver.answers.extend([Answer(500)] * 5)
    task_id = telling.client.start(webhook=webhook(receiver))
    told = settled(telling.client, task_id)
    assert (told["status"], told["lastStatus"]) == ("failed", 500)
    assert told["attempts"] == len(receiver.delivered) >= 2
    found = figures(telling.url)
    assert found["longtask_webhooks_given_up_total"] == 1
    assert found["longtask_webhooks_total{outcome=refused}"] >= told["attempts"]
    (summary, *_) = telling.client.http.get("/api/tasks").json()["tasks"]
    assert (summary["taskId"], summary["webhook"]) == (task_id, told)
    receiver.answers.extend([Answer(500)] * 5)
    telling.client.start(webhook=webhook(receiver), ttl=1)
    counted = "longtask_webhooks_given_up_total"
    eventually(lambda: figures(telling.url)[counted] == 2, 10)  # its record is gone by then
    record = telling.client.record(task_id)
    assert f"webhook:  failed, {told['attempts']} calls, last response 500" in record_text(record)


def test_what_cannot_be_told_is_refused_at_the_start(telling: Running) -> None:
    for url, words in {
        "ftp://example.org/": "https://",
        "https://user:pass@example.org/": "user name",
        "https://example.org/#": "fragment",
        "https://example.org/" + "x" * 2000: "2000",
    }.items():
        answered = telling.client.http.post(
            "/api/tasks/start", json={"prompt": PROMPT, "webhook": {"url": url}}
        )
        assert answered.status_code == 400
        assert "webhook.url" in answered.text
        assert words in answered.text


def test_addresses_of_this_network_are_not_called(
    upstream: Upstream, receiver: Destination
) -> None:
    settings = settings_for(openai_base_url=upstream.url, webhook_secrets=SECRET)
    with running_service(settings) as service:
        for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]"):
            url = receiver.url.replace("http://127.0.0.1", f"https://{host}")
            task_id = service.client.start(webhook={"url": url})

            def tried(task_id: str = task_id) -> dict[str, Any] | None:
                told: dict[str, Any] = service.client.record(task_id)["webhook"]
                return told if told["attempts"] else None

            told = eventually(tried)
            assert (told["status"], told["lastStatus"]) == ("pending", None)
        http = service.client.http.post(
            "/api/tasks/start", json={"prompt": PROMPT, "webhook": {"url": receiver.url}}
        )
        assert http.status_code == 400
    assert receiver.delivered == []


def test_each_owner_has_its_secret_and_the_service_its_own(
    upstream: Upstream, receiver: Destination
) -> None:
    with Destination().running() as own:
        settings = settings_for(
            openai_base_url=upstream.url,
            api_keys=f"alice:{ALICES_KEY},bob:{BOBS_KEY}",
            stream_secret="s" * 32,
            webhook_secrets=f"{SECRET},alice:{ALICE},alice:{BOB}",
            webhook_url=own.url,
            private_webhooks=True,
        )
        with running_service(settings) as service:
            http = service.client.http
            body = {"prompt": PROMPT, "webhook": webhook(receiver)}
            http.headers["Authorization"] = f"Bearer {BOBS_KEY}"
            refused = http.post("/api/tasks/start", json=body)
            assert refused.status_code == 400
            assert "webhook" in refused.text
            with OpenAI(base_url=f"{service.url}/v1", api_key=BOBS_KEY) as openai:
                response = openai.responses.create(input="Hi.")
                eventually(lambda: own.delivered)
                assert verified(own.delivered[0])["data"]["id"] == response.id
            http.headers["Authorization"] = f"Bearer {ALICES_KEY}"
            task_id = service.client.start(webhook=webhook(receiver))
            assert settled(service.client, task_id)["status"] == "delivered"
            eventually(lambda: len(own.delivered) == 2)
    (told,) = receiver.delivered
    assert verified(told, ALICE) == verified(told, BOB)  # both sign while one replaces the other
    verified(own.delivered[1])
    for told_, wrong in ((told, SECRET), (own.delivered[1], ALICE)):
        with pytest.raises(WebhookVerificationError):
            Webhook(wrong).verify(told_.body, told_.headers)
    ids = {each.headers["webhook-id"] for each in (*own.delivered, told)}
    assert len(ids) == 3
