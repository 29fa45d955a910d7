"""Tasks that are to begin later: through HTTP, the command line and the local QStash."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.commands import invoke
from tests.doubles.upstream import Script, Upstream, answer
from tests.end_to_end.guarded import alices
from tests.end_to_end.restarting import Home, Model
from tests.running import Client, Running
from tests.waiting import eventually

HOUR = 3_600


def _now() -> int:
    return time.time_ns() // 1_000_000


def _start(service: Running, **fields: Any) -> dict[str, Any]:
    reply = service.client.http.post("/api/tasks/start", json={"prompt": "Hi.", **fields})
    assert reply.status_code == 202, reply.text
    started: dict[str, Any] = reply.json()
    return started


def _iso(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat()


def test_a_delayed_task_begins_at_its_time_and_says_so_until_then(
    retrying: Running, scripted: Upstream
) -> None:
    soon, client = _now() + 1_500, retrying.client
    asked: list[dict[str, Any]] = [{"delay": 1}, {"notBefore": soon}, {"notBefore": _iso(soon)}]
    before = _now()
    started = [_start(retrying, **fields) for fields in asked]
    after = _now()
    times = [each["notBefore"] for each in started]
    assert before + 1_000 <= times[0] <= after + 1_000
    assert times[1:] == [soon, soon]
    at_once = _start(retrying, notBefore="2001-09-09T01:46:40Z")
    assert "notBefore" not in at_once
    assert client.wait_for(at_once["taskId"], "completed")["notBefore"] is None
    for each, fields in zip(started, asked, strict=True):
        record = client.record(each["taskId"])
        if record["status"] == "pending":
            assert (record["attempt"], record["startedAt"]) == (0, None)
        assert record["notBefore"] == each["notBefore"]
        assert record["request"]["delay"] == fields.get("delay")
        assert record["request"]["notBefore"] == (soon if "notBefore" in fields else None)
    listed = client.http.get("/api/tasks").json()["tasks"]
    assert {each["taskId"]: each["notBefore"] for each in listed} == {
        at_once["taskId"]: None,
        **{each["taskId"]: each["notBefore"] for each in started},
    }
    for each in started:
        record = client.wait_for(each["taskId"], "completed")
        assert record["startedAt"] >= record["notBefore"]
        assert record["attempt"] == 1
    assert len(scripted.received) == 4


def test_one_that_waits_is_cancelled_and_a_retry_begins_at_once(
    retrying: Running, scripted: Upstream
) -> None:
    http = retrying.client.http
    started = _start(retrying, delay=HOUR, metadata={"k": "v"})
    task_id = started["taskId"]
    seen = retrying.client.events(task_id, until=lambda seen: "status" in seen.types)
    assert [each.data.get("data") for each in seen.logged] == ["pending"]
    assert http.post(f"/api/tasks/{task_id}/cancel").status_code == 202
    assert retrying.client.record(task_id)["status"] == "cancelled"
    eventually(lambda: not _queued(retrying, started["messageId"]))
    retry = http.post(f"/api/tasks/{task_id}/retry").json()
    record = retrying.client.wait_for(retry["taskId"], "completed")
    assert (record["notBefore"], record["request"]["delay"]) == (None, None)
    assert record["request"]["metadata"] == {"k": "v"}
    deleted = _start(retrying, delay=HOUR)
    assert http.delete(f"/api/tasks/{deleted['taskId']}").status_code == 204
    eventually(lambda: not _queued(retrying, deleted["messageId"]))
    assert len(scripted.received) == 1


def _queued(service: Running, message_id: str) -> bool:
    """Whether the queue still has a message."""
    reply = httpx.get(
        f"{service.service.container.qstash_url()}/v2/messages/{message_id}",
        headers={"Authorization": f"Bearer {service.queue.token}"},
    )
    return reply.status_code == 200


def test_a_key_means_one_delayed_task(retrying: Running) -> None:
    http = retrying.client.http

    def start(delay: int) -> httpx.Response:
        body = {"prompt": "Hi.", "delay": delay}
        return http.post("/api/tasks/start", json=body, headers={"Idempotency-Key": "later"})

    first, again, other = start(HOUR), start(HOUR), start(HOUR + 1)
    assert (first.status_code, other.status_code) == (202, 422)
    assert first.json() == again.json()
    http.delete(f"/api/tasks/{first.json()['taskId']}")


@pytest.fixture
def model() -> Iterator[Model]:
    model = Model()
    with model.running():
        yield model


@pytest.mark.soak
def test_a_task_that_waits_outlives_the_process(tmp_path: Path, model: Model) -> None:
    home = Home(tmp_path, model)
    model.then_to("Later.", Script(answer("Now.")))
    with home.serving() as process, Client(home.url) as client:
        task_id = client.start("Later.", delay=2)
        due = client.record(task_id)["notBefore"]
        process.kill()
        process.wait()
    with home.serving(), Client(home.url) as client:
        record = client.wait_for(task_id, "completed")
    assert (record["notBefore"], record["attempt"], record["text"]) == (due, 1, "Now.")
    assert record["startedAt"] >= due
    assert model.asked("Later.") == 1


def test_what_waits_keeps_nothing_from_starting_now(upstream: Upstream) -> None:
    with alices(upstream, limits="running=1") as service:
        later = _start(service, delay=HOUR)
        now = _start(service)
        service.client.wait_for(now["taskId"], "completed")
        refused = service.client.http.post(
            "/api/tasks/start", json={"prompt": "Hi.", "delay": HOUR}
        )
        assert refused.status_code == 429
        assert refused.json()["type"] == "urn:longtask:problem:too-many-delayed"
        assert refused.headers["RateLimit-Policy"] == '"delayed-per-key";q=1'
        service.client.http.delete(f"/api/tasks/{later['taskId']}")
        assert _start(service, delay=HOUR)["notBefore"]


def test_the_command_line_says_when(tmp_path: Path, retrying: Running) -> None:
    words = ("--server", retrying.url)
    started = invoke(tmp_path, "ask", "Hi.", "--detach", "--delay", "2h", *words)
    assert started.exit_code == 0
    (task_id,) = started.stdout.splitlines()
    due = retrying.client.record(task_id)["notBefore"] // 1000
    shown = str(datetime.fromtimestamp(due).astimezone())
    assert started.stderr.splitlines()[0] == f"delayed until {shown}"
    assert f"\ndue:      {shown}\n" in invoke(tmp_path, "show", task_id, *words).stdout
    retrying.client.http.delete(f"/api/tasks/{task_id}")
    for delay, said in (("soon", "soon is no time such as 90s"), ("8d", "from 0 to 604800")):
        refused = invoke(tmp_path, "ask", "Hi.", "--detach", "--delay", delay, *words)
        assert refused.exit_code in (1, 2)
        assert said in refused.stderr
    followed = invoke(tmp_path, "ask", "Hi.", "--delay", "1s", "--json", *words)
    assert json.loads(followed.stdout.splitlines()[-1])["type"] == "end"
