"""A real browser: Debian's chromium, or any on the path, driven by Playwright."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    sync_playwright,
)

from tests.running import running_service, settings_for

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="package")  # its event loop must end before tests that bring their own
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no browser (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=program, args=["--no-sandbox", "--disable-background-networking"]
        )
        yield browser
        browser.close()


OpenPage = Callable[..., Page]


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    with _pages(browser) as open_page:
        yield open_page


@pytest.fixture(scope="module")
def quiet_page(browser: Browser) -> Iterator[Page]:
    """One page for all tests of a module that call its scripts and leave it as it was."""
    with running_service(settings_for()) as service, _pages(browser) as open_page:
        yield open_page(service.url)


@contextmanager
def _pages(browser: Browser) -> Iterator[OpenPage]:
    """Opens pages, each in a context of its own unless one is given, and holds all of them to this
    at the end: no script broke, nothing was refused by the policy, no dialog, and nothing was asked
    of another server."""
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def open_page(url: str, context: BrowserContext | None = None, **options: object) -> Page:
        if context is None:
            defaults = {"viewport": {"width": 1280, "height": 900}, "locale": "en-US"}
            context = browser.new_context(**{**defaults, **options})  # type: ignore[arg-type]
            context.grant_permissions(["clipboard-read", "clipboard-write"])
            contexts.append(context)
        page = context.new_page()
        _watch(page, url.partition("/#")[0].rstrip("/") + "/", faults)
        failed: list[str | None] = []

        def note(request: Request) -> None:
            failed.append(request.failure)

        page.on("requestfailed", note)
        page.goto(url)
        # The browser gives up what it is loading when the machine's network changes: a container
        # that starts is such a change. Then a script is missing, and the page is dead.
        if "net::ERR_NETWORK_CHANGED" in failed:
            failed.clear()
            page.reload()
        page.remove_listener("requestfailed", note)
        assert not failed, failed
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not faults


def _watch(page: Page, own: str, faults: list[str]) -> None:
    """Note what no page of ours does."""

    def dialog(asked: Dialog) -> None:
        faults.append(f"a dialog: {asked.message}")
        asked.dismiss()

    def line(said: ConsoleMessage) -> None:
        # What the browser says of a request that failed is no fault of the page.
        if said.type in ("error", "warning") and "Failed to load" not in said.text:
            faults.append(f"{said.type}: {said.text}")

    def request(sent: Request) -> None:
        if not sent.url.startswith((own, "blob:", "data:")):
            faults.append(f"asked for {sent.url}")

    page.on("pageerror", lambda error: faults.append(f"broke: {error}"))
    page.on("dialog", dialog)
    page.on("console", line)
    page.on("request", request)
