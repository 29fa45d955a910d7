"""HEAD on every address that has GET: the head of the response, at once."""

import httpx
import pytest

from tests.doubles.upstream import DONE, Gate, Script, Upstream, finish, piece
from tests.raw_http import LAST_GET, connect, received
from tests.running import Running, running_service, settings_for

OF_A_BODY = ("content-length", "transfer-encoding")
OF_ONE_RESPONSE = (*OF_A_BODY, "date", "x-request-id", "last-modified")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/web/page.js",
        "/schema",
        "/schema/openapi.json",
        "/schema-assets/swagger-ui.css",
        "/healthz",
        "/readyz",
        "/api/tasks/start?taskId={task}",
        "/api/tasks/{task}",
        "/api/tasks/{task}/result",
        "/api/tasks/stream?taskId={task}",
        "/api/tasks/{task}/stream",
        "/api/tasks",
        "/api/tasks?status=completed&limit=1",
        "/api/tasks/start",  # 400
        "/api/tasks/{task}/result?wait=301",  # 400
        "/api/tasks/task_1_nobody",  # 404
        "/api/tasks/stream?taskId=task_1_nobody",
        "/nothing",
    ],
)
def test_it_has_the_head_of_get_and_no_body(shared_service: Running, path: str) -> None:
    http = shared_service.client.http
    task = shared_service.client.start()
    shared_service.client.wait_for(task, "completed")
    path = path.format(task=task)
    got, head = http.get(path), http.head(path)
    assert head.status_code == got.status_code
    assert head.content == b""
    for name, value in head.headers.items():
        if name not in OF_ONE_RESPONSE:
            assert got.headers[name] == value, name
    assert set(head.headers) - set(OF_A_BODY) == set(got.headers) - set(OF_A_BODY)
    if "content-length" in head.headers:
        assert head.headers["content-length"] == got.headers["content-length"]


def test_metrics_have_it_too(shared_service: Running) -> None:
    assert shared_service.client.http.head("/metrics").status_code == 200


def test_that_of_a_stream_takes_no_slot_and_waits_for_nothing(upstream: Upstream) -> None:
    gate = Gate()
    upstream.then(Script([piece("One"), gate, finish(), DONE]))
    settings = settings_for(openai_base_url=upstream.url, address_limits="streams=1", max_streams=1)
    with running_service(settings) as service:
        task = service.client.start()
        path = f"/api/tasks/stream?taskId={task}"
        with service.client.http.stream("GET", path) as live:
            assert live.status_code == 200
            assert httpx.get(service.url + path).status_code in (429, 503)
            for _ in range(3):
                head = httpx.head(service.url + path)
                assert head.status_code == 200
                assert head.headers["content-type"].startswith("text/event-stream")
            assert httpx.head(f"{service.url}/api/tasks/{task}").status_code == 200
        gate.open()
        service.client.wait_for(task, "completed")


def test_the_connection_goes_on_behind_it(shared_service: Running) -> None:
    task = shared_service.client.start()
    shared_service.client.wait_for(task, "completed")
    paths = ("/healthz", f"/api/tasks/{task}", f"/api/tasks/stream?taskId={task}")
    with connect(shared_service.url) as connection:
        for path in paths:
            connection.sendall(f"HEAD {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        connection.sendall(LAST_GET)
        data = received(connection)
    assert data.count(b"HTTP/1.1 200 OK") == len(paths) + 1
    assert b"data:" not in data


def test_it_runs_no_task(upstream: Upstream) -> None:
    settings = settings_for(openai_base_url=upstream.url, env="development")
    with running_service(settings) as service:
        for path in ("/api/qstash/webhook", "/api/qstash/webhook/"):
            head = service.client.http.head(path, params={"prompt": "Hi."})
            assert head.status_code == 405
            assert "HEAD" not in head.headers["Allow"]
        assert upstream.received == []


def test_it_is_among_the_methods_that_an_address_names(shared_service: Running) -> None:
    http = shared_service.client.http
    for path in ("/api/tasks/start", "/healthz", "/api/tasks/task_1_a"):
        assert "HEAD" in http.options(path).headers["Allow"]
        refused = http.put(path)
        assert refused.status_code == 405
        assert "HEAD" in refused.headers["Allow"]
    assert http.options("/api/tasks/start").headers["Allow"] == "GET, HEAD, OPTIONS, POST"
    assert http.options("/api/tasks/task_1_a").headers["Allow"] == "DELETE, GET, HEAD, OPTIONS"
    assert http.options("/v1/responses/resp_a").headers["Allow"] == "DELETE, GET, HEAD, OPTIONS"
    assert "HEAD" not in http.options("/api/tasks/task_1_a/cancel").headers["Allow"]
    assert "HEAD" not in http.options("/api/qstash/webhook").headers["Allow"]


def test_it_needs_the_key_that_get_needs(upstream: Upstream) -> None:
    settings = settings_for(
        openai_base_url=upstream.url,
        api_keys="alice:lt_aaaaaaaaaaaaaaaaaaaaaaaa",
        stream_secret="a secret of forty characters, or even more",
        env="development",
    )
    with running_service(settings) as service:
        key = {"Authorization": "Bearer lt_aaaaaaaaaaaaaaaaaaaaaaaa"}
        http = service.client.http
        started = http.post("/api/tasks/start", json={"prompt": "Hi."}, headers=key).json()
        task = started["taskId"]
        for path in (f"/api/tasks/{task}", f"/api/tasks/stream?taskId={task}"):
            assert http.head(path).status_code == 401
            assert http.head(path, headers=key).status_code == 200
        assert http.head(started["streamUrl"]).status_code == 200
