"""/web/longtask.js in a page that is not at the service's root: under a path, at another origin, with
links that run out."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Route

from entrypoints.api_keys import new_key
from tests.browser.breaking_proxy import BreakingProxy
from tests.browser.following import begin_to_follow, followed
from tests.browser.page import OpenPage
from tests.doubles.upstream import DONE, Gate, Script, Upstream, finish, piece
from tests.running import Running, running_service, settings_for
from tests.waiting import eventually, within

pytestmark = pytest.mark.soak

KEY, ENTRY = new_key("alice")


def status_of_link(url: str) -> int:
    with httpx.stream("GET", url) as response:
        return response.status_code


def test_it_works_under_the_path_of_a_proxy(service: Running, open_page: OpenPage) -> None:
    page = open_page(service.url)
    asked: list[str] = []

    def without_prefix(route: Route) -> None:
        asked.append(route.request.url.removeprefix(f"{service.url}/of/mine"))
        route.continue_(url=route.request.url.replace("/of/mine/", "/"))

    page.route("**/of/mine/**", without_prefix)
    started = service.client.http.post("/api/tasks/start", json={"prompt": "Hi."}).json()
    link = started["streamUrl"]
    for task in (started, {"streamUrl": link}, {"streamUrl": f"/of/mine{link}"}):
        seen = followed(page, task, module="/of/mine/web/longtask.js")
        assert seen["end"]["data"] == "Hello, world."
    assert asked == ["/web/longtask.js", link, link, link]


class OtherOrigin:
    """The server of a user's own page: it has the API key, and gives the page fresh links."""

    def __init__(self) -> None:
        self.link: Callable[[], str] = str

    @contextmanager
    def running(self) -> Iterator[str]:
        other = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(other.link().encode() if self.path == "/link" else b"<p>Mine")

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield f"http://127.0.0.1:{server.server_port}"
            server.shutdown()


@contextmanager
def guarded(upstream: Upstream, **settings: Any) -> Iterator[Running]:
    with running_service(
        settings_for(
            openai_base_url=upstream.url,
            api_keys=ENTRY,
            stream_secret="a secret of forty characters, or even more",
            stream_link_ttl=2.0,
            **settings,
        )
    ) as running:
        running.client.http.headers["Authorization"] = f"Bearer {KEY}"
        yield running


@pytest.mark.parametrize(
    ("holds", "allowed"),
    [
        ("a link", "{origin}"),
        ("a key", "{origin}"),
        pytest.param("a link", "*", marks=pytest.mark.soak),
    ],
)
def test_a_page_of_another_origin_that_cors_allows_follows_with(
    holds: str, allowed: str, upstream: Upstream, browser: Browser
) -> None:
    gate, other = Gate(), OtherOrigin()
    upstream.then(Script([piece("One"), gate, piece(" two"), finish(), DONE]))
    with (
        other.running() as origin,
        guarded(upstream, cors_origins=allowed.format(origin=origin)) as service,
        BreakingProxy(int(service.url.rpartition(":")[2])).running() as proxy,
        browser.new_context() as context,
    ):
        started = service.client.http.post("/api/tasks/start", json={"prompt": "Hi."}).json()
        other.link = lambda: str(service.client.record(started["taskId"])["streamUrl"])
        page = context.new_page()
        page.set_default_timeout(within(30) * 1000)
        page.goto(origin)
        task, options, link = {
            "a link": ({"streamUrl": started["streamUrl"]}, {}, "/link"),
            "a key": ({"taskId": started["taskId"]}, {"key": KEY}, None),
        }[holds]
        module = f"{proxy.url}/web/longtask.js"
        begin_to_follow(page, task, module=module, options=options, link=link)
        page.wait_for_function("window.seen?.texts.at(-1) === 'One'")
        eventually(lambda: status_of_link(service.url + started["streamUrl"]) == 401)
        proxy.cut()
        gate.open()
        seen = page.evaluate("window.following")
    assert seen["end"]["data"] == "One two"
    assert (seen["renewed"] > 0) is (holds == "a link")


def test_without_a_key_a_link_that_has_run_out_is_an_error(
    upstream: Upstream, open_page: OpenPage
) -> None:
    with guarded(upstream) as service:
        page = open_page(service.url)
        started = service.client.http.post("/api/tasks/start", json={"prompt": "Hi."}).json()
        eventually(lambda: status_of_link(service.url + started["streamUrl"]) == 401)
        for task, code in (
            ({"streamUrl": started["streamUrl"]}, "stream-link-expired"),
            ({"taskId": started["taskId"]}, "unauthorized"),
        ):
            error = followed(page, task)["error"]
            assert (error["status"], error["code"]) == (401, code)
