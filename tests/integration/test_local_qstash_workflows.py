"""Runs of Upstash Workflow in the local QStash. tests/official/node has its SDK."""

import base64
import json
from typing import Any

import httpx
import pytest

from entrypoints.local_qstash import workflow_records
from tests.doubles.destination import Answer, Delivered, Destination
from tests.integration.sdk import one
from tests.waiting import eventually

Json = dict[str, Any]


class Workflow:
    """A run of a workflow, and what the SDK would send for it."""

    def __init__(self, client: httpx.Client, to: str, run_id: str) -> None:
        self._client = client
        self.to = to
        self.run_id = run_id

    def publish(self, body: str, *, init: bool = False, **headers: str) -> httpx.Response:
        return self._client.post(
            f"/v2/publish/{self.to}",
            content=body,
            headers={
                "Upstash-Workflow-RunId": self.run_id,
                "Upstash-Workflow-Init": "true" if init else "false",
                **{name.replace("_", "-"): value for name, value in headers.items()},
            },
        )

    def wait(self, event: str, **given: Any) -> httpx.Response:
        of_run = {"Upstash-Workflow-RunId": self.run_id}
        body = {
            "url": self.to,
            "step": {"stepId": 1, "stepName": "wait"},
            "timeoutHeaders": {name: [value] for name, value in of_run.items()},
            **given,
        }
        return self._client.post(f"/v2/wait/{event}", json=body, headers=of_run)

    def steps(self) -> httpx.Response:
        return self._client.get(f"/v2/workflows/runs/{self.run_id}")


def _bodies(steps: list[Json]) -> list[str]:
    assert {each["callType"] for each in steps} == {"step"}
    return [base64.b64decode(each["body"]).decode() for each in steps]


def _second(destination: Destination, path: str) -> Delivered:
    return eventually(lambda: destination.at(path)[1:])[0]


def test_a_step_has_the_steps_before_it_and_the_settings_of_the_first(
    client: httpx.Client, destination: Destination
) -> None:
    run = Workflow(client, f"{destination.url}/run", "wfr_settings")
    settings = {
        "Upstash_Retries": "0",
        "Upstash_Forward_Own": "y",
        "Upstash_Label": "a-label",
        "Upstash_Failure_Callback": f"{destination.url}/callback/failure",
        "Upstash_Failure_Callback_Workflow_Runid": "wfr_settings",
    }
    assert run.publish("started", init=True, **settings).status_code == 201
    first = one(destination, "/run")
    assert _bodies(json.loads(first.body)) == ["started"]
    again = run.publish("again", init=True)
    assert again.json()["deduplicated"] is True
    assert again.json()["messageId"] == first.headers["upstash-message-id"]

    destination.answers.append(Answer(500, {}, b"why"))
    step = run.publish("step", Upstash_Workflow_Url=run.to).json()["messageId"]
    second = _second(destination, "/run")
    assert _bodies(json.loads(second.body)) == ["started", "step"]
    assert (second.headers["own"], second.headers["upstash-workflow-init"]) == ("y", "false")
    assert client.get(f"/v2/messages/{step}").json()["label"] == "a-label"
    told = one(destination, "/callback/failure")
    assert told.headers["upstash-workflow-runid"] == "wfr_settings"
    failure = json.loads(told.body)
    assert (failure["workflowRunId"], failure["retried"]) == ("wfr_settings", 0)
    assert base64.b64decode(failure["sourceBody"]) == b"started"
    assert failure["workflowCreatedAt"] == int(first.headers["upstash-workflow-createdat"])

    assert [each["messageId"] for each in run.steps().json()] == [
        first.headers["upstash-message-id"],
        step,
    ]
    for _ in range(2):  # the SDK says it again if the answer was lost
        assert client.delete("/v2/workflows/runs/wfr_settings?cancel=false").status_code == 200
    assert run.steps().status_code == 404
    assert "has ended" in run.publish("late").json()["error"]


def test_a_call_of_others_is_told_nothing_of_the_run(
    client: httpx.Client, destination: Destination
) -> None:
    run = Workflow(client, f"{destination.url}/run", "wfr_call")
    run.publish("started", init=True, Upstash_Retries="2")
    Workflow(client, f"{destination.url}/third", "wfr_call").publish(
        "raw",
        Upstash_Workflow_CallType="toCallback",
        Upstash_Retries="0",
        Upstash_Callback=f"{destination.url}/callback",
        Upstash_Callback_Workflow_RunId="wfr_call",
        Upstash_Callback_Forward_Own="y",
    )
    third = one(destination, "/third")
    assert third.body == b"raw"
    assert not [each for each in third.headers if each.startswith("upstash-workflow")]
    told = one(destination, "/callback")
    assert (told.headers["upstash-workflow-runid"], told.headers["own"]) == ("wfr_call", "y")
    message = client.get(f"/v2/messages/{told.headers['upstash-message-id']}").json()
    assert message["maxRetries"] == 2
    assert json.loads(told.body)["status"] == 200


def test_steps_that_are_too_long_for_a_message_are_asked_for(
    client: httpx.Client, destination: Destination
) -> None:
    run = Workflow(client, f"{destination.url}/run", "wfr_long")
    long = "x" * 3_300_000
    failure = f"{destination.url}/callback/failure"
    run.publish(long, init=True, Upstash_Retries="0", Upstash_Failure_Callback=failure)
    assert _bodies(json.loads(one(destination, "/run").body)) == [long]
    destination.answers.append(Answer(500))
    run.publish("step")
    assert _second(destination, "/run").body == b""
    assert _bodies(run.steps().json()) == [long, "step"]
    told = json.loads(one(destination, "/callback/failure").body)
    assert base64.b64decode(told["sourceBody"]).decode() == long
    # Retried, it has an id that is none of the run's.
    assert client.post(f"/v2/dlq/retry/{told['dlqId']}").is_success
    again = eventually(lambda: destination.at("/run")[2:])[0]
    assert _bodies(json.loads(again.body)) == [long, "step"]


def test_of_too_many_runs_the_oldest_is_forgotten(
    client: httpx.Client, destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflow_records, "RUNS", 2)
    runs = [Workflow(client, f"{destination.url}/run", f"wfr_{number}") for number in range(3)]
    for each in runs:
        assert each.publish("started", init=True).is_success
    assert [each.steps().status_code for each in runs] == [404, 200, 200]
    assert "has ended" in runs[0].publish("step").json()["error"]
    # One that has come to its end does not count.
    assert client.delete("/v2/workflows/runs/wfr_2?cancel=false").is_success
    runs[2] = Workflow(client, f"{destination.url}/run", "wfr_3")
    assert runs[2].publish("started", init=True).is_success
    assert [each.steps().status_code for each in runs] == [404, 200, 200]
    monkeypatch.setattr(workflow_records, "RUN_BYTES", 4_200)
    assert runs[2].publish("x" * 1_500).is_success
    assert [each.steps().status_code for each in runs] == [404, 404, 200]
    assert runs[2].publish("x" * 3_000).status_code == 413
    notified = client.post("/v2/notify/wfr_3/event", content="x" * 3_000)
    assert notified.status_code == 413
    assert len(runs[2].steps().json()) == 2
    assert runs[2].wait("event", timeout="1h").is_success
    (told,) = client.post("/v2/notify/event", content="x" * 3_000).json()
    assert (told["messageId"], "longer" in told["error"]) == ("", True)
    assert len(client.get("/v2/waiters/event").json()) == 1
    (told,) = client.post("/v2/notify/event", content="x").json()
    assert (told["messageId"] != "", told["error"]) == (True, "")


def test_an_event_may_come_before_its_run_waits_for_it(
    client: httpx.Client, destination: Destination
) -> None:
    run = Workflow(client, f"{destination.url}/run", "wfr_event")
    run.publish("started", init=True)
    one(destination, "/run")
    assert client.post("/v2/notify/wfr_event/early", content="came").json() == []
    assert run.wait("early").is_success
    (_, step) = _bodies(json.loads(_second(destination, "/run").body))
    assert json.loads(step) == {
        "stepId": 1,
        "stepName": "wait",
        "waitTimeout": False,
        "out": base64.b64encode(b"came").decode(),
    }
    assert client.get("/v2/waiters/early").json() == []
    assert run.wait("early", timeout="1h").is_success  # the event has been used up
    assert len(client.get("/v2/waiters/early").json()) == 1

    assert run.wait("late", timeout="1h").is_success
    (waiter,) = client.get("/v2/waiters/late").json()
    assert waiter["url"] == run.to
    assert client.post("/v2/notify/wfr_other/late", content="x").json() == []
    assert client.delete("/v2/workflows/runs?workflowRunIds=wfr_event").json() == {"cancelled": 1}
    assert client.get("/v2/waiters/late").json() == []
    assert client.post("/v2/notify/late", content="x").json() == []


def test_what_is_not_understood_is_refused(client: httpx.Client, destination: Destination) -> None:
    run = Workflow(client, f"{destination.url}/run", "wfr_here")
    run.publish("started", init=True)
    one(destination, "/run")
    unknown = Workflow(client, run.to, "wfr_unknown")
    refused = [
        unknown.publish("step"),
        Workflow(client, run.to, "wfr_" + "x" * 1_024).publish("started", init=True),
        unknown.wait("event"),
        run.wait("event", step="no step"),
        run.wait("event", timeout="soon"),
        run.wait("event", timeoutHeaders=["none"]),
        run.wait("event", url="nowhere"),
        client.post("/v2/wait/event", json={}),
        client.delete("/v2/workflows/runs?workflowRunID=wfr_here"),
        client.delete("/v2/workflows/runs?workflowUrlExactMatch=true"),
        client.delete("/v2/workflows/runs?count=some"),
    ]
    long = run.wait("event", more="x" * 70_000)
    assert (long.status_code, client.get("/v2/waiters/event").json()) == (413, [])
    assert [each.status_code for each in refused] == [400] * len(refused)
    assert len(run.steps().json()) == 1
    assert client.get("/v2/workflows/runs/wfr_unknown").status_code == 404
    assert client.delete("/v2/workflows/runs/wfr_unknown").status_code == 404
    assert len(destination.delivered) == 1
