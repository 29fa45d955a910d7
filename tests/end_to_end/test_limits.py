"""What one process takes on, and what it does when that is full or it has to go."""

import os
import signal
import socket
import threading
from pathlib import Path

import httpx
import pytest

from adapters.qstash import DEVELOPMENT
from tests.doubles.upstream import DONE, Gate, Script, Upstream, answer, finish, piece
from tests.processes import found_in, process_of
from tests.redis_server import free_port
from tests.running import Client, follow, running_local_qstash, running_service, settings_for
from tests.waiting import eventually, within


@pytest.mark.soak
def test_deliveries_beyond_the_bound_come_again_and_cost_no_attempt(upstream: Upstream) -> None:
    """More tasks than room for far longer than all deliveries of a message take."""
    gate = Gate()
    upstream.then(Script([piece("First"), gate, finish(), DONE]))
    port = free_port()
    with (
        # One of its own: the embedded queue delivers no more at once than there is room for.
        running_local_qstash() as qstash_url,
        running_service(
            settings_for(
                port=port,
                base_url=f"http://127.0.0.1:{port}",
                openai_base_url=upstream.url,
                max_concurrent_deliveries=1,
                qstash_url=qstash_url,
                qstash_token=DEVELOPMENT.token,
                qstash_current_signing_key=DEVELOPMENT.current_key,
                qstash_next_signing_key=DEVELOPMENT.next_key,
                qstash_retries=1,
                qstash_retry_delay="10",
            )
        ) as service,
    ):
        client = service.client
        first = client.start()
        assert gate.reached.wait(within(10))
        others = [client.start() for _ in range(3)]

        def refused_often() -> bool:
            metrics = client.http.get("/metrics").text
            return 'longtask_deliveries_total{status="429"} 9.0' in metrics

        # Two deliveries each, 5 s apart as the 429 says; the third means queued anew.
        eventually(refused_often, 40)
        assert {client.record(each)["status"] for each in others} == {"pending"}
        gate.open()
        client.wait_for(first, "completed")
        for each in others:
            seen = client.events(each)
            assert seen.logged[-1].type == "end"
            assert seen.logged[-1].data["data"] == "Hello, world."
            assert client.record(each)["attempt"] == 1


def test_streams_beyond_the_bound_are_refused_by_name(upstream: Upstream) -> None:
    gate = Gate()
    upstream.then(Script([piece("a"), gate, finish(), DONE]))
    with running_service(settings_for(openai_base_url=upstream.url, max_streams=1)) as service:
        task_id = service.client.start()
        thread, seen = follow(service.url, task_id)
        eventually(lambda: seen.text == "a")
        refused = service.client.http.get("/api/tasks/stream", params={"taskId": task_id})
        assert refused.status_code == 503
        assert refused.json()["type"] == "urn:longtask:problem:too-many-streams"
        assert refused.headers["Retry-After"] == "5"
        gate.open()
        thread.join(within(10))
        assert service.client.events(task_id).logged == seen.logged


def test_an_answer_that_goes_on_and_on_is_cut(upstream: Upstream) -> None:
    """Fifty megabytes, of which the service takes one and closes the connection."""
    upstream.then(Script([piece("x" * 100_000)] * 500))
    settings = settings_for(openai_base_url=upstream.url, max_output_chars=1_000_000)
    with running_service(settings) as service:
        seen = service.client.events(service.client.start())
    last = seen.logged[-1].data
    assert (last["type"], last["code"]) == ("error", "answer_too_long")
    assert last["data"] == "The answer is longer than 1000000 characters."
    assert last["retryable"] is False
    assert len(seen.text) <= 1_000_000
    assert upstream.received[0].gone.wait(within(5))


@pytest.mark.soak
def test_an_attempt_that_ends_within_the_grace_is_whole(
    tmp_path: Path, redis_url: str, upstream: Upstream
) -> None:
    gate = Gate()
    upstream.then(Script([piece("One"), gate, piece(" two"), finish(), DONE]))
    settings = {
        "REDIS_URL": redis_url,
        "OPENAI_BASE_URL": upstream.url,
        "LONGTASK_LOG_FORMAT": "json",
        "LONGTASK_GRACE": "30",
    }
    with (
        process_of(tmp_path, "serve", "--port", "0", **settings) as (process, log),
        Client(found_in(log)) as client,
    ):
        task_id = client.start()
        thread, seen = follow(client.url, task_id)
        eventually(lambda: seen.text == "One")
        process.send_signal(signal.SIGTERM)
        # It still answers, so that whoever balances the load can see that it goes.
        eventually(lambda: client.http.get("/readyz").status_code == 503)
        assert client.http.get("/readyz").json()["checks"]["process"] == "stopping"
        assert client.record(task_id)["text"] == "One"
        other = client.start()
        gate.open()
        assert process.wait(within(20)) == 0
        assert '"attempt completed"' in log.read_text()
    with running_service(settings_for(redis_url=redis_url)) as service:
        record = service.client.record(task_id)
        assert (record["status"], record["text"], record["attempt"]) == ("completed", "One two", 1)
        assert service.client.record(other)["status"] == "pending"
    del thread  # it asks an address where nobody is any more


def test_a_body_that_breaks_off_is_no_error_of_ours(
    upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with running_service(settings_for(openai_base_url=upstream.url)) as service:
        host, _, port = service.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port))) as half:
            half.sendall(
                b"POST /api/tasks/start HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Type: application/json\r\n"
                b'Content-Length: 100\r\n\r\n{"prompt": '
            )
        eventually(lambda: "path='/api/tasks/start'" in caplog.text)
        assert "request failed" not in caplog.text
        assert service.client.http.get("/healthz").status_code == 200


def _resident(pid: int) -> int:
    """Bytes of memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.soak
def test_readers_that_hardly_read_cost_little_and_see_everything(
    tmp_path: Path, redis_url: str, upstream: Upstream
) -> None:
    """Twenty who take a few bytes and then sleep, while twenty million go by."""
    text = "All work and no play makes a dull task. " * 25
    gate = Gate()
    pieces = [piece(text)] * 20_000
    upstream.then(Script([piece("Begin. "), gate, *pieces, finish(), DONE]))
    settings = {
        "REDIS_URL": redis_url,
        "OPENAI_BASE_URL": upstream.url,
        "LONGTASK_LOG_FORMAT": "json",
        "LONGTASK_MAX_OUTPUT_CHARS": "30000000",
    }
    with (
        process_of(tmp_path, "serve", "--port", "0", **settings) as (process, log),
        Client(found_in(log)) as client,
    ):
        task_id = client.start()
        host, _, port = client.url.removeprefix("http://").partition(":")
        sleepers = []
        for _ in range(20):
            sleeper = socket.socket()
            sleeper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sleeper.connect((host, int(port)))
            request = f"GET /api/tasks/stream?taskId={task_id} HTTP/1.0\r\nHost: localhost\r\n\r\n"
            sleeper.sendall(request.encode())
            assert sleeper.recv(1)
            sleepers.append(sleeper)
        gate.open()
        before = _resident(process.pid)
        most = 0
        received: list[bytes] = []
        while client.http.get("/api/tasks/start", params={"taskId": task_id}).json()["status"] in (
            "pending",
            "running",
        ):
            most = max(most, _resident(process.pid))
            first, *_ = [sleeper.recv(1) for sleeper in sleepers]
            received.append(first)
        # The text itself, its end event and what was in flight; twenty copies would be 400 MB.
        assert most - before < 200 * 1024 * 1024
        seen = client.events(task_id)
        assert len(seen.logged[-1].data["data"]) == len("Begin. ") + 20_000 * len(text)
        reading = threading.Thread(target=_read_on, args=(sleepers[0], received))
        reading.start()
        for sleeper in sleepers[1:]:
            sleeper.close()
        reading.join(within(60))
        ids = [line for line in b"".join(received).split(b"\n") if line.startswith(b"id: ")]
        assert [each.removeprefix(b"id: ").decode() for each in ids] == [e.id for e in seen.logged]


def _read_on(sleeper: socket.socket, received: list[bytes]) -> None:
    sleeper.settimeout(30)
    while data := sleeper.recv(2**16):
        received.append(data)
    sleeper.close()


def test_a_start_is_told_apart_from_its_double_while_the_queue_is_slow(upstream: Upstream) -> None:
    """Many starts with one key at once: one task, one call of the model."""
    upstream.then(Script(answer("Once.")))
    with running_service(settings_for(openai_base_url=upstream.url)) as service:
        answers: list[str] = []

        def start() -> None:
            reply = httpx.post(
                f"{service.url}/api/tasks/start",
                json={"prompt": "x"},
                headers={"Idempotency-Key": "one"},
                timeout=20,
            )
            answers.append(reply.json()["taskId"])

        threads = [threading.Thread(target=start) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(within(20))
        assert len(answers) == 10
        assert len(set(answers)) == 1
        service.client.wait_for(answers[0], "completed")
        assert len(upstream.received) == 1
