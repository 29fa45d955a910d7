"""Schedules of the local QStash by HTTP: what the SDKs cannot say, and what a restart keeps. What
is published when is in tests/unit/test_schedules.py, the SDKs' calls are in tests/official."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.database import open_database
from adapters.qstash import DEVELOPMENT
from entrypoints.local_qstash import cron, timetable
from entrypoints.local_qstash.tables import QUEUE
from tests.doubles.destination import Answer, Destination
from tests.queue_client import queue_client
from tests.running import running_local_qstash
from tests.waiting import eventually

YEARLY = {"Upstash-Cron": "CRON_TZ=Europe/Paris 0 9 1 1 *"}


@contextmanager
def _qstash(path: Path | None = None) -> Iterator[httpx.Client]:
    database = None if path is None else open_database(path, [QUEUE])
    try:
        with (
            running_local_qstash(database=database) as url,
            queue_client(url) as client,
        ):
            yield client
    finally:
        if database is not None:
            database.close()


@pytest.fixture
def each_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every schedule is due each second: a minute is long for a test."""

    def next_second(_: str, after: int) -> int:
        return (after // 1000 + 1) * 1000

    monkeypatch.setattr(timetable, "next_time", next_second)


def _error(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["error"]


def test_what_is_wrong_is_said() -> None:
    with _qstash() as client:
        to = "/v2/schedules/http://x.test/"
        for path, headers, status, says in [
            (to, {}, 400, "needs the header Upstash-Cron"),
            (to, {"Upstash-Cron": "* * * * * *"}, 400, "6 fields"),
            (to, {"Upstash-Cron": "CRON_TZ=Mars/Base * * * * *"}, 400, "no time zone 'Mars/Base'"),
            (to, {**YEARLY, "Upstash-Schedule-Id": "a b"}, 400, "schedule id"),
            (to, {**YEARLY, "Upstash-Retries": "x"}, 400, "Upstash-Retries"),
            ("/v2/schedules/nothing", YEARLY, 400, "nor the name of a URL group"),
            ("/v2/schedules/ftp://x.test/", YEARLY, 400, "nor the name of a URL group"),
        ]:
            told = _error(client.post(path, headers=headers))
            assert (told[0], says in told[1]) == (status, True), told
        assert client.post(to, headers=YEARLY, content=b"x" * 8_400_000).status_code == 413
        for method, path in [("GET", ""), ("POST", "/pause"), ("PATCH", "/resume")]:
            assert client.request(method, f"/v2/schedules/none{path}").status_code == 404
        assert client.delete("/v2/schedules/none").is_success
        assert client.delete("/v2/schedules/a%20b").status_code == 400
        assert client.get("/v2/schedules").json() == []
        large = [
            client.post(to, headers=YEARLY, content=b"x" * 8_000_000).status_code for _ in range(4)
        ]
        assert large == [200, 200, 200, 412]


def test_destinations_with_paths_of_this_api(destination: Destination) -> None:
    with _qstash() as client:
        for number, url in enumerate(
            [
                f"{destination.url}/pause",
                f"{destination.url}/x/resume",
                f"{destination.url}/v2/schedules/y?a=1&b=%2F",
            ]
        ):
            named = {**YEARLY, "Upstash-Schedule-Id": f"s{number}"}
            assert client.post(f"/v2/schedules/{url}", headers=named).is_success
            assert client.get(f"/v2/schedules/s{number}").json()["destination"] == url
        assert client.post("/v2/schedules/s0/pause").is_success
        assert client.get("/v2/schedules/s0").json()["isPaused"]
        group = {"endpoints": [{"url": destination.url}]}
        client.post("/v2/topics/pause/endpoints", json=group).raise_for_status()
        assert client.post("/v2/schedules/pause", headers=YEARLY).is_success


def test_a_schedule_is_repeated_without_its_token_and_shown_redacted(tmp_path: Path) -> None:
    path = tmp_path / "queue.db"
    with _qstash(path) as client:
        headers = {
            **YEARLY,
            "Upstash-Redact-Fields": "body,header[Secret]",
            "Upstash-Forward-Secret": "hidden",
            "Upstash-Schedule-Id": "r",
            "Upstash-Delay": "1m30s",
            "Upstash-Not-Before": "1",
            "Upstash-Deduplication-Id": "only-one",
        }
        before = time.time() * 1000
        client.post("/v2/schedules/http://x.test/", headers=headers, content=b"hidden")
        shown = client.get("/v2/schedules/r").json()
        assert "hidden" not in str(shown)
        assert shown["delay"] == 90
        assert shown["createdAt"] >= before - 1
        assert shown["nextScheduleTime"] == cron.next_time(shown["cron"], int(before))
    assert DEVELOPMENT.token.encode() not in path.read_bytes().replace(b"\0", b"")


def test_a_group_that_a_schedule_needs_is_not_deleted(destination: Destination) -> None:
    with _qstash() as client:
        endpoints = {"endpoints": [{"url": destination.url}]}
        client.post("/v2/topics/g/endpoints", json=endpoints).raise_for_status()
        made = client.post("/v2/schedules/g", headers=YEARLY).json()["scheduleId"]
        for method, path in [("DELETE", "/v2/topics/g"), ("DELETE", "/v2/topics/g/endpoints")]:
            told = _error(client.request(method, path, json=endpoints))
            assert (told[0], made in told[1]) == (412, True)
        client.delete(f"/v2/schedules/{made}").raise_for_status()
        client.delete("/v2/topics/g").raise_for_status()
        assert client.get("/v2/topics/g").status_code == 404


@pytest.mark.usefixtures("each_second")
def test_schedules_and_their_runs_survive_a_restart(
    tmp_path: Path, destination: Destination
) -> None:
    path = tmp_path / "queue.db"
    schedules: dict[str, dict[str, Any]] = {}

    def look(client: httpx.Client) -> dict[str, dict[str, Any]]:
        schedules.update({each["scheduleId"]: each for each in client.get("/v2/schedules").json()})
        return schedules

    def states(client: httpx.Client, schedule_id: str) -> set[str]:
        return set(look(client)[schedule_id].get("lastScheduleStates", {}).values())

    def create(client: httpx.Client, schedule_id: str, **headers: str) -> None:
        named = {"Upstash-Cron": "* * * * *", "Upstash-Schedule-Id": schedule_id, **headers}
        made = client.post(f"/v2/schedules/{destination.url}/{schedule_id}", headers=named)
        assert made.json() == {"scheduleId": schedule_id}

    with _qstash(path) as client:
        create(client, "good")
        eventually(lambda: destination.at("/good"))
        client.patch("/v2/schedules/good/pause").raise_for_status()
        eventually(lambda: states(client, "good") == {"SUCCESS"})
        create(client, "later", **{"Upstash-Delay": "1h"})
        eventually(lambda: states(client, "later") == {"IN_PROGRESS"})
        client.patch("/v2/schedules/later/pause").raise_for_status()
        destination.answers.extend([Answer(500)] * 100)
        create(client, "bad", **{"Upstash-Retries": "0"})
        eventually(lambda: destination.at("/bad"))
        client.patch("/v2/schedules/bad/pause").raise_for_status()
        eventually(lambda: states(client, "bad") == {"FAIL"})
        stopped = {name: dict(each) for name, each in look(client).items()}
    came = len(destination.at("/good"))
    assert destination.at("/good")[0].headers["upstash-schedule-id"] == "good"
    with _qstash(path) as client:
        for name, was in stopped.items():
            shown = client.get(f"/v2/schedules/{name}").json()
            assert shown["isPaused"]
            assert shown["lastScheduleStates"] == was["lastScheduleStates"]
            assert shown["lastScheduleTime"] == was["lastScheduleTime"]
        client.post("/v2/schedules/good/resume").raise_for_status()
        eventually(lambda: len(destination.at("/good")) > came)
        assert not destination.at("/later")
