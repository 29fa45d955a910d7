"""Every state of the page (`states.py`) for every eye: axe finds nothing, nothing is wider than the
window, and fingers hit what they aim at."""

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from entrypoints.api_keys import new_key
from tests.browser.page import OpenPage, start
from tests.browser.states import STATES, Tasks, reach, started
from tests.doubles.upstream import Upstream
from tests.running import Running, running_service, settings_for

pytestmark = pytest.mark.soak

SIZES = {"phone": (390, 844), "desktop": (1280, 720)}
KEY, ENTRY = new_key("alice")
SMALL = """[...document.querySelectorAll("button, summary, select, [role=tab], [role=option], .new")]
    .filter((each) => each.checkVisibility({ visibilityProperty: true, opacityProperty: true }))
    .filter((each) => !each.closest(".answer sup, .chip")) // within a line
    .map((each) => [each, each.getBoundingClientRect()])
    .filter(([, { height, width }]) => height > 0 && width > 0 && height < 39.5)
    .map(([each, { height }]) => `${each.id || each.className || each.textContent.slice(0, 20)}: ${height} px`)"""
"""What a finger may miss: lower than 40 px."""
OPTIONS = {"rules": {"heading-order": {"enabled": False}}}
"""The model chooses the headings of its answers."""


@pytest.fixture(scope="module")
def tasks(shared_upstream: Upstream, service: Running) -> Iterator[Tasks]:
    shared_upstream.reset()
    yield started(service.client, shared_upstream)
    shared_upstream.reset()


def faults(page: Page, name: str, width: int, *, touch: bool) -> list[Any]:
    found: list[Any] = [
        (name, each["id"], [node["html"][:150] for node in each["nodes"]][:5])
        for each in Axe().run(page, options=OPTIONS).response["violations"]
    ]
    wide = page.evaluate("document.documentElement.scrollWidth")
    found += [(name, "wide", wide)] if wide != width else []
    small = page.evaluate(SMALL) if touch else []
    return found + ([(name, "small", small)] if small else [])


@pytest.mark.parametrize(
    ("size", "scheme", "locale"),
    [
        ("desktop", "light", "en-US"),
        ("desktop", "dark", "zh-CN"),
        ("phone", "light", "zh-CN"),
        ("phone", "dark", "en-US"),
    ],
)
def test_everyone_can_use_every_state(
    service: Running, tasks: Tasks, open_page: OpenPage, size: str, scheme: str, locale: str
) -> None:
    width, height = SIZES[size]
    look: dict[str, Any] = {
        "viewport": {"width": width, "height": height},
        "color_scheme": scheme,
        "locale": locale,
        "has_touch": size == "phone",
        "is_mobile": size == "phone",
    }
    page = open_page(service.url, **look)
    found: list[Any] = []
    for name, state in STATES.items():
        reach(page, service.url, tasks, state)
        found += faults(page, name, width, touch=size == "phone")
    assert found == []


def test_everyone_can_give_a_key(open_page: OpenPage) -> None:
    secret = "a secret of forty characters, or even more"
    with running_service(settings_for(api_keys=ENTRY, stream_secret=secret)) as guarded:
        found: list[Any] = []
        for scheme in ("light", "dark"):
            page = open_page(
                guarded.url, color_scheme=scheme, viewport={"width": 390, "height": 844}
            )
            expect(page.locator("#key-form")).to_be_visible()
            found += faults(page, f"key wanted, {scheme}", 390, touch=False)
            page.fill("#key", "lt_wrong")
            page.press("#key", "Enter")
            expect(page.locator("#key-hint")).to_have_class("hint fault")
            found += faults(page, f"key refused, {scheme}", 390, touch=False)
            page.fill("#key", KEY)
            page.press("#key", "Enter")
            expect(page.locator("#key-form")).to_be_hidden()
            found += faults(page, f"list empty, {scheme}", 390, touch=False)
        assert found == []


def test_everyone_can_see_that_the_connection_is_lost(open_page: OpenPage) -> None:
    with running_service(settings_for(demo_speed=1.0)) as demo:
        page = open_page(demo.url)
        expect(page.locator("#demo")).to_be_visible()
        found = faults(page, "demo", 1280, touch=False)
        start(page, "Explain.")
    expect(page.locator("#connection")).to_be_visible()
    expect(page.locator("#list-away")).to_be_visible()
    assert found + faults(page, "offline", 1280, touch=False) == []
