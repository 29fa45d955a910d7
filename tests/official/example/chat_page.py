"""A chat of the example in a browser: what a person does there and sees."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, BrowserContext, Locator, Page, Request, expect

from tests.waiting import within

OpenChat = Callable[..., "ChatPage"]


class ChatPage:
    def __init__(self, page: Page) -> None:
        self.page = page

    @property
    def tools(self) -> Locator:
        return self.page.locator(".tool")

    def say(self, text: str) -> None:
        self.ended()
        self.page.get_by_label("Message", exact=True).fill(text)
        self.page.keyboard.press("Enter")

    def click(self, button: str) -> None:
        self.page.get_by_role("button", name=button).click()

    def shows(self, *answers: str) -> None:
        """Wait until these are all texts of the model, whole and once."""
        expect(self.page.locator(".assistant > .text")).to_have_text(list(answers))

    def notes(self, note: str) -> None:
        expect(self.page.locator(".note")).to_have_text(note)

    def ended(self) -> None:
        """Wait until the page follows no answer."""
        expect(self.page.get_by_role("button", name="Send")).to_be_visible()


@contextmanager
def chats(browser: Browser, app: str, longtask: str) -> Iterator[OpenChat]:
    """Opens chats, each in a context of its own unless one is given, and holds all of them to this
    at the end: no script broke, and nothing was asked of any other server."""
    expect.set_options(timeout=within(20) * 1000)
    contexts: list[BrowserContext] = []
    faults: list[str] = []

    def note(request: Request) -> None:
        if not request.url.startswith((app, longtask, "data:", "blob:")):
            faults.append(f"asked for {request.url}")

    def open_chat(
        url: str = app, context: BrowserContext | None = None, **options: object
    ) -> ChatPage:
        if context is None:
            context = browser.new_context(**options)  # type: ignore[arg-type]
            contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(within(30) * 1000)
        page.on("pageerror", lambda error: faults.append(f"broke: {error}"))
        page.on("request", note)
        page.goto(url)
        return ChatPage(page)

    yield open_chat
    for context in contexts:
        context.close()
    assert not faults
