"""The usage: what was used, by day, by model and by API key, and what it cost."""

import asyncio
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from application.ports import Addition, Tokens
from entrypoints.api_keys import new_key
from tests.browser.page import OpenPage
from tests.running import Running, running_service, settings_for

KEY, ENTRY = new_key("alice")
TODAY = datetime.now(UTC).date()
MODEL = "vendor/a-model-with-a-name-that-is-longer-than-a-phone-is-wide-2026-11-29"


@pytest.fixture(scope="module")
def used() -> Iterator[Running]:
    """A service whose operator is Alice. She and Bob have used something within the last weeks."""
    settings = settings_for(
        api_keys=ENTRY,
        stream_secret="x" * 40,
        operators="alice",
        prices='{"*mini": {"input": 1, "output": 2}, "gpt": {"input": 1000, "output": 1000}}',
    )
    with running_service(settings) as service:
        today = (TODAY - date(1970, 1, 1)).days
        additions = [
            Addition("key:alice", today - 20, "gpt-mini", Tokens(3_000, 1_000, 1_000, 10), tasks=1),
            Addition("key:bob", today - 10, "gpt", Tokens(0, 0, 1_000), tasks=1),
            Addition("key:alice", today - 10, MODEL, Tokens(0, 0, 10), tasks=1),
        ]
        ledger = service.service.container.ledger()
        with ThreadPoolExecutor() as threads:  # the browser's loop runs in this one
            threads.submit(lambda: asyncio.run(ledger.add(additions))).result()
        yield service


def opened(used: Running, open_page: OpenPage, **options: object) -> Page:
    page = open_page(used.url, **options)
    page.fill("#key", KEY)
    page.click("#key-form [type=submit]")
    expect(page.locator("#key-form")).to_be_hidden()
    return page


def shown(page: Page, period: str) -> None:
    page.select_option("#usage-period", period)
    expect(page.locator("#usage-report")).not_to_have_attribute("aria-busy", re.compile(".*"))


def rows(page: Page, which: int) -> list[str]:
    return page.locator(".usage-rows").nth(which).locator("li").all_inner_texts()


@pytest.mark.soak
def test_it_is_shown_by_day_by_model_and_by_key(used: Running, open_page: OpenPage) -> None:
    page = opened(used, open_page)
    page.click("#usage-open")
    shown(page, "days")
    assert page.inner_text(".usage-sum strong") == "$1.01"
    assert page.inner_text(".usage-sum .hint") == (
        "5K tokens · 3 tasks · 3,000 tokens read (1,000 from a cache) · "
        "2,010 written (10 on reasoning)"
    )
    days = page.locator(".usage-days li")
    expect(days).to_have_count(90)
    told = [each for each in days.all_text_contents() if each]
    assert [each.partition(": ")[2] for each in told] == [
        "4,000 tokens · $0.005",
        "1,010 tokens · $1.00",
    ]
    assert rows(page, 0) == [
        "gpt-mini\n4,000 tokens · $0.005",
        "gpt\n1,000 tokens · $1.00",
        f"{MODEL}\n10 tokens",
    ]
    assert [each.partition("\n")[0] for each in rows(page, 1)] == ["alice", "bob"]
    widths = page.locator(".usage-rows").nth(0).locator(".usage-bar")
    assert widths.evaluate_all("bars => bars.map(bar => bar.style.width)") == ["100%", "25%", "1%"]
    expect(page.locator("#usage-report")).to_contain_text(f"Without a price: {MODEL}.")
    assert not Axe().run(page).response["violations"]
    page.click("#usage-close")
    expect(page.locator("#usage")).to_be_hidden()


@pytest.mark.parametrize(
    ("now", "period", "days"),
    [
        ("2028-02-10", "month", ("2028-02-01", "2028-02-29")),
        ("2026-01-01", "last", ("2025-12-01", "2025-12-31")),
        ("2026-03-31", "last", ("2026-02-01", "2026-02-28")),
        ("2026-03-01", "days", ("2025-12-02", "2026-03-01")),
    ],
)
def test_periods_are_those_of_utc(
    quiet_page: Page, now: str, period: str, days: tuple[str, str]
) -> None:
    script = (
        f"""import("/web/usage.js").then((usage) => usage.span("{period}", new Date("{now}")))"""
    )
    assert quiet_page.evaluate(script) == {"from": days[0], "to": days[1]}


@pytest.mark.soak
def test_a_time_without_use_and_a_service_that_shows_none_are_told(
    used: Running, open_page: OpenPage
) -> None:
    page = opened(used, open_page)
    nothing = {"tasks": 0, "totalTokens": 0}
    page.route("**/api/usage?*", lambda it: it.fulfill(json={"rows": [], "total": nothing}))
    page.click("#usage-open")
    expect(page.locator("#usage-report")).to_have_text("Nothing was used in this time.")
    page.route("**/api/usage?*", lambda it: it.fulfill(status=403, json={"error": "Closed."}))
    page.select_option("#usage-period", "last")
    expect(page.locator("#usage-report")).to_have_text("The service refused the request: Closed.")
    page.route("**/api/usage?*", lambda it: it.abort())
    page.select_option("#usage-period", "month")
    expect(page.locator("#usage-report")).to_contain_text("The service cannot be reached.")
    page.route("**/api/usage?*", lambda it: it.fulfill(status=401, json={"error": "No."}))
    page.select_option("#usage-period", "last")
    expect(page.locator("#usage")).to_be_hidden()
    expect(page.locator("#key-form")).to_be_visible()


@pytest.mark.soak
def test_it_fits_a_phone_and_is_told_in_chinese(used: Running, open_page: OpenPage) -> None:
    page = opened(
        used,
        open_page,
        viewport={"width": 390, "height": 844},
        color_scheme="dark",
        locale="zh-CN",
        has_touch=True,
    )
    page.click("#side-open")
    page.click("#usage-open")
    shown(page, "days")
    expect(page.locator("#usage-title")).to_have_text("用量")
    expect(page.locator(".usage-sum .hint")).to_contain_text("3 个任务")
    wide = "document.getElementById('usage').scrollWidth - document.getElementById('usage').clientWidth"
    assert page.evaluate(wide) == 0
    assert not Axe().run(page).response["violations"]
