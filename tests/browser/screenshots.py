"""Makes the pictures of the documents anew: `make screenshots`.

The page runs at the embedded default, with the demo model. The moving picture is a few pictures a
second, as an animated WebP. The page of the local QStash shows the log of some messages.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import httpx
from PIL import Image
from playwright.sync_api import Browser, Page, expect

from adapters.qstash import DEVELOPMENT
from tests.browser.program import running_browser
from tests.doubles.destination import Answer, Destination
from tests.running import running_qstash_alone, running_service, settings_for

DOCS = Path(__file__).parents[2] / "docs"
PROMPT = "Explain the CAP theorem in detail, and what it means for a queue."
EARLIER = ("Compare five message queues in a table", "Write a rate limiter in Python, with tests")
PICTURES: tuple[tuple[Literal["light", "dark"], str], ...] = (
    ("light", ""),
    ("dark", ""),
    ("light", "-phone"),
)
SIZES = {"": (1440, 900), "-phone": (390, 844)}
MOVING = (1100, 688)
FRAMES = 40
PAUSE = 250
"""Milliseconds between two frames."""


@contextmanager
def opened(
    browser: Browser, url: str, scheme: Literal["light", "dark"], size: tuple[int, int]
) -> Iterator[Page]:
    width, height = size
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, locale="en-US"
    )
    try:
        page = context.new_page()
        page.goto(url)
        yield page
    finally:
        context.close()


def start(page: Page, prompt: str) -> None:
    page.fill("#prompt", prompt)
    page.click("#submit")


def finish(page: Page) -> None:
    expect(page.locator("#status")).to_have_attribute("data-status", "completed", timeout=60_000)


def local_qstash(browser: Browser) -> None:
    refused = Answer(489, {"Upstash-NonRetryable-Error": "true"}, b'{"error": "no such customer"}')
    with Destination().running() as destination, running_qstash_alone() as url:

        def publish(path: str, **headers: str) -> None:
            httpx.post(
                f"{url}/v2/{path}",
                content='{"order": 4711}',
                headers={
                    "Authorization": f"Bearer {DEVELOPMENT.token}",
                    "Content-Type": "application/json",
                    **{f"Upstash-{name}": value for name, value in headers.items()},
                },
            ).raise_for_status()

        publish(f"schedules/{destination.url}/api/report", Cron="0 4 * * *")
        publish(f"publish/{destination.url}/api/reminder", Delay="1d", Label="mail")
        with opened(browser, f"{url}/#log", "light", (1280, 560)) as page:
            destination.answers += [Answer(500, {}, b'{"error": "database is locked"}'), refused]
            publish(f"publish/{destination.url}/api/import")
            expect(page.get_by_text("database is locked")).to_be_visible()
            publish(f"publish/{destination.url}/api/charge", Label="payment")
            expect(page.get_by_text("no such customer")).to_be_visible()
            publish(f"enqueue/mails/{destination.url}/api/mail")
            expect(page.get_by_text("queue mails")).to_have_count(3)
            page.screenshot(path=DOCS / "local-qstash.png")


def main() -> None:
    with running_browser() as browser:
        local_qstash(browser)
    with running_service(settings_for(demo_speed=25.0)) as service, running_browser() as browser:
        with opened(browser, service.url, "light", MOVING) as page:
            for prompt in EARLIER:
                start(page, prompt)
                finish(page)
                page.click("#new")
            frames = []
            start(page, PROMPT)
            for _ in range(FRAMES):
                frames.append(Image.open(io.BytesIO(page.screenshot())).convert("RGB"))
                page.wait_for_timeout(PAUSE)
            finish(page)
            address = page.url
        first, *others = frames
        first.save(
            DOCS / "page.webp",
            save_all=True,
            append_images=others,
            duration=PAUSE,
            loop=0,
            quality=60,
        )
        for scheme, name in PICTURES:
            with opened(browser, address, scheme, SIZES[name]) as page:
                finish(page)
                page.evaluate("scrollTo(0, 0)")
                page.screenshot(path=DOCS / f"page-{scheme}{name}.png")


if __name__ == "__main__":
    main()
