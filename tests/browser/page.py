"""The page in a real browser: how it is opened and watched, and what a person does with it."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Dialog,
    Page,
    Request,
    expect,
)

from tests.running import Running
from tests.waiting import within

OpenPage = Callable[..., Page]

LOADS = 5
"""Every worker may start a container while one page is loaded."""


def _loading_whole(page: Page, load: Callable[..., object]) -> Callable[..., None]:
    """Load, and again if the browser gave up what it was loading since the machine's network
    changed: a container that another test starts is such a change. Then a script is missing, and
    the page is dead."""

    def load_whole(*arguments: str) -> None:
        failed: list[str | None] = []

        def note(request: Request) -> None:
            failed.append(request.failure)

        page.on("requestfailed", note)
        for _ in range(LOADS):
            failed.clear()
            load(*arguments)
            if "net::ERR_NETWORK_CHANGED" not in failed:
                break
        page.remove_listener("requestfailed", note)
        assert "net::ERR_NETWORK_CHANGED" not in failed, failed

    return load_whole


@contextmanager
def pages(browser: Browser) -> Iterator[OpenPage]:
    """Opens pages, each in a context of its own unless one is given, and holds all of them to this
    at the end: no script broke, nothing was refused by the policy, no dialog, and nothing was asked
    of another server."""
    expect.set_options(timeout=within(20) * 1000)
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def open_page(url: str, context: BrowserContext | None = None, **options: object) -> Page:
        if context is None:
            defaults = {"viewport": {"width": 1280, "height": 900}, "locale": "en-US"}
            context = browser.new_context(**{**defaults, **options})  # type: ignore[arg-type]
            context.grant_permissions(["clipboard-read", "clipboard-write"])
            contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(within(30) * 1000)
        _watch(page, url.partition("/#")[0].rstrip("/") + "/", faults)
        for name in ("goto", "reload"):
            setattr(page, name, _loading_whole(page, getattr(page, name)))
        page.goto(url)
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


def start(page: Page, prompt: str) -> str:
    """Start a task as a person does, that is no reply to the one that is open; its id."""
    if page.locator("#task").is_visible():
        page.evaluate("location.hash = 'start'")  # "New task", which a phone has in its drawer
        expect(page.locator("#welcome")).to_be_visible()
    return _send(page, prompt)


def reply(page: Page, prompt: str) -> str:
    """Start a task that goes on from the one that is open, once that has ended; its id."""
    expect(page.locator("#going-on")).not_to_have_attribute("hidden", "")
    return _send(page, prompt)


def _send(page: Page, prompt: str) -> str:
    before = page.locator("#task-id").text_content()
    page.fill("#prompt", prompt)
    page.keyboard.press("Control+Enter")
    expect(page.locator("#task-id")).not_to_have_text(before or "")
    return str(page.locator("#task-id").text_content())


def status(page: Page, wanted: str) -> None:
    expect(page.locator("#status")).to_have_attribute("data-status", wanted)


def text(page: Page) -> str:
    return str(page.locator("#raw").text_content())


def row(task_id: str, action: str) -> str:
    """The selector of a button in the list of tasks: `open` or `menu`."""
    return f'#list [data-task="{task_id}"][data-action="{action}"]'


def choose(page: Page, name: str, task_id: str | None = None) -> None:
    """Choose from the menu of the task that is open, or of one in the list."""
    page.click("#more" if task_id is None else row(task_id, "menu"))
    page.click(f"#menu [data-do={name}]")


_HIDE = """(hidden) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
}"""


def hide(page: Page) -> None:
    """As if another tab was shown: Playwright lets every tab be visible."""
    page.evaluate(_HIDE, True)


def show(page: Page) -> None:
    page.evaluate(_HIDE, False)


def open_streams(service: Running) -> int:
    metrics = service.client.http.get("/metrics").text
    found = re.search(r"^longtask_open_streams (\d+)\.0$", metrics, re.MULTILINE)
    assert found is not None
    return int(found[1])
