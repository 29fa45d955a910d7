"""What strangers' connections may cost: heads without end, requests and responses that pile up, and
connections that only exist."""

import contextlib
import socket
import time
from pathlib import Path

import pytest

from tests.abuse.watched import LAG_LIMIT, MIB, Attacked, at_once, attacked, held
from tests.doubles.upstream import DONE, Script, Upstream, finish, piece
from tests.raw_http import ENDLESS, GET, connect
from tests.sizes import some_of
from tests.waiting import eventually, within

pytestmark = pytest.mark.soak


@pytest.mark.parametrize("part", some_of(ENDLESS))
def test_a_head_without_end(tmp_path: Path, part: str) -> None:
    """It stalled the process: the parser joined what it had with each piece that came."""

    def send(_: int) -> int:
        sent = 0
        with connect(target.url) as connection, contextlib.suppress(OSError):
            connection.sendall(ENDLESS[part])
            while sent < 16 * MIB:
                connection.sendall(b"x" * 65536)
                sent += 65536
        return sent

    with attacked(tmp_path) as target, target.used() as used:
        # What was sent before the refusal arrived was still in the kernel's buffers.
        assert max(at_once(10, send)) < 16 * MIB
    held(used, memory=24)


@pytest.mark.soak
def test_requests_that_pile_up(tmp_path: Path) -> None:
    """Ten connections took 944 MiB, and it did not come back."""
    connections: list[socket.socket] = []

    def pile(_: int) -> int:
        connection = connect(target.url)
        connections.append(connection)
        connection.setblocking(False)
        request = GET * (MIB // len(GET))
        sent, deadline = 0, time.monotonic() + 3
        while time.monotonic() < deadline and sent < 64 * MIB:
            with contextlib.suppress(BlockingIOError):
                sent += connection.send(request[sent % len(GET) :])
                continue
            time.sleep(0.01)
        return sent

    with attacked(tmp_path) as target, target.used() as used:
        at_once(20, pile)
        for connection in connections:
            connection.close()
    held(used, memory=64)


def _task_of(target: Attacked, upstream: Upstream, size: int) -> str:
    text = "All work and no play makes a dull task. " * 500
    pieces = [piece(text)] * (size // len(text))
    upstream.then(Script([*pieces, finish(), DONE]))
    task = target.client.start()

    def completed() -> bool:
        status = target.client.http.get("/api/tasks/start", params={"taskId": task}).json()
        return bool(status["status"] == "completed")

    eventually(completed, timeout=60)
    return task


@pytest.mark.soak
@pytest.mark.parametrize("path", some_of(["/api/tasks/stream?taskId={task}", "/api/tasks/{task}"]))
def test_responses_that_are_not_read(tmp_path: Path, upstream: Upstream, path: str) -> None:
    """A hundred records of 5.8 MB took 586 MiB for as long as the clients liked."""
    with attacked(
        tmp_path,
        OPENAI_BASE_URL=upstream.url,
        LONGTASK_MAX_OUTPUT_CHARS="20000000",
        LONGTASK_WRITE_TIMEOUT="5",
    ) as target:
        task = _task_of(target, upstream, 6_000_000)
        request = f"GET {path.format(task=task)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        idle = target.files()
        with target.used() as used:
            readers = [connect(target.url, receive_buffer=4096) for _ in range(200)]
            for reader in readers:
                reader.sendall(request)
            eventually(lambda: target.files() > idle + 150)
            # Each is cut after the write time-out, and was until then one of many.
            eventually(lambda: target.files() < idle + 10, timeout=60)
            for reader in readers:
                reader.close()
        held(used, memory=256)
        assert "slow client cut" in target.log.read_text()
        whole = target.client.http.get(f"/api/tasks/{task}").json()["text"]
        assert len(whole) == 6_000_000


@pytest.mark.soak
def test_connections_that_only_exist(tmp_path: Path) -> None:
    """241 of them, each with a line end after its one request, used up the descriptors."""
    settings = {"LONGTASK_REQUEST_TIMEOUT": "2", "LONGTASK_DEMO_SPEED": "0"}
    with attacked(tmp_path, 256, **settings) as target:
        connections: list[socket.socket] = []
        try:
            with target.used() as used:
                for _ in range(400):
                    connection = connect(target.url)
                    connections.append(connection)
                    with contextlib.suppress(ConnectionError):
                        connection.sendall(GET)
                        if connection.recv(4096).startswith(b"HTTP/1.1 200"):
                            connection.sendall(b"\r\n")
                # The service still starts and runs tasks, which takes connections of its own.
                task = eventually(lambda: _started(target), timeout=30)
                target.client.wait_for(task, "completed")
        finally:
            for connection in connections:
                connection.close()
        assert used.files < 256
        assert used.lag < within(LAG_LIMIT)
        assert "connections refused" in target.log.read_text()


def _started(target: Attacked) -> str | None:
    answer = target.client.http.post("/api/tasks/start", json={"prompt": "x"})
    return str(answer.json()["taskId"]) if answer.status_code == 202 else None
