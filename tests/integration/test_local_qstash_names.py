"""Names with any characters, which clients find again by a path."""

from urllib.parse import quote

import httpx
import pytest

from entrypoints.local_qstash import intake, records
from tests.doubles.destination import Destination

NAMES = ["a/b", "/a//b/", "50%", "%2F", "a?b#c", "a b", "é 日本", "a/pause", "x;y=1"]
LATER = "http://127.0.0.1:1/"


@pytest.mark.parametrize("name", NAMES)
def test_a_flow_control_key_is_found(client: httpx.Client, name: str) -> None:
    headers = [
        (b"Upstash-Flow-Control-Key", name.encode()),
        (b"Upstash-Flow-Control-Value", b"rate=9"),
        (b"Upstash-Delay", b"1h"),
    ]
    client.post(f"/v2/publish/{LATER}", headers=headers).raise_for_status()
    path = f"/v2/flowControl/{quote(name, safe='')}"
    for action in ("pause", "pin?parallelism=3&rate=2&period=60", "resetRate"):
        assert client.post(f"{path}/{action}").status_code == 200, action
    shown = client.get(path).json()
    assert (shown["flowControlKey"], shown["parallelismMax"], shown["isPaused"]) == (name, 3, True)
    for action in ("resume", "unpin?parallelism=true&rate=true"):
        assert client.post(f"{path}/{action}").status_code == 200, action
    assert not client.get(path).json()["isPaused"]
    flow = {"Upstash-Flow-Control-Key": name, "Upstash-Flow-Control-Value": "rate=5"}
    headers_in_batch = {**flow, "Upstash-Delay": "1h"}
    client.post("/v2/batch", json=[{"destination": LATER, "headers": headers_in_batch}])
    assert client.get(path).json()["rateMax"] == 5
    assert client.delete("/v2/messages", params={"flowControlKey": name}).json()["cancelled"] == 2


@pytest.mark.parametrize("name", NAMES)
def test_an_event_and_a_run_are_found(
    client: httpx.Client, destination: Destination, name: str
) -> None:
    run_id, event = (
        f"wfr_{name.replace('日本', '')}z",
        quote(name, safe=""),
    )  # as `fetch` can send it
    of_run = [
        (b"Upstash-Workflow-RunId", run_id.encode("latin-1")),
        (b"Upstash-Workflow-Init", b"true"),
    ]
    client.post(f"/v2/publish/{destination.url}", content=b"x", headers=of_run).raise_for_status()
    run = quote(run_id, safe="")
    assert len(client.get(f"/v2/workflows/runs/{run}").json()) == 1
    wait = {"url": destination.url, "step": {"stepId": 1}}
    client.post(f"/v2/wait/{event}", json=wait, headers=of_run[:1]).raise_for_status()
    assert len(client.get(f"/v2/waiters/{event}").json()) == 1
    assert client.post(f"/v2/notify/wfr_another/{event}").json() == []
    (told,) = client.post(f"/v2/notify/{run}/{event}", content="it").json()
    assert (told["workflowRunId"], told["error"]) == (run_id, "")
    client.post(f"/v2/wait/{event}", json=wait, headers=of_run[:1]).raise_for_status()
    (told,) = client.post(f"/v2/notify/{event}", content="it").json()
    assert told["workflowRunId"] == run_id
    assert client.delete(f"/v2/workflows/runs/{run}").status_code == 200


def test_a_slash_that_is_not_encoded_belongs_to_the_name(client: httpx.Client) -> None:
    """The SDKs of workflows encode nothing."""
    client.post("/v2/flowControl/a/pin/pin?rate=1").raise_for_status()
    assert client.get("/v2/flowControl/a/pin").json()["flowControlKey"] == "a/pin"
    client.post("/v2/flowControl/a/pin/unpin?rate=true").raise_for_status()
    assert client.get("/v2/waiters/a/b").json() == []
    assert client.post("/v2/notify/a/b").json() == []


@pytest.mark.parametrize("name", ["a/b", "50%", "a?b", "a b", "é"])
def test_queues_schedules_and_groups_have_plain_names(client: httpx.Client, name: str) -> None:
    encoded = quote(name, safe="")
    endpoints = {"endpoints": [{"url": LATER}]}
    schedule = [(b"Upstash-Cron", b"* * * * *"), (b"Upstash-Schedule-Id", name.encode())]
    refused = [
        client.post(f"/v2/enqueue/{encoded}/{LATER}"),
        client.post("/v2/queues", json={"queueName": name, "parallelism": 1}),
        client.get(f"/v2/queues/{encoded}"),
        client.post(f"/v2/queues/{encoded}/pause"),
        client.post(f"/v2/topics/{encoded}/endpoints", json=endpoints),
        client.post(f"/v2/schedules/{LATER}", headers=schedule),
    ]
    assert [each.status_code for each in refused] == [400] * len(refused)
    assert all("letters, digits" in each.json()["error"] for each in refused)
    unknown = [client.get(f"/v2/topics/{encoded}"), client.get(f"/v2/schedules/{encoded}")]
    assert [each.status_code for each in unknown] == [404, 404]


def test_a_plain_name_may_be_encoded(client: httpx.Client) -> None:
    client.post(f"/v2/enqueue/plain%2Dname/{LATER}", headers={"Upstash-Delay": "1h"})
    assert client.get("/v2/queues/plain%2dname").json()["name"] == "plain-name"
    assert client.delete("/v2/queues/plain-name").status_code == 200


def test_one_queue_too_many_keeps_no_other_message_from_its_queue(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor is a queue made for a message that is refused for another reason."""
    client.post("/v2/queues", json={"queueName": "there", "parallelism": 1}).raise_for_status()
    names = [each["name"] for each in client.get("/v2/queues").json()]
    monkeypatch.setattr(records, "RECORDS", len(names))
    entry = {"destination": LATER, "headers": {"Upstash-Delay": "1h"}}
    batch = [{**entry, "queue": "new"}, {**entry, "queue": "there"}, entry]
    refused, *published = client.post("/v2/batch", json=batch).json()
    assert "queues" in refused["error"]
    assert all("messageId" in each for each in published)
    alone = client.post(f"/v2/enqueue/new/{LATER}")
    assert (alone.status_code, alone.json()["error"]) == (412, refused["error"])
    monkeypatch.setattr(records, "RECORDS", len(names) + 1)
    monkeypatch.setattr(intake, "HELD_BYTES", 0)
    assert client.post(f"/v2/enqueue/new/{LATER}").status_code == 429
    assert [each["name"] for each in client.get("/v2/queues").json()] == names
    client.delete("/v2/queues/there")
