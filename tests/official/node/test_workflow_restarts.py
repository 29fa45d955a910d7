"""A run of Upstash Workflow whose local QStash is killed three times, by the SDK itself."""

import base64
import json
import os
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.qstash import DEVELOPMENT
from tests.official.node.clients import Node
from tests.processes import found_in, process_of
from tests.redis_server import free_port
from tests.waiting import eventually


@contextmanager
def _killed(folder: Path, port: int) -> Iterator[httpx.Client]:
    """A local QStash that is killed in the end."""
    options = ("--port", str(port), "--json-logs", "--data", str(folder / "queue.db"))
    with process_of(folder, "local-qstash", *options) as (process, log):
        headers = {"Authorization": f"Bearer {DEVELOPMENT.token}"}
        with httpx.Client(base_url=found_in(log), headers=headers) as client:
            yield client
        os.kill(process.pid, signal.SIGKILL)
        process.wait()


def _open(client: httpx.Client) -> set[str]:
    """The messages whose delivery has begun, and whose end is not kept."""
    events = client.get("/v2/events", params={"count": 1_000}).json()["events"]
    begun, ended = (
        {each["messageId"] for each in events if each["state"] == state}
        for state in ("ACTIVE", "DELIVERED")
    )
    return begun - ended


def _steps(client: httpx.Client, run_id: str) -> list[dict[str, Any]]:
    """Those that the workflow has noted, but for what it was started with."""
    _, *steps = client.get(f"/v2/workflows/runs/{run_id}").json()
    return [json.loads(base64.b64decode(each["body"])) for each in steps]


@pytest.mark.soak
def test_a_run_goes_on_behind_each_kill(node: Node, tmp_path: Path) -> None:
    port = free_port()
    with ExitStack() as stack:
        with _killed(tmp_path, port) as client:
            url = str(client.base_url)
            going = stack.enter_context(node.going_on("workflow", url, "killed"))
            run_id = json.loads(_line(going))
            eventually(lambda: len(_open(client)) == 1)  # what led to the second step has ended
            assert [each["stepName"] for each in _steps(client, run_id)] == ["first"]
        # While a step runs. It is delivered again, and this time it ends.
        with _killed(tmp_path, port) as client:
            eventually(lambda: _steps(client, run_id)[-1]["stepName"] == "sleep")
        # While it sleeps.
        with _killed(tmp_path, port) as client:
            _go_on(going)  # the first try of the second step gives its result, which is late
            waiters = eventually(lambda: client.get("/v2/waiters/an-event").json())
            eventually(lambda: "out" in _named("left", _steps(client, run_id)))
            eventually(lambda: not _open(client))
        # While it waits for an event.
        with _killed(tmp_path, port) as client:
            assert client.get("/v2/waiters/an-event").json() == waiters
            (notified,) = client.post("/v2/notify/an-event", content='{"n":1}').json()
            assert notified["workflowRunId"] == run_id
            noted = json.loads(_line(going))["noted"]
            eventually(lambda: client.get(f"/v2/workflows/runs/{run_id}").status_code == 404)

    times = Counter(name for name, *_ in noted)
    # The result of the second step was not kept when its process ended.
    assert times == {"first": 1, "second": 2, "left": 1, "last": 1, "end": 1}
    assert ["last", {"eventData": {"n": 1}, "timeout": False}] in noted


def _line(going: "subprocess.Popen[str]") -> str:
    assert going.stdout is not None
    return going.stdout.readline()


def _go_on(going: "subprocess.Popen[str]") -> None:
    assert going.stdin is not None
    going.stdin.write("go on\n")
    going.stdin.flush()


def _named(name: str, steps: list[dict[str, Any]]) -> dict[str, Any]:
    """The last one of this name."""
    found: dict[str, Any] = next((each for each in reversed(steps) if each["stepName"] == name), {})
    return found
