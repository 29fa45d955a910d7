"""For every eye and hand: contrast and names (axe), the keyboard, small and large, dark and light."""

from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.page import OpenPage, choose, reply, start, status
from tests.doubles.upstream import Gate, Script, Upstream, answer, refusal
from tests.running import Running

pytestmark = pytest.mark.soak

TEXT = """# Findings

Some **text** with `code`, a [link](https://example.org/) and a list:

1. one
2. two
   - inner

> A quote of some length, which goes on for a while so that it has to be broken on a phone.

| left | right |
|---|--:|
| a | 1 |

```python
for number in range(3): print("a line of code that is too long for a phone, and is scrolled")
```
"""
SIZES = {"phone": (390, 844), "desktop": (1280, 900)}


def violations(page: Page) -> list[Any]:
    found = Axe().run(page)
    return [
        (each["id"], each["help"], [node["html"][:200] for node in each["nodes"]])
        for each in found.response["violations"]
    ]


@pytest.mark.parametrize(
    ("size", "scheme"),
    [
        ("phone", "dark"),
        pytest.param("desktop", "light", marks=pytest.mark.soak),
        pytest.param("desktop", "dark", marks=pytest.mark.soak),
        pytest.param("phone", "light", marks=pytest.mark.soak),
    ],
)
def test_it_is_accessible_and_fits(
    service: Running,
    upstream: Upstream,
    open_page: OpenPage,
    tmp_path: Path,
    size: str,
    scheme: str,
) -> None:
    upstream.then(
        Script(answer(TEXT)), refusal(401, "invalid_api_key"), Script(answer(TEXT, reason="length"))
    )
    width, height = SIZES[size]
    viewport = {"width": width, "height": height}
    page = open_page(service.url, viewport=viewport, color_scheme=scheme, has_touch=size == "phone")

    def look(name: str) -> None:
        image = page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
        assert len(image) > 10_000
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert violations(page) == []

    look("empty")
    page.click("#options-toggle")
    shown = start(page, "Show me everything that Markdown has, please.")
    status(page, "completed")
    look("completed")
    page.click("#options-toggle")
    page.click("#more")
    look("menu")
    page.click("#menu [data-do=rawEvents]")
    look("run")
    page.click("#run-close")
    if size == "phone":
        page.click("#side-open")
        look("drawer")
        page.click("#side-close")
    choose(page, "raw")
    look("raw")
    choose(page, "rawEvents")
    look("events")
    page.get_by_role("tab", name="Timeline").click()
    look("run")
    page.click("#run-close")
    start(page, "Fail.")
    status(page, "failed")
    look("failed")
    choose(page, "delete")
    look("deleting")
    page.keyboard.press("Escape")
    page.evaluate("(id) => { location.hash = id; }", shown)
    status(page, "completed")
    reply(page, "And on.")
    status(page, "completed")
    page.click("#before-title")
    look("conversation")
    ground = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
    assert (ground == "rgb(18, 20, 27)") is (scheme == "dark")


def test_dark_and_light_are_a_choice(service: Running, open_page: OpenPage) -> None:
    page = open_page(service.url, color_scheme="light")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    light = page.evaluate(ground)
    expect(page.locator("#theme")).to_have_text("Dark")
    page.click("#theme")
    dark = page.evaluate(ground)
    assert dark != light
    page.reload()
    assert page.evaluate(ground) == dark
    expect(page.locator("#theme")).to_have_text("Light")


def test_everything_is_reached_by_the_keyboard(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    upstream.then(Script(answer(TEXT)))
    page = open_page(service.url)
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#prompt")).to_be_focused()
    page.keyboard.type("By hand.")
    page.keyboard.press("Control+Enter")
    status(page, "completed")
    focusable = (
        "button:not([disabled]), a[href], input:not([disabled]), textarea, summary, [tabindex='0']"
    )
    shown = page.evaluate(
        "(selector) => [...document.querySelectorAll(selector)]"
        ".filter((node) => node.checkVisibility()).length",
        focusable,
    )
    reached = set()
    page.evaluate("document.activeElement.blur(); getSelection().removeAllRanges(); scrollTo(0, 0)")
    page.focus(".skip")
    for _ in range(shown):
        place = page.evaluate(
            "(selector) => [...document.querySelectorAll(selector)]"
            ".filter((node) => node.checkVisibility()).indexOf(document.activeElement)",
            focusable,
        )
        reached.add(place)
        page.keyboard.press("Tab")
    assert reached == set(range(shown))


def test_only_the_status_is_announced(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    gate = Gate()
    upstream.then(Script([gate, *answer(*["word "] * 50)]))
    page = open_page(service.url)
    page.evaluate(
        """() => {
            window.said = [];
            const note = () => window.said.push(document.getElementById("announcer").textContent);
            new MutationObserver(note).observe(document.getElementById("announcer"), {childList: true});
        }"""
    )
    start(page, "Quietly.")
    expect(page.locator("#announcer")).to_have_text("running: Quietly.")
    gate.open()
    status(page, "completed")
    expect(page.locator("#announcer")).to_have_text("done: Quietly.")
    said = page.evaluate("window.said")
    assert said == ["running: Quietly.", "done: Quietly."]
    live = page.evaluate(
        "[...document.querySelectorAll('[aria-live], [role=status]')].map((n) => n.id)"
    )
    assert live == ["announcer"]
