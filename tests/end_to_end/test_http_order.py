"""One connection: each request gets its own response, in order, whatever comes behind it."""

import itertools
import json
import re
import socket
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.doubles.upstream import DONE, Gate, Script, Upstream, finish, piece
from tests.raw_http import CHUNKED, GET, HEAD, LAST_GET, connect, conversation, received
from tests.running import Running

BAD = b'{"prompt": 5}'


REQUESTS = [
    (GET, b"200"),
    (b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404"),
    (HEAD + b"Content-Length: %d\r\n\r\n" % len(BAD) + BAD, b"400"),
    (CHUNKED + b"d\r\n" + BAD + b"\r\n0\r\n\r\n", b"400"),
    (CHUNKED + b"d\r\n" + BAD + b"\r\n0\r\nX-Trailer: x\r\n\r\n", b"400"),
    (b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"200"),
    (b"\r\n" + GET, b"200"),
]


HIDDEN = b"POST /api/tasks/start HTTP/1.1\r\nHost: localhost\r\nX-Swallow: "


def test_requests_that_come_at_once_are_answered_one_after_the_other(served: Running) -> None:
    answer = conversation(served.url, [GET * 2_000 + LAST_GET])
    assert answer.count(b"HTTP/1.1 200 OK") == 2_001
    assert len(re.findall(rb"HTTP/1.1 (\d+)", answer)) == 2_001


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    chosen=st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=12),
    cuts=st.lists(st.integers(1, 400), max_size=8),
)
def test_however_requests_are_cut_each_gets_its_own_response(
    served: Running, chosen: list[tuple[bytes, bytes]], cuts: list[int]
) -> None:
    whole = b"".join(request for request, _ in chosen) + LAST_GET
    bounds = [0, *itertools.accumulate(cuts), len(whole)]
    parts = [whole[begin:end] for begin, end in itertools.pairwise(bounds) if begin < len(whole)]
    with connect(served.url) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for part in parts:
            connection.sendall(part)
        answer = received(connection)
    statuses = re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)
    chunked = [at for at, (request, _) in enumerate(chosen) if b"chunked" in request]
    # Behind a chunked body nothing is read: the connection is closed, and the client asks anew.
    answered = chosen[: chunked[0] + 1] if chunked else [*chosen, (LAST_GET, b"200")]
    assert statuses == [status for _, status in answered]


@pytest.mark.soak
@pytest.mark.parametrize(
    ("behind", "whole"),
    [
        (GET[:20], 0),
        (GET * 30 + LAST_GET, 31),
        (GET + GET[:20], 1),
        (b"\r\n", 0),
        (b"nonsense", 0),
    ],
)
def test_what_comes_behind_a_stream_leaves_it_whole(
    hurried: Running, scripted: Upstream, behind: bytes, whole: int
) -> None:
    """A half request behind it was answered 408 into its chunks after the request time-out."""
    gate = Gate()
    scripted.then(Script([piece("One"), gate, piece(" two"), finish(), DONE]))
    task = hurried.client.start()
    with connect(hurried.url) as connection:
        request = f"GET /api/tasks/stream?taskId={task} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        connection.sendall(request.encode() + behind)
        begun = time.monotonic()
        data = b""
        while time.monotonic() - begun < 1.5:  # three time-outs
            data += connection.recv(65536)
        gate.open()
        while b"0\r\n\r\n" not in data:
            part = connection.recv(65536)
            assert part, data
            data += part
        stream, _, rest = data.partition(b"0\r\n\r\n")
        assert b'"type":"end"' in stream
        assert b" 408 " not in stream
        if whole > 0:
            rest += received(connection)
        assert rest.count(b"HTTP/1.1 200 OK") == whole


@pytest.mark.parametrize(
    "wish",
    [
        b"Upgrade: h2c\r\nConnection: Upgrade\r\n",
        b"Connection: keep-alive, UPGRADE\r\nuPGRADE: websocket\r\n",
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    ],
)
def test_the_body_of_a_request_that_would_upgrade_is_a_body(
    shared_service: Running, wish: bytes
) -> None:
    """The parser took it for the next request: with a proxy in front that shares connections, the
    half request in it swallowed the head, and the key, of another caller's."""
    head = b"POST /healthz HTTP/1.1\r\nHost: localhost\r\n" + wish
    request = head + b"Content-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN
    for parts in ([request + LAST_GET], [request, LAST_GET], [request[:-20], request[-20:], GET]):
        with connect(shared_service.url) as connection:
            for part in parts:
                connection.sendall(part)
            connection.shutdown(socket.SHUT_WR)
            answer = received(connection)
        assert re.findall(rb"HTTP/1\.1 (\d{3}) ", answer) == [b"405", b"200"]
    start = json.dumps({"prompt": "Hi."}).encode()
    whole = HEAD + wish + b"Content-Length: %d\r\n\r\n" % len(start) + start + LAST_GET
    answer = conversation(shared_service.url, [whole])  # as Java's client sends it
    assert re.findall(rb"HTTP/1\.1 (\d{3}) ", answer) == [b"202", b"200"]


def test_a_tunnel_is_not_built(served: Running) -> None:
    answer = conversation(
        served.url, [b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n" + LAST_GET]
    )
    assert re.findall(rb"HTTP/1\.1 (\d{3}) ", answer) == [b"400"]


@pytest.mark.parametrize("path", ["/readyz", "/web/page.js", "/schema-assets/swagger-ui-bundle.js"])
@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
def test_a_client_may_close_its_direction_once_it_has_asked(
    served: Running, path: str, version: bytes
) -> None:
    whole = served.client.http.get(path)
    with connect(served.url) as connection:
        request = f"GET {path} HTTP/".encode() + version + b"\r\nHost: localhost\r\n\r\n"
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = received(connection)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert len(answer.partition(b"\r\n\r\n")[2]) >= len(whole.content)


def test_a_client_may_close_its_direction_behind_several_requests(shared_service: Running) -> None:
    start = json.dumps({"prompt": "Hi."}).encode()
    post = HEAD + b"Content-Length: %d\r\n\r\n" % len(start) + start
    for requests, statuses in (
        ([post, GET, post, GET], [b"202", b"200", b"202", b"200"]),
        ([GET, post], [b"200", b"202"]),
        ([post, GET[:20]], [b"202"]),
    ):
        began = time.monotonic()
        with connect(shared_service.url) as connection:
            connection.sendall(b"".join(requests))
            connection.shutdown(socket.SHUT_WR)
            answer = received(connection)
        assert re.findall(rb"HTTP/1\.1 (\d{3}) ", answer) == statuses
        assert time.monotonic() - began < 10


def test_http_1_0_gets_no_chunks(shared_service: Running) -> None:
    task = shared_service.client.start()
    shared_service.client.wait_for(task, "completed")
    seen = shared_service.client.events(task)
    answer = conversation(
        shared_service.url,
        [f"GET /api/tasks/stream?taskId={task} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode()],
    )
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert b"connection: close" in head.lower()
    assert body.startswith(b"retry: 1000\ndata: ")
    ids = re.findall(rb"^id: (.*)$", body, re.MULTILINE)
    assert [each.decode() for each in ids] == [each.id for each in seen.logged]
    whole = conversation(
        shared_service.url, [f"GET /api/tasks/{task} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode()]
    )
    assert b"content-length" in whole.lower()


def test_http_1_0_gets_no_chunks_live(service: Running, upstream: Upstream) -> None:
    gate = Gate()
    upstream.then(Script([piece("One"), gate, piece(" two"), finish(), DONE]))
    task = service.client.start()
    with connect(service.url) as connection:
        connection.sendall(
            f"GET /api/tasks/stream?taskId={task} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode()
        )
        data = b""
        while b'"One"' not in data:
            part = connection.recv(65536)
            assert part, data
            data += part
        gate.open()
        data += received(connection)
    body = data.partition(b"\r\n\r\n")[2]
    assert all(
        line.startswith((b"id: ", b"data: {", b"retry: ", b": ")) or not line
        for line in body.split(b"\n")
    )
