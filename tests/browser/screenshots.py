"""Makes the pictures of the documents anew: `make screenshots`.

The page runs at the embedded default, with the demo model. The moving picture is a few pictures a
second, as an animated WebP.
"""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import Browser, Page, expect

from tests.browser.program import running_browser
from tests.running import running_service, settings_for

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


def main() -> None:
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
