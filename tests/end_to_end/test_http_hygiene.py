"""What every answer bears, what no request may be, and who may ask from another origin."""

import re
import socket

import httpx
import pytest

from entrypoints.api_keys import new_key
from entrypoints.http.protocol.request_head import HEAD_LIMIT
from tests.doubles.upstream import DONE, Gate, Script, Upstream, finish, piece
from tests.running import Running, running_service, settings_for
from tests.waiting import within

ORIGIN = "https://app.example.org"


def raw(service: Running, *parts: bytes) -> bytes:
    """What comes back until the service hangs up."""
    url = httpx.URL(service.url)
    with socket.create_connection((url.host, url.port or 80), timeout=within(15)) as connection:
        for part in parts:
            connection.sendall(part)
        received = b""
        try:
            while data := connection.recv(65536):
                received += data
        except ConnectionResetError:
            pass
        return received


@pytest.mark.parametrize(
    "path", ["/", "/schema", "/nothing", "/healthz", "/api/tasks/start", "/api/tasks/task_1_x"]
)
def test_every_answer_is_bounded_in_what_a_browser_may_do_with_it(
    shared_service: Running, path: str
) -> None:
    answer = shared_service.client.http.get(path)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-Id"])
    assert "server" not in answer.headers
    assert "Strict-Transport-Security" not in answer.headers


def test_answers_of_the_api_are_kept_by_no_cache(shared_service: Running) -> None:
    task = shared_service.client.start()
    for path in (f"/api/tasks/{task}", f"/api/tasks/start?taskId={task}"):
        assert shared_service.client.http.get(path).headers["Cache-Control"] == "no-store"


def test_a_request_id_comes_back_if_it_is_one(shared_service: Running) -> None:
    for given, kept in (("abc-123", True), ("a b", False), ("x" * 129, False), ("<b>", False)):
        answer = shared_service.client.http.get("/healthz", headers={"X-Request-Id": given})
        assert (answer.headers["X-Request-Id"] == given) is kept


def test_other_origins_are_told_nothing_by_default(shared_service: Running) -> None:
    answer = shared_service.client.http.get("/healthz", headers={"Origin": ORIGIN})
    assert not [name for name in answer.headers if name.startswith("access-control")]


def test_pages_of_the_named_origins_may_use_the_api(upstream: Upstream) -> None:
    settings = settings_for(openai_base_url=upstream.url, cors_origins=ORIGIN)
    with running_service(settings) as service:
        ask = {
            "Origin": ORIGIN,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
        }
        asked = httpx.options(f"{service.url}/api/tasks/start", headers=ask)
        assert asked.status_code == 204
        assert asked.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "DELETE" in asked.headers["Access-Control-Allow-Methods"]
        started = httpx.post(
            f"{service.url}/api/tasks/start", json={"prompt": "Hi."}, headers={"Origin": ORIGIN}
        )
        assert started.headers["Access-Control-Allow-Origin"] == ORIGIN
        assert "Location" in started.headers["Access-Control-Expose-Headers"]
        task = started.json()["taskId"]
        stream = httpx.get(
            f"{service.url}/api/tasks/stream?taskId={task}", headers={"Origin": ORIGIN}
        )
        assert stream.headers["Access-Control-Allow-Origin"] == ORIGIN
        other = httpx.options(
            f"{service.url}/api/tasks/start", headers={**ask, "Origin": "https://evil.example"}
        )
        assert other.headers.get("Access-Control-Allow-Origin") != "https://evil.example"
        assert other.headers.get("Access-Control-Allow-Origin") != "*"


def test_a_head_that_is_too_large_is_refused_before_it_is_kept(shared_service: Running) -> None:
    line = b"X-Filler: " + b"x" * 1000 + b"\r\n"
    head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + line * (HEAD_LIMIT // len(line) + 2)
    assert raw(shared_service, head).startswith(b"HTTP/1.1 431 ")
    url = b"GET /healthz?" + b"x" * (HEAD_LIMIT + 1) + b" HTTP/1.1\r\nHost: localhost\r\n\r\n"
    assert raw(shared_service, url).startswith(b"HTTP/1.1 431 ")
    fits = (
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n" + line * 20 + b"\r\n"
    )
    assert raw(shared_service, fits).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "part",
    [
        b"",
        b"GET /healthz HT",
        b"POST /api/tasks/start HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: 100\r\n\r\n{",
    ],
    ids=["nothing", "half a head", "half a body"],
)
def test_a_request_that_does_not_come_is_not_waited_for(hurried: Running, part: bytes) -> None:
    assert raw(hurried, part).startswith(b"HTTP/1.1 408 ")


def test_an_answer_may_take_longer_than_a_request(upstream: Upstream) -> None:
    gate = Gate()
    upstream.then(Script([piece("a"), gate, finish(), DONE]))
    settings = settings_for(
        openai_base_url=upstream.url, request_timeout=0.2, sse_ping_interval=0.1
    )
    with running_service(settings) as service:
        task = service.client.start()
        with service.client.http.stream("GET", f"/api/tasks/stream?taskId={task}") as stream:
            lines = stream.iter_lines()
            for _ in range(10):  # a second of silence
                assert any(line == ": keep-alive" for line in lines)
            gate.open()
            assert any('"type":"end"' in line for line in lines)


def test_a_request_that_is_none_is_refused(shared_service: Running) -> None:
    assert raw(shared_service, b"\x16\x03\x01 no HTTP\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_an_upgrade_is_not_taken(shared_service: Running) -> None:
    head = (
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 13\r\nConnection: close\r\n\r\n"
    )
    assert b" 101 " not in raw(shared_service, head).partition(b"\r\n")[0]


def _grants(answer: httpx.Response) -> str | None:
    granted: str | None = answer.headers.get("Access-Control-Allow-Origin")
    return granted


def test_any_origin_may_read_what_an_id_or_a_link_opens_and_no_more(upstream: Upstream) -> None:
    key, entry = new_key("alice")
    settings = settings_for(
        openai_base_url=upstream.url,
        cors_origins=f"*, {ORIGIN}",
        api_keys=entry,
        stream_secret="a secret of forty characters, or even more",
        env="development",
    )
    other = {"Origin": "https://other.example"}
    with running_service(settings) as service, httpx.Client(base_url=service.url) as http:
        started = http.post(
            "/api/tasks/start",
            json={"prompt": "Hi."},
            headers={"Authorization": f"Bearer {key}", "Origin": ORIGIN},
        )
        assert _grants(started) == ORIGIN
        stream, task = started.json()["streamUrl"], started.json()["taskId"]
        for path in (
            stream,
            f"/api/tasks/{task}",  # 401, which the page may see
            f"/api/tasks/start?taskId={task}",
            "/web/page.js",
        ):
            for read in (http.get, http.head):
                assert _grants(read(path, headers=other)) == "*", path
                assert _grants(read(path, headers={"Origin": ORIGIN})) == ORIGIN
                assert "access-control-allow-credentials" not in read(path, headers=other).headers
        for path in ("/metrics", "/readyz", "/schema", "/", "/nothing", "/api/qstash/webhook"):
            assert _grants(http.get(path, headers=other)) is None, path
        for method, wanted in (("POST", "content-type"), ("GET", "authorization")):
            ask = {
                **other,
                "Access-Control-Request-Method": method,
                "Access-Control-Request-Headers": wanted,
            }
            for path in ("/api/tasks/start", f"/api/tasks/{task}", f"/api/tasks/{task}/cancel"):
                assert _grants(http.options(path, headers=ask)) is None
        for path in ("/api/tasks/start", f"/api/tasks/{task}/cancel"):
            refused = http.post(path, headers=other, json={"prompt": "Hi."})
            assert refused.status_code == 403
            assert _grants(refused) is None


def test_any_origin_reads_by_id_where_there_are_no_keys(upstream: Upstream) -> None:
    settings = settings_for(openai_base_url=upstream.url, cors_origins="*")
    with running_service(settings) as service:
        task = service.client.start()
        for origin in ("https://other.example", "null", "*"):
            for path in (f"/api/tasks/{task}", f"/api/tasks/stream?taskId={task}"):
                answer = httpx.get(service.url + path, headers={"Origin": origin})
                assert answer.status_code == 200
                assert _grants(answer) == "*"
            refused = httpx.post(
                f"{service.url}/api/tasks/start", json={"prompt": "x"}, headers={"Origin": origin}
            )
            assert refused.status_code == 403
