"""One connection: how much of it is read at once, and how long it may take. (What many of them may
cost is measured in tests/abuse.)"""

import time

import pytest

from entrypoints.http.protocol.bounded_protocol import BoundedProtocol
from entrypoints.http.protocol.request_head import HEAD_LIMIT
from tests.doubles.upstream import Upstream
from tests.raw_http import ENDLESS, GET, LAST_GET, connect, conversation, received
from tests.running import Running, running_service, settings_for
from tests.waiting import eventually, within


@pytest.mark.parametrize("part", ENDLESS)
def test_what_has_no_end_is_refused_as_it_arrives(served: Running, part: str) -> None:
    """And not when it is whole, for it never is: the client would keep all of it in memory."""
    with connect(served.url) as connection:
        connection.sendall(ENDLESS[part])
        sent = 0
        while sent < 8 * HEAD_LIMIT:
            try:
                connection.sendall(b"x" * 1024)
            except ConnectionError:
                break
            sent += 1024
        connection.settimeout(5)
        answer = received(connection)
    assert not answer or answer.startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))
    assert served.client.http.get("/healthz").status_code == 200


def test_a_head_is_taken_up_to_its_bound_and_no_further(served: Running) -> None:
    def head(size: int) -> bytes:
        begin = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nX-Filler: "
        return begin + b"x" * (size - len(begin) - 4) + b"\r\n\r\n"

    for step in (1_000, HEAD_LIMIT * 2):
        for size, status in ((HEAD_LIMIT - 1, b"200"), (HEAD_LIMIT + 1, b"431")):
            whole = head(size)
            parts = [whole[at : at + step] for at in range(0, size, step)]
            answer = conversation(served.url, parts)
            assert not answer or answer.split(b" ")[1] == status, (step, size)
            assert answer or status == b"431"  # a reset may overtake it


@pytest.mark.parametrize("stray", [b"\r\n", b"\r", b"\r\n\r\n\r\n"])
def test_line_ends_after_a_response_switch_no_timer_off(hurried: Running, stray: bytes) -> None:
    with connect(hurried.url, timeout=within(10)) as connection:
        connection.sendall(GET)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.sendall(stray)
        began = time.monotonic()
        received(connection)
        assert time.monotonic() - began < 5


@pytest.mark.soak
def test_line_ends_do_not_keep_a_connection_open(hurried: Running) -> None:
    with connect(hurried.url, timeout=within(10)) as connection:
        connection.sendall(GET)
        deadline = time.monotonic() + within(10)
        gone = False
        while not gone and time.monotonic() < deadline:
            try:
                connection.sendall(b"\r\n")
            except ConnectionError:
                gone = True
            time.sleep(0.05)
        assert gone


@pytest.mark.parametrize(
    "hosts", [[], ["localhost", "localhost"], ["localhost", "evil.example"]], ids=str
)
def test_a_request_names_one_host(served: Running, hosts: list[str]) -> None:
    lines = "".join(f"Host: {host}\r\n" for host in hosts)
    answer = conversation(served.url, [f"GET /healthz HTTP/1.1\r\n{lines}\r\n".encode()])
    assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("name", ["Authorization", "Content-Type", "Idempotency-Key"])
def test_a_header_that_decides_comes_once(served: Running, name: str) -> None:
    head = f"GET /healthz HTTP/1.1\r\nHost: localhost\r\n{name}: a\r\n{name.upper()}: b\r\n\r\n"
    assert conversation(served.url, [head.encode()]).startswith(b"HTTP/1.1 400 ")


def test_more_connections_than_may_be_are_turned_away_and_told_of(
    upstream: Upstream, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    settings = settings_for(openai_base_url=upstream.url, max_connections=20)
    with running_service(settings) as service:
        service.client.http.get("/healthz")
        idle = [connect(service.url) for _ in range(19)]
        try:
            for connection in idle:
                connection.sendall(GET)
                assert connection.recv(65536).startswith(b"HTTP/1.1 200")
            for _ in range(5):
                assert conversation(service.url, [GET]).startswith(b"HTTP/1.1 503 ")
            assert service.client.http.get("/healthz").status_code == 200
        finally:
            for connection in idle:
                connection.close()
        eventually(lambda: conversation(service.url, [LAST_GET]).startswith(b"HTTP/1.1 200"))
    assert caplog.text.count("connections refused: as many are open as may be") == 1


def test_empty_lines_cost_little(served: Running) -> None:
    """Each pair of them was parsed by itself, with a copy of all that came behind."""
    with connect(served.url) as connection:
        began = time.process_time()  # of this process, the service's thread included
        for _ in range(64):
            connection.sendall(b"\r\n" * 65_536)
        connection.sendall(LAST_GET)
        assert received(connection).startswith(b"HTTP/1.1 200 ")
    assert time.process_time() - began < 3


def test_a_head_has_a_bounded_number_of_lines(served: Running) -> None:
    for lines, status in ((100, b"200"), (200, b"431"), (8_000, b"431")):
        head = LAST_GET[:-2] + b"a:\r\n" * lines + b"\r\n"
        assert conversation(served.url, [head]).split(b" ")[1] == status


def test_nothing_of_a_request_is_kept_once_it_is_answered(served: Running) -> None:
    with connect(served.url) as connection:
        connection.sendall(GET[:-2] + b"X-Large: " + b"x" * 20_000 + b"\r\n\r\n")
        first = b""
        while not first.endswith(b"}}"):  # head and body may come apart
            first += connection.recv(65_536)
        assert first.startswith(b"HTTP/1.1 200 ")
        port = connection.getsockname()[1]
        connections = served.service._server.server_state.connections
        bounded = [each for each in list(connections) if isinstance(each, BoundedProtocol)]
        mine = next(each for each in bounded if each.client and each.client[1] == port)
        eventually(lambda: not mine.scope and not mine.cycle.scope and not mine.cycle.body)
        connection.sendall(LAST_GET)
        assert received(connection).startswith(b"HTTP/1.1 200 ")


def test_tls_on_a_plain_port_is_refused_at_once(served: Running) -> None:
    began = time.monotonic()
    assert conversation(served.url, [b"\x16\x03\x01\x02\x00\x01"]).startswith(b"HTTP/1.1 400 ")
    assert time.monotonic() - began < 10
