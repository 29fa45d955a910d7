"""How soon the page is there, and how much is sent for it, also once more."""

import pytest
from playwright.sync_api import Page, expect

from entrypoints.http.page import WEB
from entrypoints.http.page_bundle import is_bundled, stylesheets, with_bundle
from tests.browser.page import OpenPage, start, status
from tests.running import Running
from tests.waiting import within

SLOW = {
    "offline": False,
    "latency": 150,
    "downloadThroughput": 1_600_000 / 8,
    "uploadThroughput": 750_000 / 8,
}
"""A phone's connection: 1.6 Mbit/s and 150 ms there and back."""
MOST = 300 * 1024  # bytes on the wire
AGAIN = 12 * 1024

_PAINTED = """() => new Promise((done) => {
    new PerformanceObserver((list) => {
        for (const each of list.getEntries()) if (each.name === "first-contentful-paint") done(each.startTime);
    }).observe({ type: "paint", buffered: true });
})"""


def _load(page: Page, cold: bool) -> tuple[float, int]:
    """Load the page again, without what the browser keeps if `cold`. When the first text was
    painted, in seconds, and how many bytes were received, with the heads of responses, until the
    page can be used."""
    received: list[int] = []
    devtools = page.context.new_cdp_session(page)
    devtools.send("Network.enable")
    devtools.send("Network.emulateNetworkConditions", SLOW)
    devtools.send("Emulation.setCPUThrottlingRate", {"rate": 4})
    devtools.on("Network.loadingFinished", lambda each: received.append(each["encodedDataLength"]))
    if cold:
        devtools.send("Network.clearBrowserCache")
    page.goto(page.url)
    painted = float(page.evaluate(_PAINTED)) / 1000
    expect(page.locator("#examples button").first).to_be_visible()
    devtools.detach()
    return painted, round(sum(received))


@pytest.mark.soak
def test_on_a_slow_phone_the_page_is_there_in_a_second_and_small(
    service: Running, open_page: OpenPage
) -> None:
    page = open_page(service.url)
    loads = [_load(page, cold=True) for _ in range(4)]  # the best, since others use the machine too
    assert min(painted for painted, _ in loads) < within(1.0), loads
    assert max(size for _, size in loads) <= MOST, loads


@pytest.mark.soak
def test_a_second_load_sends_little(service: Running, open_page: OpenPage) -> None:
    page = open_page(service.url)
    _, first = _load(page, cold=True)
    _, second = _load(page, cold=False)
    named = 60 * 800 if not is_bundled(WEB) else 0  # the heads of an answer for each source
    assert second < min(first, AGAIN + named)


@pytest.mark.soak
@pytest.mark.parametrize("form", ["bundle", "sources"])
def test_the_page_is_the_same_with_and_without_a_bundle(
    service: Running, open_page: OpenPage, form: str
) -> None:
    if form == "bundle" and not is_bundled(WEB):
        pytest.skip("no bundle of the page as it is now (make vendor)")
    html = (WEB / "index.html").read_text(encoding="utf-8")
    assert stylesheets(html)[0] == "page.css"
    served = with_bundle(html) if form == "bundle" else html
    page = open_page(service.url)
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url.rpartition("/")[2]))
    page.route(f"{service.url}/", lambda route: route.fulfill(response=route.fetch(), body=served))
    page.goto(service.url)
    start(page, "Hi.")
    status(page, "completed")
    expect(page.locator("#answer")).to_have_text("Hello, world.")
    assert (
        page.locator("#list").evaluate("(each) => getComputedStyle(each).listStyleType") == "none"
    )
    scripts = {name for name in asked if name.endswith(".js")}
    styles = {name for name in asked if name.endswith(".css")}
    if form == "bundle":
        assert scripts == {"page.min.js"}
        assert styles == {"page.min.css"}
    else:
        assert {"page.js", "said.js", "longtask.js"} < scripts
        assert styles == set(stylesheets(html))
