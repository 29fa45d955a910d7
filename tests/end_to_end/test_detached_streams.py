"""What a client does to the connection of a stream, whose request is no longer there."""

import socket

import httpx

from tests.doubles.upstream import DONE, Gate, Script, Upstream, finish, piece
from tests.raw_http import GET, LAST_GET, connect, received, received_until
from tests.running import Running
from tests.waiting import eventually, within

END, LAST_CHUNK = b'"type":"end"', b"\r\n0\r\n\r\n"


def _head(task: str, *headers: str) -> bytes:
    lines = [f"GET /api/tasks/stream?taskId={task} HTTP/1.1", "Host: localhost", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def _ended(service: Running) -> str:
    task = service.client.start()
    service.client.wait_for(task, "completed")
    return task


def test_a_body_that_comes_behind_the_first_events_breaks_nothing(
    service: Running, upstream: Upstream
) -> None:
    gate = Gate()
    upstream.then(Script([piece("One"), gate, finish(), DONE]))
    task = service.client.start()
    with connect(service.url) as connection:
        connection.sendall(_head(task, "Content-Length: 5", "Connection: close"))
        received_until(connection, b'"One"')
        connection.sendall(b"hello")
        gate.open()
        rest = received(connection)
    assert END in rest
    assert rest.endswith(LAST_CHUNK)


def test_requests_behind_a_stream_are_answered_once_it_has_ended(service: Running) -> None:
    task = _ended(service)
    with connect(service.url) as connection:
        connection.sendall(_head(task) + GET + _head(task) + LAST_GET)
        data = received(connection)
    first, second, third, fourth = data.split(b"HTTP/1.1 200 OK")[1:]
    for stream in (first, third):
        assert END in stream
        assert stream.endswith(LAST_CHUNK)
    for health in (second, fourth):
        assert b'"status":"ok"' in health


def test_a_client_that_closes_its_direction_while_it_catches_up_holds_up_no_other(
    service: Running, upstream: Upstream
) -> None:
    upstream.then(Script([*[piece("x" * 10_000)] * 80, finish(), DONE]))
    task = _ended(service)
    for _ in range(5):
        with connect(service.url, receive_buffer=4096) as connection:
            connection.sendall(_head(task))
            received_until(connection, b'"connected"')
            connection.shutdown(socket.SHUT_WR)
            for _ in range(50):
                connection.recv(4096)
            assert httpx.get(service.url + "/healthz", timeout=within(5)).status_code == 200
    eventually(lambda: "longtask_open_streams 0.0" in service.client.http.get("/metrics").text)


def test_a_client_that_closes_its_direction_at_once_holds_up_no_other(service: Running) -> None:
    task = _ended(service)
    for _ in range(20):
        with connect(service.url) as connection:
            connection.sendall(_head(task))
            connection.shutdown(socket.SHUT_WR)
            assert b" 200 OK" in received(connection)
        assert httpx.get(service.url + "/healthz", timeout=within(5)).status_code == 200
    eventually(lambda: "longtask_open_streams 0.0" in service.client.http.get("/metrics").text)
