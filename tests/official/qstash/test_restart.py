"""What a local QStash with a file has after it was stopped, or killed."""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from qstash import Receiver

from tests.doubles.destination import Destination
from tests.integration.sdk import Sdk, one
from tests.processes import found_in, process_of
from tests.queue_client import queue_client
from tests.running import running_qstash_alone
from tests.waiting import eventually

Started = Callable[[Path], AbstractContextManager[str]]


@contextmanager
def _stopped(folder: Path) -> Iterator[str]:
    with running_qstash_alone(folder / "queue.db") as url:
        yield url


@contextmanager
def _killed(folder: Path) -> Iterator[str]:
    options = ("--port", "0", "--json-logs", "--data", str(folder / "queue.db"))
    with process_of(folder, "local-qstash", *options) as (process, log):
        yield found_in(log)
        process.kill()
        process.wait()


def _shown(sdk: Sdk) -> list[Any]:
    """All that has a name."""
    return [
        sdk("url_group.list"),
        sdk("schedule.list"),
        sdk("queue.list"),
        replace(sdk("flow_control.get", "held"), rate_period_start=0),  # no period has begun
        _pinned(sdk),
        sdk("signing_key.get"),
    ]


def _pinned(sdk: Sdk) -> tuple[bool, int]:
    """The rest of a key is what its messages say, and there are none."""
    found = sdk("flow_control.get", "pinned")
    return found.is_pinned_parallelism, found.parallelism_max


@pytest.mark.parametrize(
    "started",
    [
        pytest.param(_stopped, id="stopped"),
        pytest.param(_killed, id="killed", marks=pytest.mark.soak),
    ],
)
def test_what_has_a_name_is_there_after_a_restart(
    tmp_path: Path, destination: Destination, started: Started
) -> None:
    to = destination.url
    with started(tmp_path) as url, closing(Sdk("sync", url)) as sdk:
        endpoints = [{"url": f"{to}/one", "name": "first"}, {"url": f"{to}/two"}]
        sdk("url_group.upsert_endpoints", "a-group", endpoints)
        yearly = {"cron": "CRON_TZ=Asia/Tokyo 0 0 1 1 *", "destination": "a-group"}
        sdk("schedule.create", **yearly, body="x", schedule_id="a-schedule", label="kept")
        sdk("schedule.create", **yearly, schedule_id="paused")
        sdk("schedule.pause", "paused")
        sdk("queue.upsert", "held", parallelism=1)
        sdk("queue.pause", "held")
        for number in range(3):
            sdk("message.enqueue", queue="held", url=f"{to}/queued/{number}", body="x")
        sdk("flow_control.pause", "held")
        for key in ("held", "pinned"):
            flow = {"key": key, "parallelism": 5, "rate": 1, "period": "1h"}
            sdk("message.publish", url=f"{to}/flow/{key}", body="x", flow_control=flow)
        one(destination, "/flow/pinned")
        sdk("flow_control.pin", "pinned", {"parallelism": 2})
        sdk("message.publish", url=f"{to}/late", body="x", delay=3600, label="late")
        sdk("signing_key.rotate")
        rotated = sdk("signing_key.get")
        _wait_for_an_event(url, to)
        eventually(lambda: not sdk("flow_control.get", "pinned").parallelism_count)
        before, sent = _shown(sdk), len(destination.delivered)

    with started(tmp_path) as url, closing(Sdk("async", url)) as sdk:
        assert _shown(sdk) == before
        assert len(destination.delivered) == sent
        sdk("queue.resume", "held")
        one(destination, "/queued/2")
        queued = [each.path for each in destination.delivered if each.path[:7] == "/queued"]
        assert queued == ["/queued/0", "/queued/1", "/queued/2"]
        sdk("flow_control.resume", "held")
        one(destination, "/flow/held")
        published = sdk("message.publish", url_group="a-group", body="new")
        assert [each.url for each in published] == [f"{to}/one", f"{to}/two"]
        delivered = one(destination, "/one")
        Receiver(rotated.current, rotated.next).verify(
            signature=delivered.headers["upstash-signature"], body="new", url=f"{to}/one"
        )
        with queue_client(url) as client:
            assert client.delete("/v2/messages?label=late").json() == {"cancelled": 1}
            (notified,) = client.post("/v2/notify/an-event", content='"it"').json()
        eventually(lambda: len(destination.at("/workflow")) == 2)
        _, last = destination.at("/workflow")
        assert last.headers["upstash-message-id"] == notified["messageId"]
        steps = [json.loads(base64.b64decode(each["body"])) for each in json.loads(last.body)]
        assert steps[0] == "started"
        assert steps[1]["stepName"] == "wait"
        assert base64.b64decode(steps[1]["out"]) == b'"it"'


def _wait_for_an_event(url: str, to: str) -> None:
    """Start a run of a workflow that waits for an event."""
    run = {"Upstash-Workflow-RunId": "wfr_kept", "Upstash-Workflow-Url": f"{to}/workflow"}
    with queue_client(url) as client:
        first = {**run, "Upstash-Workflow-Init": "true"}
        published = client.post(f"/v2/publish/{to}/workflow", content='"started"', headers=first)
        assert published.is_success
        later = {name: [value] for name, value in run.items()}
        wait = {
            "url": f"{to}/workflow",
            "timeout": "1h",
            "timeoutHeaders": {**later, "Upstash-Workflow-Init": ["false"]},
            "step": {"stepId": 1, "stepName": "wait", "stepType": "Wait", "concurrent": 1},
        }
        assert client.post("/v2/wait/an-event", json=wait, headers=run).is_success
