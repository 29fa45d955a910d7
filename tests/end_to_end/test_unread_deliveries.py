"""A delivery's body is read only if its signature holds, and only so many bytes at once."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import httpx
import pytest

from entrypoints.http import delivery_bodies
from tests.doubles.upstream import Upstream
from tests.running import Running, running_service, settings_for
from tests.signing import WEBHOOK, deliver, message, sign
from tests.waiting import eventually, within

FAILURE = "/api/qstash/failure"
MIB = 1024 * 1024
LIMIT = 8 * MIB


@pytest.fixture
def service(upstream: Upstream) -> Iterator[Running]:
    """It publishes messages of up to 8 MiB, and reads 64 MiB of bodies at once."""
    settings = settings_for(
        openai_api_key="sk-planted-secret",
        openai_base_url=upstream.url,
        qstash_retry_delay="50",
        max_message_bytes=LIMIT,
    )
    with running_service(settings) as running:
        yield running


def _head(path: str, length: int, signature: str | None) -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", f"Content-Length: {length}"]
    if signature is not None:
        lines.append(f"Upstash-Signature: {signature}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


@contextmanager
def _connected(service: Running) -> Iterator[socket.socket]:
    url = httpx.URL(service.url)
    with socket.create_connection((url.host, url.port or 80), timeout=within(15)) as connection:
        yield connection


def _answer(connection: socket.socket) -> bytes:
    """All that comes until the service closes the connection."""
    received = b""
    while data := connection.recv(65536):
        received += data
    return received


@pytest.mark.parametrize("path", [WEBHOOK, FAILURE])
@pytest.mark.parametrize("case", ["missing", "key", "expired", "url", "body"])
def test_an_unsigned_delivery_is_refused_before_its_body_comes(
    service: Running, path: str, case: str
) -> None:
    """Not a byte of the body is ever sent; the answer comes, and the connection is closed."""
    url, body = service.url + path, b"{}"
    now = int(time.time())
    signature = {
        "missing": None,
        "key": sign(url, body, "sig_of_another_account_0123456789abcdef"),
        "expired": sign(url, body, service.queue.current_key, exp=now - 60),
        "url": sign(url + "/x", body, service.queue.current_key),
        "body": sign(url, body, service.queue.current_key, body=7),
    }[case]
    with _connected(service) as connection:
        connection.sendall(_head(path, 8 * MIB, signature))
        answer = _answer(connection)
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert b"connection: close\r\n" in answer.lower()
    assert b"urn:longtask:problem:bad-signature" in answer


def test_a_large_unsigned_body_is_not_waited_for(service: Running) -> None:
    """One who goes on to send is hung up on, long before the body is through."""
    sent = 0
    with _connected(service) as connection:
        connection.sendall(_head(WEBHOOK, 1024 * MIB, None))
        with contextlib.suppress(OSError):  # reset, or a broken pipe
            while sent < 1024 * MIB:
                sent += connection.send(b"x" * 65536)
    assert sent < 32 * MIB


def test_the_answer_arrives_whole_though_the_body_is_still_on_its_way(service: Running) -> None:
    """A connection that is closed while bytes arrive is reset, and the answer lost."""
    for _ in range(20):
        with _connected(service) as connection:
            connection.sendall(_head(WEBHOOK, 50_000, None))
            connection.sendall(b"x" * 20_000)
            answer = connection.recv(12)  # it has been written
            connection.sendall(b"x" * 20_000)
            answer += _answer(connection)
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert answer.endswith(b"}")


def test_no_request_behind_a_refused_one_is_answered(service: Running) -> None:
    start = b'{"prompt": "Hi."}'
    head = _head("/api/tasks/start", len(start), None)[:-2] + b"Content-Type: application/json\r\n"
    with _connected(service) as connection:
        connection.sendall(_head(WEBHOOK, 10, None))
        answer = connection.recv(12)  # it has been written
        connection.sendall(b"x" * 10 + head + b"\r\n" + start)
        answer += _answer(connection)
    assert answer.count(b"HTTP/1.1 ") == 1
    assert "longtask_starts_total 0.0" in service.client.http.get("/metrics").text


def test_bodies_over_the_bound_come_again_and_small_ones_still_fit(
    service: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_bodies, "WAIT", 0.5)
    url, small = service.url + WEBHOOK, message("task_1_small")
    signature = sign(url, b"", service.queue.current_key)
    with ExitStack() as stack:
        # Seven of the largest and one that leaves a MiB: all wait for their bodies.
        for size in [8 * MIB] * 7 + [7 * MIB]:
            connection = stack.enter_context(_connected(service))
            connection.sendall(_head(WEBHOOK, size, signature))

        def refused() -> bytes | None:
            with _connected(service) as large:
                large.sendall(_head(WEBHOOK, 8 * MIB, signature))
                large.settimeout(3)
                try:
                    return _answer(large)
                except TimeoutError:
                    return None

        answer = eventually(refused)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: " in answer.lower()
        assert b"connection: close\r\n" in answer.lower()
        assert b"urn:longtask:problem:no-room" in answer
        assert (
            deliver(
                service.client.http, small, sign(url, small, service.queue.current_key)
            ).status_code
            == 200
        )
    # They hung up: there is room again.
    large = message("task_1_large", "x" * 90_000)
    padded = large + b" " * (7 * MIB)

    def taken() -> bool:
        return (
            deliver(
                service.client.http, padded, sign(url, padded, service.queue.current_key)
            ).status_code
            == 200
        )

    eventually(taken)


@pytest.mark.soak
def test_many_large_deliveries_at_once_are_all_read_in_turn(service: Running) -> None:
    """Twice as much as there is room for."""
    url = service.url + WEBHOOK
    answers: list[int] = []

    def one(number: int) -> None:
        body = message(f"task_1_{number}") + b" " * (7 * MIB)
        with httpx.Client(base_url=service.url, timeout=within(60)) as http:
            answers.append(
                deliver(http, body, sign(url, body, service.queue.current_key)).status_code
            )

    threads = [threading.Thread(target=partial(one, number)) for number in range(18)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(within(60))
    assert len(answers) == 18
    assert set(answers) <= {200, 503}
    assert answers.count(200) >= 9


@pytest.mark.parametrize("path", [WEBHOOK, FAILURE])
def test_a_signed_body_over_the_limit_is_refused_by_its_size(retrying: Running, path: str) -> None:
    """The limits follow from the bound of a message, here the default."""
    bodies = retrying.service.container.delivery_bodies()
    limit = bodies.task_limit if path == WEBHOOK else bodies.failure_limit
    assert limit == (1_114_112 if path == WEBHOOK else 2_949_124)
    signature = sign(retrying.url + path, b"", retrying.queue.current_key)
    with _connected(retrying) as connection:
        connection.sendall(_head(path, limit + 1, signature))
        assert _answer(connection).startswith(b"HTTP/1.1 413 ")
    with _connected(retrying) as connection:  # without a length
        head = _head(path, 0, signature).replace(
            b"Content-Length: 0", b"Transfer-Encoding: chunked"
        )
        connection.sendall(head + b"%x\r\n" % (limit + 1))
        with contextlib.suppress(OSError):
            connection.sendall(b"x" * (limit + 1))
        assert connection.recv(13) == b"HTTP/1.1 413 "


def test_a_signed_body_of_just_the_limit_is_read(retrying: Running) -> None:
    limit = retrying.service.container.delivery_bodies().task_limit
    body = message("task_1_padded")
    body += b" " * (limit - len(body))
    signature = sign(retrying.url + WEBHOOK, body, retrying.queue.current_key)
    assert deliver(retrying.client.http, body, signature).status_code == 200
