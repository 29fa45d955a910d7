"""The page of the older system in a real browser: it opens an EventSource and never closes it, so
whatever ends the stream makes its onerror write over what it shows."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Browser, Page, expect

from entrypoints.api_keys import new_key
from tests.doubles.upstream import Script, Upstream, answer, refusal
from tests.running import Running, running_service, settings_for
from tests.waiting import within

pytestmark = pytest.mark.soak

PAGE = """<!doctype html><meta charset="utf-8"><title>The older page</title>
<p id="status"></p><pre id="result"></pre><p id="error"></p>
<script>
  const show = (id, text) => { document.getElementById(id).textContent = text; };
  async function run(prompt) {
    const reply = await (await fetch("/api/tasks/start", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ prompt, model: "gpt-3.5-turbo", maxTokens: 1000, temperature: 0.7 }),
    })).json();
    if (reply.success) listen(`/api/tasks/stream?taskId=${reply.taskId}`);
    else show("error", reply.error);
  }
  function listen(url) {
    let result = "";
    const source = new EventSource(url);
    source.onmessage = (message) => {
      const { type, data } = JSON.parse(message.data);
      if (type === "content") show("result", result += data);
      if (type === "status") show("status", data);
      if (type === "end") show("status", "ended");
      if (type === "error") show("error", data);
    };
    source.onerror = () => { show("error", "connection interrupted"); show("result", ""); };
  }
</script>
"""


@contextmanager
def older_page(browser: Browser, url: str) -> Iterator[Page]:
    """The page, as if the server at this address had it."""
    context = browser.new_context()
    page = context.new_page()
    expect.set_options(timeout=within(20) * 1000)
    page.route(f"{url}/older", lambda route: route.fulfill(body=PAGE, content_type="text/html"))
    page.goto(f"{url}/older")
    yield page
    context.close()


class Elsewhere(BaseHTTPRequestHandler):
    """Has the page at any path. The browser lets no page reach this machine that it did not get
    from a real server on it."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE.encode())

    def log_message(self, *_: object) -> None: ...


@contextmanager
def page_of_another_origin(browser: Browser) -> Iterator[Page]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"http://localhost:{server.server_port}/")
        yield page
        context.close()
        server.shutdown()


@pytest.fixture(scope="module")
def service(shared_upstream: Upstream) -> Iterator[Running]:
    settings = settings_for(openai_base_url=shared_upstream.url, sse_ping_interval=0.2)
    with running_service(settings) as running:
        yield running


def stays(page: Page) -> None:
    """Pings come and go, and onerror is not called. EventSource would reconnect after 1 s."""
    page.wait_for_timeout(1_500)
    expect(page.locator("#error")).not_to_have_text("connection interrupted")


def test_an_answer_stays_on_the_page(
    service: Running, upstream: Upstream, browser: Browser
) -> None:
    upstream.then(*(Script(answer("写", "一个", f"故事 {n}")) for n in range(5)))
    with older_page(browser, service.url) as page:
        for number in range(4):  # and each before it leaves its connection open
            page.evaluate("run('Hi.')")
            expect(page.locator("#result")).to_have_text(f"写一个故事 {number}")
            expect(page.locator("#status")).to_have_text("ended")
        stays(page)
        expect(page.locator("#result")).to_have_text("写一个故事 3")
        expect(page.locator("#error")).to_have_text("")


@pytest.mark.soak
def test_the_message_of_a_failure_stays_on_the_page(
    service: Running, upstream: Upstream, browser: Browser
) -> None:
    upstream.then(refusal(401, "invalid_api_key"))
    with older_page(browser, service.url) as page:
        page.evaluate("run('Hi.')")
        expect(page.locator("#error")).to_contain_text("API key")
        stays(page)
        expect(page.locator("#status")).to_have_text("failed")


def test_a_page_of_any_origin_reads_a_stream_by_its_link_and_changes_nothing(
    upstream: Upstream, browser: Browser
) -> None:
    key, entry = new_key("alice")
    upstream.then(Script(answer("All ", "of it")))
    settings = settings_for(
        openai_base_url=upstream.url,
        sse_ping_interval=0.2,
        cors_origins="*",
        api_keys=entry,
        stream_secret="a secret of forty characters, or even more",
    )
    with running_service(settings) as service:
        headers = {"Authorization": f"Bearer {key}"}
        started = service.client.http.post(
            "/api/tasks/start", json={"prompt": "Hi."}, headers=headers
        ).json()
        with page_of_another_origin(browser) as page:
            page.evaluate("url => listen(url)", service.url + started["streamUrl"])
            expect(page.locator("#result")).to_have_text("All of it")
            stays(page)
            refused = """([url, key]) => fetch(url, {
                method: "POST",
                headers: { "Content-Type": "application/json", Authorization: `Bearer ${key}` },
                body: JSON.stringify({ prompt: "Hi." }),
            }).then(() => "sent", () => "refused")"""
            assert page.evaluate(refused, [f"{service.url}/api/tasks/start", key]) == "refused"
