"""One connection: how much of it is read at once, how long it may take, and in which order it is
answered. (What many of them may cost is measured in tests/abuse.)"""

import itertools
import json
import re
import socket
import time
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from application.ports import Page, StoreUnavailable
from entrypoints.http.bounded_protocol import BoundedProtocol
from entrypoints.http.request_head import HEAD_LIMIT
from entrypoints.server import SEND_BUFFER
from tests.raw_http import GET, LAST_GET, connect, conversation, received
from tests.running import Running, eventually, follow, running_service, settings_for
from tests.upstream import DONE, Gate, Script, Upstream, finish, piece

HEAD = b"POST /api/tasks/start HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
ENDLESS = {
    "header": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Endless: ",
    "header name": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-",
    "path": b"GET /",
    "query": b"GET /healthz?",
    "chunk extension": CHUNKED + b"1;x=",
    "trailer": CHUNKED + b"2\r\n{}\r\n0\r\nX-Endless: ",
    "trailer name": CHUNKED + b"2\r\n{}\r\n0\r\nX-",
}


@pytest.fixture(scope="module")
def served() -> Iterator[Running]:
    with running_service(settings_for(request_timeout=20.0)) as running:
        yield running


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


def test_requests_that_come_at_once_are_answered_one_after_the_other(served: Running) -> None:
    answer = conversation(served.url, [GET * 2_000 + LAST_GET])
    assert answer.count(b"HTTP/1.1 200 OK") == 2_001
    assert len(re.findall(rb"HTTP/1.1 (\d+)", answer)) == 2_001


BAD = b'{"prompt": 5}'
REQUESTS = [
    (GET, b"200"),
    (b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n", b"404"),
    (HEAD + b"Content-Length: %d\r\n\r\n" % len(BAD) + BAD, b"400"),
    (CHUNKED + b"d\r\n" + BAD + b"\r\n0\r\n\r\n", b"400"),
    (CHUNKED + b"d\r\n" + BAD + b"\r\n0\r\nX-Trailer: x\r\n\r\n", b"400"),
    (b"HEAD /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", b"405"),
    (b"\r\n" + GET, b"200"),
]


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


@pytest.fixture
def hurried(upstream: Upstream) -> Iterator[Running]:
    settings = settings_for(openai_base_url=upstream.url, request_timeout=0.5, keep_alive=0.1)
    with running_service(settings) as running:
        yield running


@pytest.mark.parametrize("stray", [b"\r\n", b"\r", b"\r\n\r\n\r\n"])
def test_line_ends_after_a_response_switch_no_timer_off(hurried: Running, stray: bytes) -> None:
    with connect(hurried.url, timeout=10) as connection:
        connection.sendall(GET)
        assert connection.recv(65536).startswith(b"HTTP/1.1 200")
        connection.sendall(stray)
        began = time.monotonic()
        received(connection)
        assert time.monotonic() - began < 5


def test_line_ends_do_not_keep_a_connection_open(hurried: Running) -> None:
    with connect(hurried.url, timeout=10) as connection:
        connection.sendall(GET)
        deadline = time.monotonic() + 10
        gone = False
        while not gone and time.monotonic() < deadline:
            try:
                connection.sendall(b"\r\n")
            except ConnectionError:
                gone = True
            time.sleep(0.05)
        assert gone


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
    hurried: Running, upstream: Upstream, behind: bytes, whole: int
) -> None:
    """A half request behind it was answered 408 into its chunks after the request time-out."""
    gate = Gate()
    upstream.then(Script([piece("One"), gate, piece(" two"), finish(), DONE]))
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


def test_http_1_0_gets_no_chunks(service: Running) -> None:
    task = service.client.start()
    service.client.wait_for(task, "completed")
    seen = service.client.events(task)
    answer = conversation(
        service.url,
        [f"GET /api/tasks/stream?taskId={task} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode()],
    )
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"transfer-encoding" not in head.lower()
    assert b"connection: close" in head.lower()
    assert body.startswith(b"retry: 1000\ndata: ")
    ids = re.findall(rb"^id: (.*)$", body, re.MULTILINE)
    assert [each.decode() for each in ids] == [each.id for each in seen.logged]
    whole = conversation(
        service.url, [f"GET /api/tasks/{task} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode()]
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
            data += connection.recv(65536)
        gate.open()
        data += received(connection)
    body = data.partition(b"\r\n\r\n")[2]
    assert all(
        line.startswith((b"id: ", b"data: {", b"retry: ", b": ")) or not line
        for line in body.split(b"\n")
    )


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


def _long(upstream: Upstream, service: Running, lines: int = 60_000) -> tuple[str, str]:
    """A task whose log is of several pages, with a lost attempt before; and its text."""
    text = "".join(f'{number:06} "quoted" \\ é世🌍\n' for number in range(lines))
    pieces = [piece(text[at : at + 20_000]) for at in range(0, len(text), 20_000)]
    upstream.then(Script([piece("lost"), *pieces], cut=True), Script([*pieces, finish(), DONE]))
    task = service.client.start()
    eventually(
        lambda: (
            service.client.http.get(f"/api/tasks/start?taskId={task}").json()["status"]
            == "completed"
        ),
        timeout=30,
    )
    return task, text


def test_a_long_record_comes_in_pages_and_is_whole(service: Running, upstream: Upstream) -> None:
    task, text = _long(upstream, service)
    answer = service.client.http.get(f"/api/tasks/{task}")
    assert answer.headers["Content-Type"] == "application/json"
    assert "Content-Length" not in answer.headers
    record = answer.json()
    assert record["text"] == text
    assert (record["status"], record["attempt"]) == ("completed", 2)
    assert "finishReason" in record
    old = conversation(
        service.url, [f"GET /api/tasks/{task} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode()]
    )
    assert old.partition(b"\r\n\r\n")[2] == answer.content


def test_a_record_whose_log_goes_away_is_no_whole_one(upstream: Upstream) -> None:
    """Its status is out: the connection breaks off, so that no client takes the rest for all."""
    with running_service(
        settings_for(openai_base_url=upstream.url, qstash_retry_delay="50")
    ) as service:
        task, _ = _long(upstream, service)
        tasks = service.service.container.tasks()
        read, calls = tasks.read, itertools.count()

        async def fails(task_id: str, after: int, limit: int) -> Page:
            if next(calls) > 5:
                raise StoreUnavailable("away")
            return await read(task_id, after, limit)

        tasks.read = fails  # type: ignore[method-assign]
        with pytest.raises(httpx.HTTPError):
            service.client.http.get(f"/api/tasks/{task}")


def test_a_client_that_takes_nothing_is_cut(upstream: Upstream) -> None:
    settings = settings_for(
        openai_base_url=upstream.url,
        write_timeout=1.0,
        qstash_retry_delay="50",
        max_text=20_000_000,
    )
    with running_service(settings) as service:
        # More than a kernel keeps for a connection.
        task, text = _long(upstream, service, lines=500_000)
        connections = service.service._server.server_state.connections

        def unsent() -> int:
            return sum(each.transport.get_write_buffer_size() for each in list(connections))

        for path in (f"/api/tasks/{task}", f"/api/tasks/stream?taskId={task}"):
            with connect(service.url, receive_buffer=4096) as connection:
                connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                eventually(lambda: unsent() > 0)
                eventually(lambda: unsent() == 0)
                assert not received(connection).endswith(b"0\r\n\r\n")
        thread, whole = follow(service.url, task)
        thread.join(20)
        assert whole.logged[-1].data["data"] == text


HIDDEN = b"POST /api/tasks/start HTTP/1.1\r\nHost: localhost\r\nX-Swallow: "


@pytest.mark.parametrize(
    "wish",
    [
        b"Upgrade: h2c\r\nConnection: Upgrade\r\n",
        b"Connection: keep-alive, UPGRADE\r\nuPGRADE: websocket\r\n",
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n",
    ],
)
def test_the_body_of_a_request_that_would_upgrade_is_a_body(service: Running, wish: bytes) -> None:
    """The parser took it for the next request: with a proxy in front that shares connections, the
    half request in it swallowed the head, and the key, of another caller's."""
    head = b"POST /healthz HTTP/1.1\r\nHost: localhost\r\n" + wish
    request = head + b"Content-Length: %d\r\n\r\n" % len(HIDDEN) + HIDDEN
    for parts in ([request + LAST_GET], [request, LAST_GET], [request[:-20], request[-20:], GET]):
        with connect(service.url) as connection:
            for part in parts:
                connection.sendall(part)
            connection.shutdown(socket.SHUT_WR)
            answer = received(connection)
        assert re.findall(rb"HTTP/1\.1 (\d{3}) ", answer) == [b"405", b"200"]
    start = json.dumps({"prompt": "Hi."}).encode()
    whole = HEAD + wish + b"Content-Length: %d\r\n\r\n" % len(start) + start + LAST_GET
    answer = conversation(service.url, [whole])  # as Java's client sends it
    assert re.findall(rb"HTTP/1\.1 (\d{3}) ", answer) == [b"202", b"200"]


def test_a_tunnel_is_not_built(served: Running) -> None:
    answer = conversation(
        served.url, [b"CONNECT localhost:1 HTTP/1.1\r\nHost: localhost\r\n\r\n" + LAST_GET]
    )
    assert re.findall(rb"HTTP/1\.1 (\d{3}) ", answer) == [b"400"]


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
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")
        port = connection.getsockname()[1]
        connections = served.service._server.server_state.connections
        bounded = [each for each in list(connections) if isinstance(each, BoundedProtocol)]
        mine = next(each for each in bounded if each.client and each.client[1] == port)
        eventually(lambda: not mine.scope and not mine.cycle.scope and not mine.cycle.body)
        connection.sendall(LAST_GET)
        assert received(connection).startswith(b"HTTP/1.1 200 ")


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


def test_tls_on_a_plain_port_is_refused_at_once(served: Running) -> None:
    began = time.monotonic()
    assert conversation(served.url, [b"\x16\x03\x01\x02\x00\x01"]).startswith(b"HTTP/1.1 400 ")
    assert time.monotonic() - began < 10


def test_the_kernel_holds_little_for_a_client(served: Running) -> None:
    """It would hold 4 MB for each, and for as long as the client is there."""
    with connect(served.url) as connection:
        connection.sendall(GET)
        connection.recv(65_536)
        for each in list(served.service._server.server_state.connections):
            own = each.transport.get_extra_info("socket")
            assert own.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) <= 2 * SEND_BUFFER


def test_a_client_may_close_its_direction_behind_several_requests(service: Running) -> None:
    start = json.dumps({"prompt": "Hi."}).encode()
    post = HEAD + b"Content-Length: %d\r\n\r\n" % len(start) + start
    for requests, statuses in (
        ([post, GET, post, GET], [b"202", b"200", b"202", b"200"]),
        ([GET, post], [b"200", b"202"]),
        ([post, GET[:20]], [b"202"]),
    ):
        began = time.monotonic()
        with connect(service.url) as connection:
            connection.sendall(b"".join(requests))
            connection.shutdown(socket.SHUT_WR)
            answer = received(connection)
        assert re.findall(rb"HTTP/1\.1 (\d{3}) ", answer) == statuses
        assert time.monotonic() - began < 10
