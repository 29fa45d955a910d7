"""The compose stack, built and run: three instances behind the proxy, and parts of it that die.

Not among the tests of `make test`, since it builds images and pulls others: `make test-compose`.
"""

import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.redis_server import free_port
from tests.running import Client, Seen, follow
from tests.waiting import eventually, within

ROOT = Path(__file__).parents[2]
PROJECT = "longtask-test"
INSTANCES = 3
STARTS = 30
"""What one address may start in a minute."""


def _run(*words: str, **environment: str) -> str:
    """A step of the test, told."""
    print("$", " ".join(words), file=sys.stderr)
    return _ask(*words, **environment).stdout


def _ask(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(  # noqa: S603
        words,
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@dataclass
class Stack:
    client: Client
    command: list[str]
    environment: dict[str, str]

    def compose(self, *words: str) -> str:
        return _run(*self.command, *words, **self.environment)

    def containers(self, service: str) -> list[str]:
        return _ask(*self.command, "ps", "-q", service, **self.environment).stdout.split()

    def ready_instances(self) -> int:
        return sum(
            _inspect(each)["State"].get("Health", {}).get("Status") == "healthy"
            for each in self.containers("app")
        )

    def runs(self, task_id: str) -> str:
        """The container with the attempt that began last."""
        began = []
        for container in self.containers("app"):
            lines = _ask("docker", "logs", container).stderr.splitlines()
            began += [
                (json.loads(line)["timestamp"], container)
                for line in lines
                if "attempt began" in line and task_id in line
            ]
        return max(began)[1]


def _inspect(container: str) -> Any:
    return json.loads(_ask("docker", "inspect", container).stdout)[0]


def _compose_command() -> list[str]:
    if shutil.which("docker-compose"):
        return ["docker-compose", "-p", PROJECT]
    return ["docker", "compose", "-p", PROJECT]


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    port = free_port()
    environment = {
        "LONGTASK_PORT": str(port),
        "LONGTASK_LEASE": "3",
        # Slow enough that no task ends within the grace of an instance that is told to stop.
        "LONGTASK_DEMO_SPEED": "12",
        "OPENAI_API_KEY": "",
        # Far more than the tests start in a minute.
        "LONGTASK_ADDRESS_LIMITS": f"starts={STARTS}",
    }
    client = Client(f"http://127.0.0.1:{port}")
    stack = Stack(client, _compose_command(), environment)
    try:
        began = time.monotonic()
        stack.compose("up", "--detach", "--build", "--scale", f"app={INSTANCES}")
        eventually(lambda: stack.ready_instances() == INSTANCES, 120)
        eventually(lambda: _ready(client), 60)
        print(f"up after {time.monotonic() - began:.0f} s", file=sys.stderr)
        yield stack
    finally:
        print(stack.compose("logs", "--no-color", "--tail=100"), file=sys.stderr)
        client.http.close()
        stack.compose("down", "--volumes")


def _ready(client: Client) -> bool:
    try:
        return client.http.get("/readyz").status_code == 200
    except httpx.HTTPError:
        return False


def _begun(stack: Stack) -> tuple[str, Any, Seen]:
    """A task of which a reader has seen some text."""
    task_id = stack.client.start("Why is the sky blue?")
    thread, seen = follow(stack.client.url, task_id)
    eventually(lambda: len(seen.text) > 50)
    return task_id, thread, seen


def _whole(stack: Stack, task_id: str, seen: Seen) -> list[str]:
    """Every event once and in order, the same as any other reader sees; the statuses."""
    numbers = [int(event.id.rpartition("-")[2]) for event in seen.logged]
    assert numbers == list(range(1, len(numbers) + 1))
    late = stack.client.events(task_id)
    assert [(e.id, e.data) for e in late.logged] == [(e.id, e.data) for e in seen.logged]
    assert seen.logged[-1].type == "end"
    assert "Why is the sky blue?" in seen.logged[-1].data["data"]
    statuses = [each.data["data"] for each in seen.logged if each.type == "status"]
    print(f"{len(seen.events)} messages, {len(numbers)} events: {statuses}", file=sys.stderr)
    return statuses


def test_a_task_runs_on_a_container_without_rights(stack: Stack) -> None:
    task_id, thread, seen = _begun(stack)
    thread.join(within(60))
    assert _whole(stack, task_id, seen) == ["pending", "running", "completed"]
    container = stack.runs(task_id)
    assert _run("docker", "exec", container, "id", "-u").strip() == "10001"


def test_a_container_that_is_killed(stack: Stack) -> None:
    task_id, thread, seen = _begun(stack)
    first = stack.runs(task_id)
    _run("docker", "kill", "--signal", "KILL", first)
    thread.join(within(60))
    statuses = _whole(stack, task_id, seen)
    assert statuses == ["pending", "running", "pending", "running", "completed"]
    assert stack.runs(task_id) != first
    _run("docker", "start", first)
    eventually(lambda: stack.ready_instances() == INSTANCES, 60)


def test_a_container_that_is_stopped(stack: Stack) -> None:
    task_id, thread, seen = _begun(stack)
    first = stack.runs(task_id)
    _run("docker", "stop", "--time", "20", first)
    assert _inspect(first)["State"]["ExitCode"] == 0
    thread.join(within(60))
    statuses = _whole(stack, task_id, seen)
    assert statuses == ["pending", "running", "pending", "running", "completed"]
    _run("docker", "start", first)
    eventually(lambda: stack.ready_instances() == INSTANCES, 60)


def test_redis_starts_again_under_a_task(stack: Stack) -> None:
    """With its data, and within the lease: no attempt is lost."""
    task_id, thread, seen = _begun(stack)
    _run("docker", "restart", "--time", "5", *stack.containers("redis"))
    thread.join(within(60))
    assert _whole(stack, task_id, seen)[-1] == "completed"


# Calls from inside the stack's network: each line of the answer is a status.
CALLS = """
import sys, urllib.error, urllib.request
url, count, names, body, method = sys.argv[1:]
for number in range(int(count)):
    headers = {"Content-Type": "application/json", "Host": "localhost"}
    headers |= {name: f"203.0.113.{number}" for name in names.split(",") if name}
    data = body.encode() if method == "POST" else None
    request = urllib.request.Request(url, data, headers, method=method)
    try:
        print(urllib.request.urlopen(request, timeout=20).status)
    except urllib.error.HTTPError as error:
        print(error.code)
"""


def _inside(
    stack: Stack, url: str, count: int = 1, names: str = "", body: str = "{}", method: str = "POST"
) -> list[int]:
    """What a client in the stack's network is answered. The headers of these names say that it is
    another one each time."""
    container = stack.containers("app")[0]
    command = ["docker", "exec", container, "python3", "-c", CALLS]
    return [
        int(each) for each in _ask(*command, url, str(count), names, body, method).stdout.split()
    ]


@pytest.mark.parametrize("url", ["http://app:8000", "http://proxy:8000"])
def test_a_client_inside_the_network_cannot_choose_its_address(stack: Stack, url: str) -> None:
    statuses = _inside(
        stack,
        f"{url}/api/tasks/start",
        2 * STARTS + 1,
        "X-Forwarded-For,Forwarded,X-Real-Ip",
        json.dumps({"prompt": "Hi.", "maxTokens": 1}),
    )
    # A minute may have ended in between.
    assert 429 in statuses
    assert set(statuses) <= {202, 429}
    assert statuses.count(202) <= 2 * STARTS


PATHS = [
    "/api/qstash/webhook",
    "/api/qstash/failure",
    "/api/qstash/webhook?a=b",
    "/api/%71stash/webhook",
    "//api//qstash/webhook",
    "/x/../api/qstash/webhook",
]


@pytest.mark.parametrize("path", PATHS)
def test_no_delivery_is_taken_at_the_published_port(stack: Stack, path: str) -> None:
    port = int(stack.environment["LONGTASK_PORT"])
    for method in ("POST", "GET", "PUT"):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request(method, path, b"{}")  # written as it is here, unlike httpx
        answer = connection.getresponse()
        assert answer.status in (403, 404), (method, path)
        assert b"bad-signature" not in answer.read()
        connection.close()


def test_deliveries_come_through_a_port_that_is_not_published(stack: Stack) -> None:
    assert _inside(stack, "http://proxy:8001/api/qstash/webhook") == [401]  # it wants a signature
    for path in ("/api/tasks/start", "/metrics", "/"):
        assert _inside(stack, f"http://proxy:8001{path}") == [404]
    (proxy,) = stack.containers("proxy")
    published = _inspect(proxy)["NetworkSettings"]["Ports"]
    bound = {port: each for port, each in published.items() if each}
    port = stack.environment["LONGTASK_PORT"]
    assert bound == {"8000/tcp": [{"HostIp": "127.0.0.1", "HostPort": port}]}
    task_id, thread, seen = _begun(stack)
    thread.join(within(60))
    assert _whole(stack, task_id, seen)[-1] == "completed"


def test_the_doctor_calls_its_keys_what_they_are(stack: Stack) -> None:
    container = stack.containers("app")[0]
    said = _run("docker", "exec", container, "longtask", "doctor")
    assert "warn queue: QSTASH_TOKEN, QSTASH_CURRENT_SIGNING_KEY, QSTASH_NEXT_SIGNING_KEY" in said
    assert "ok   address: http://proxy:8001" in said
    assert "fail" not in said


def test_the_stack_stops_and_starts_and_still_knows_its_tasks(stack: Stack) -> None:
    task_id, thread, seen = _begun(stack)
    thread.join(within(60))
    stack.compose("stop")
    stack.compose("up", "--detach", "--scale", f"app={INSTANCES}")
    eventually(lambda: _ready(stack.client), 60)
    assert _whole(stack, task_id, seen) == ["pending", "running", "completed"]
