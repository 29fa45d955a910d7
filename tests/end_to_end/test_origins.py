"""What a page of another origin, or of another name for this machine, may have a browser do."""

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from dependency_injector import providers

from entrypoints.api_keys import new_key
from entrypoints.container import Container
from entrypoints.http.origins import Origins
from tests.doubles.upstream import Upstream
from tests.running import Running, running_service, settings_for
from tests.waiting import eventually, within

EVIL = "https://evil.example"
DIRECT = "/api/qstash/webhook"
ALICE, BOB = new_key("alice"), new_key("bob")
SECRET = "a secret of forty characters, or even more"


def started(answer: httpx.Response) -> bool:
    return answer.status_code == 202


@pytest.fixture(scope="module")
def known() -> Iterator[Running]:
    """A service that is known by a name in its network, and that a page of an origin may use."""
    settings = settings_for(cors_origins="https://app.example.org", allowed_hosts="tasks.internal")
    # In the settings, BASE_URL would also be where the local QStash delivers.
    origins = Origins(
        hosts=settings.host_names,
        base_url="https://tasks.example.org",
        allowed=settings.access.cors_origins,
    )
    with contextlib.ExitStack() as stack:
        with Container.origins.override(providers.Object(origins)):
            running = stack.enter_context(running_service(settings))
        yield running


@pytest.fixture
def keyed(upstream: Upstream) -> Iterator[Running]:
    settings = settings_for(
        openai_api_key="sk-planted-secret",
        openai_base_url=upstream.url,
        api_keys=f"{ALICE[1]},{BOB[1]}",
        stream_secret=SECRET,
        limits="starts=2",
        env="development",
    )
    with running_service(settings) as running:
        yield running


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost:3000"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "same-site", "Origin": "http://localhost:3000"}, False),
        ({"Sec-Fetch-Site": "cross-site", "Origin": EVIL}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Origin": EVIL}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://["}, False),
        ({"Origin": "http://a]b"}, False),
        ({"Origin": "{own}"}, True),
        ({"Sec-Fetch-Site": "cross-site", "Origin": "https://app.example.org"}, True),
        ({"Origin": "https://tasks.example.org"}, True),
    ],
)
def test_only_our_own_pages_and_named_origins_change_anything(
    known: Running, headers: dict[str, str], allowed: bool
) -> None:
    sent = {name: value.format(own=known.url) for name, value in headers.items()}
    start = httpx.post(f"{known.url}/api/tasks/start", json={"prompt": "x"}, headers=sent)
    assert started(start) is allowed, start.text
    if not allowed:
        assert start.json()["type"] == "urn:longtask:problem:cross-origin"
    task = known.client.start()
    cancel = httpx.post(f"{known.url}/api/tasks/{task}/cancel", headers=sent)
    assert (cancel.status_code != 403) is allowed
    direct = httpx.get(known.url + DIRECT, params={"prompt": "x"}, headers=sent)
    assert (direct.status_code == 200) is allowed
    # Reading changes nothing, and is bounded by the browser itself.
    assert httpx.get(f"{known.url}/api/tasks/{task}", headers=sent).status_code == 200


def test_images_of_any_page_run_no_tasks(upstream: Upstream) -> None:
    with running_service(settings_for(openai_base_url=upstream.url)) as service:
        image = {
            "Sec-Fetch-Site": "cross-site",
            "Sec-Fetch-Mode": "no-cors",
            "Sec-Fetch-Dest": "image",
            "Referer": EVIL,
        }
        for number in range(20):
            query = {"prompt": f"image {number}"}
            answer = httpx.get(service.url + DIRECT, params=query, headers=image)
            assert answer.status_code == 403
        assert upstream.received == []


@pytest.mark.parametrize(
    ("host", "status"), [("127.0.0.1", 200), ("localhost:{port}", 200), ("192.168.1.5", 403)]
)
def test_where_a_browser_tells_nothing_only_this_machine_runs_tasks(
    shared_service: Running, host: str, status: int
) -> None:
    """Over plain HTTP to an address in a network, an image's request has neither Origin nor
    Sec-Fetch-Site, like one of curl's."""
    headers = {"Host": host.format(port=shared_service.url.rpartition(":")[2])}
    address = shared_service.url + DIRECT
    answer = httpx.get(address, params={"prompt": "x"}, headers=headers, timeout=within(20))
    assert answer.status_code == status


def test_a_task_that_is_run_directly_is_its_callers_and_counts(keyed: Running) -> None:
    def run(key: tuple[str, str], **query: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key[0]}"}
        return httpx.get(
            keyed.url + DIRECT, params={"prompt": "x", **query}, headers=headers, timeout=20
        )

    assert run(ALICE, taskId="task-a").status_code == 200
    record = keyed.client.http.get(
        "/api/tasks/task-a", headers={"Authorization": f"Bearer {ALICE[0]}"}
    )
    assert record.json()["status"] == "completed"
    others = run(BOB, taskId="task-a")
    assert others.status_code == 404
    assert others.json()["type"] == "urn:longtask:problem:unknown-task"
    assert run(ALICE).status_code == 200
    assert run(ALICE).status_code == 429
    assert run(ALICE, taskId="task-a").status_code == 200  # its own, and ended: nothing to run
    assert run(BOB, taskId="task-b").status_code == 200


def test_anothers_task_is_not_failed_by_running_it(keyed: Running, upstream: Upstream) -> None:
    headers = {"Authorization": f"Bearer {ALICE[0]}"}
    task = keyed.client.http.post("/api/tasks/start", json={"prompt": "x"}, headers=headers).json()[
        "taskId"
    ]
    answer = httpx.get(
        keyed.url + DIRECT,
        params={"prompt": "x", "taskId": task},
        headers={"Authorization": f"Bearer {BOB[0]}"},
    )
    assert answer.status_code == 404

    def completed() -> bool:
        found = keyed.client.http.get(f"/api/tasks/{task}", headers=headers).json()
        return bool(found["status"] == "completed")

    eventually(completed)
    assert len(upstream.received) == 1


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200),
        ("[::1]:{port}", 200),
        ("192.168.1.5", 200),
        ("localhost:{port}", 200),
        ("LOCALHOST", 200),
        ("tasks.internal:{port}", 200),
        ("evil.example:{port}", 403),
        ("localhost.evil.example", 403),
        ("127.0.0.1.evil.example", 403),
        ("evil.example:99999", 403),
    ],
)
def test_without_keys_only_known_names_are_answered(known: Running, host: str, status: int) -> None:
    headers = {"Host": host.format(port=known.url.rpartition(":")[2])}
    task = known.client.start()
    for path in (f"/api/tasks/{task}", f"/api/tasks/stream?taskId={task}", "/", "/metrics"):
        assert httpx.get(known.url + path, headers=headers).status_code == status, path
    start = httpx.post(f"{known.url}/api/tasks/start", json={"prompt": "x"}, headers=headers)
    assert start.status_code == (202 if status == 200 else 403)
    if status == 403:
        assert start.json()["type"] == "urn:longtask:problem:unknown-host"
    for path in ("/healthz", "/readyz"):
        assert httpx.get(known.url + path, headers=headers).status_code == 200


def test_a_health_check_needs_no_host(shared_service: Running) -> None:
    """HAProxy's `option httpchk GET /readyz` sends HTTP/1.0 without one."""
    url = httpx.URL(shared_service.url)
    for path, status in (("/readyz", b"200"), ("/healthz", b"200"), ("/metrics", b"403")):
        with socket.create_connection((url.host, url.port or 80), timeout=within(10)) as connection:
            connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            assert connection.recv(65536).split(b" ")[1] == status, path


def test_with_keys_any_name_is_answered(keyed: Running) -> None:
    """A page that has no key gets nothing by another name."""
    headers = {"Host": "tasks.example.org", "Authorization": f"Bearer {ALICE[0]}"}
    answer = httpx.post(f"{keyed.url}/api/tasks/start", json={"prompt": "x"}, headers=headers)
    assert started(answer)


@pytest.mark.parametrize(
    "path",
    [
        "/?a=1&a=2",
        "/healthz?x=1&x=1",
        "/api/tasks/start?taskId=task_1_a&taskId=task_1_b",
        "/api/tasks/start?taskId=task_1_a&%74askId=task_1_b",
        "/api/tasks/stream?taskId=task_1_a&lastEventId=a-1&lastEventId=a-2",
        "/api/qstash/webhook?prompt=a&prompt=b",
    ],
)
def test_a_repeated_parameter_is_refused_everywhere(shared_service: Running, path: str) -> None:
    answer = shared_service.client.http.get(path)
    assert answer.status_code == 400
    errors: list[dict[str, Any]] = answer.json()["errors"]
    assert [each["message"] for each in errors] == ["is given twice"]


@pytest.mark.parametrize(
    "path",
    [
        "/web/%00",
        "/web/index.html/..",
        "/web/index.html/page.js",
        "/web/" + "x" * 5000,
        "/web/%2e%2e/app.py",
        "/web/a%00b.js",
        "/schema-assets/%00",
        "/schema-assets/swagger-ui.css/..",
    ],
)
def test_a_path_that_is_none_is_not_there(shared_service: Running, path: str) -> None:
    url = httpx.URL(shared_service.url)
    with socket.create_connection((url.host, url.port or 80), timeout=within(10)) as connection:
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(65536).split(b" ")[1] == b"404"
