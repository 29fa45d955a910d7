"""Bytes that may or may not be HTTP, in pieces of any size: whatever they are, a connection holds
no more than its bounds, what it sends back is responses, and it ends in time."""

import contextlib
import re
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from entrypoints.http.protocol.bounded_protocol import BoundedProtocol
from entrypoints.http.protocol.request_head import HEAD_LIMIT
from tests.raw_http import GET, connect, received
from tests.running import Running, running_service, settings_for
from tests.sizes import sizes
from tests.waiting import within

READ_AT_ONCE = 256 * 1024
"""Bytes that the event loop hands over in one go, at most."""
KNOWN = {200, 204, 400, 401, 403, 404, 405, 408, 411, 413, 415, 422, 431, 501}

HEADS = [
    b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n",
    b"GET / HTTP/1.0\r\n",
    b"POST /api/tasks/start HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n",
    b"POST /api/qstash/webhook HTTP/1.1\r\nHost: localhost\r\nUpstash-Signature: a.b.c\r\n",
    b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n",
    b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n",
    b"GET http://localhost/healthz HTTP/1.1\r\nHost: localhost\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
]
LINES = [
    b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: gzip, chunked\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 99999999\r\n",
    b"Content-Length: -1\r\n",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"Host: evil.example\r\n",
    b"X-Long: " + b"x" * 5_000,
    b"X" * 5_000,
    b"\x00\xff: \x01\r\n",
]
REST = [
    b"\r\n",
    b"\r",
    b"\n",
    b"5\r\nabcde\r\n",
    b"0\r\n\r\n",
    b"0\r\nX-Trailer: x\r\n\r\n",
    b"1;" + b"e" * 3_000,
    b"fffffffffffffffff\r\n",
    b"{}",
    b"x" * 9_000,
    GET,
    GET * 300,
]
fragments = st.sampled_from([*HEADS, *LINES, *REST]) | st.binary(max_size=40)


@pytest.fixture(scope="module")
def fuzzed() -> Iterator[Running]:
    with running_service(settings_for(request_timeout=0.3, write_timeout=5.0)) as running:
        yield running


def check_bounds(service: Running) -> None:
    for each in list(service.service._server.server_state.connections):
        assert isinstance(each, BoundedProtocol)
        assert len(each._unread) <= 2 * READ_AT_ONCE
        assert not each.pipeline
        assert each._framing <= HEAD_LIMIT
        assert sum(len(name) + len(value) for name, value in each.headers or ()) <= HEAD_LIMIT
        if each.cycle is not None:
            assert len(each.cycle.body) <= 2 * READ_AT_ONCE


@pytest.mark.parametrize("examples", sizes(dose=10, full=150))
def test_a_connection_keeps_its_bounds_whatever_comes(fuzzed: Running, examples: int) -> None:
    @settings(max_examples=examples, deadline=None)
    @given(parts=st.lists(st.lists(fragments, max_size=6).map(b"".join), max_size=8))
    def bounded(parts: list[bytes]) -> None:
        with connect(fuzzed.url, timeout=within(20)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(ConnectionError):
                for part in parts:
                    connection.sendall(part)
                    check_bounds(fuzzed)
            with contextlib.suppress(OSError):  # it has hung up already
                connection.shutdown(socket.SHUT_WR)
            answer = received(connection)  # raises if it does not end
            check_bounds(fuzzed)
        assert not answer or answer.startswith(b"HTTP/1.1 ")
        assert {int(each) for each in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)} <= KNOWN
        assert fuzzed.client.http.get("/healthz").status_code == 200

    bounded()
