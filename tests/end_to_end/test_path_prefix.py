"""The service under a path, behind a proxy that strips it: nginx and Caddy, with the lines that
docs/operations.md names. Every address that the service gives out leads back to it."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from entrypoints.api_keys import new_key
from tests.doubles.upstream import Script, Upstream, answer
from tests.end_to_end.test_behind_proxies import caddy, nginx, running_proxy
from tests.redis_server import free_port
from tests.running import Running, running_service, settings_for
from tests.waiting import eventually, within

OPERATIONS = (Path(__file__).parents[2] / "docs/operations.md").read_text()
KEY, ENTRY = new_key("alice")
STRIPPING = {
    nginx: ("rewrite ^/longtask$ /longtask/ permanent;", "rewrite ^/longtask(/.*)$ $1;"),
    caddy: ("redir /longtask /longtask/", "uri strip_prefix /longtask"),
}


@contextmanager
def under_a_path(
    make: Callable[..., list[str]], folder: Path, **settings: Any
) -> Iterator[tuple[str, Running]]:
    """The address of the service behind this proxy, without a slash at its end."""
    assert all(line in OPERATIONS for line in STRIPPING[make])
    front, back = free_port(), free_port()
    url = f"http://127.0.0.1:{front}/longtask"
    command = make(folder, front, back, *STRIPPING[make])
    with (
        running_service(
            settings_for(port=back, base_url=url, trusted_proxies="127.0.0.1", **settings)
        ) as service,
        running_proxy(command, folder, url),
    ):
        yield url, service


@pytest.fixture(params=STRIPPING, ids=["nginx", "caddy"])
def prefixed(
    request: pytest.FixtureRequest, upstream: Upstream, tmp_path: Path
) -> Iterator[httpx.Client]:
    """A client at the proxy, with a key. The paths of its requests are as the service gave them."""
    with (
        under_a_path(
            request.param,
            tmp_path,
            openai_base_url=upstream.url,
            api_keys=ENTRY,
            stream_secret="a secret of forty characters, or even more",
        ) as (url, _),
        httpx.Client(
            base_url=url.removesuffix("/longtask"),
            headers={"Authorization": f"Bearer {KEY}"},
            timeout=within(20),
        ) as client,
    ):
        yield client


def start(client: httpx.Client) -> httpx.Response:
    started = client.post("/longtask/api/tasks/start", json={"prompt": "Hi."})
    assert started.status_code == 202
    return started


def status(client: httpx.Client, path: str) -> str:
    return str(client.get(path).json()["status"])


def test_a_task_by_the_addresses_that_its_start_gave(
    prefixed: httpx.Client, upstream: Upstream
) -> None:
    upstream.then(Script(answer("All ", "of it")))
    started = start(prefixed)
    location, link = started.headers["Location"], started.json()["streamUrl"]
    assert location == f"/longtask/api/tasks/{started.json()['taskId']}"
    eventually(lambda: status(prefixed, location) == "completed")  # delivered through the proxy
    for each in (link, prefixed.get(location).json()["streamUrl"]):
        del prefixed.headers["Authorization"]
        stream = prefixed.get(each)
        assert '"data":"All of it"' in stream.text
        prefixed.headers["Authorization"] = f"Bearer {KEY}"


@pytest.mark.parametrize("make", STRIPPING, ids=["nginx", "caddy"])
def test_the_failure_callback_comes_through_the_proxy(
    make: Callable[..., list[str]], upstream: Upstream, tmp_path: Path
) -> None:
    upstream.then(Script([], cut=True))
    with under_a_path(make, tmp_path, openai_base_url=upstream.url, qstash_retries=0) as (
        _,
        service,
    ):
        service.client.wait_for(service.client.start(), "failed")
        called_back = 'longtask_deliveries_total{status="200"} 1.0'
        eventually(lambda: called_back in service.client.http.get("/metrics").text)


def test_all_that_the_pages_name_is_there(prefixed: httpx.Client) -> None:
    assert prefixed.get("/longtask").headers["Location"].endswith("/longtask/")
    for path in ("/longtask/", "/longtask/schema"):
        page = prefixed.get(path)
        assert page.status_code == 200
        named = re.findall(r"(?:src|href)=\"([^\"#]+)\"", page.text)
        assert named
        for address in named:
            assert address.startswith("/longtask/")
            assert prefixed.get(address, follow_redirects=True).status_code == 200, address
    described = prefixed.get("/longtask/schema/openapi.json").json()
    assert [each["url"] for each in described["servers"]] == ["/longtask"]
    assert "/api/tasks/start" in described["paths"]


@pytest.mark.parametrize(
    ("base_url", "prefix"),
    [
        ("https://example.org", ""),
        ("https://example.org/", ""),
        ("https://example.org/longtask/", "/longtask"),
        ("https://example.org//a/b", "/a/b"),
        ("https://example.org/a%20b", "/a%20b"),
        ('https://example.org/任务"', "/%E4%BB%BB%E5%8A%A1%22"),
    ],
)
def test_the_prefix_is_the_path_of_base_url(base_url: str, prefix: str) -> None:
    settings = settings_for(base_url=base_url)
    assert settings.prefix == prefix
    assert not urlsplit(prefix + "/api").netloc
