"""What the page says while a task waits for its next attempt, and what a task has cost."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.page import OpenPage, start, status
from tests.browser.run_logs import content, end, show_run, shown_facts
from tests.browser.run_logs import status as status_event
from tests.doubles.upstream import Script, Upstream, answer, piece, refusal
from tests.running import Running


@pytest.mark.soak
def test_the_page_counts_down_to_the_next_try(
    service: Running, open_page: OpenPage, upstream: Upstream
) -> None:
    upstream.then(refusal(429, "rate_limit_exceeded", **{"retry-after": "3600"}))
    page = open_page(service.url)
    start(page, "Hi.")
    counting = re.compile(r"^Next try in (1 h 00 min|59 min \d\d s)$")
    for place in ("#attempt", "#waiting-text"):
        expect(page.locator(place)).to_have_text(counting)
    expect(page.locator("#notice")).to_contain_text("limits the rate of requests")
    page.click("#run-toggle")
    expect(page.locator(".timeline > .step").last).to_contain_text("Next try in")
    page.reload()  # and so it is to one who comes late
    expect(page.locator("#attempt")).to_have_text(counting)
    before = page.locator("#waiting-text").text_content() or ""
    expect(page.locator("#waiting-text")).not_to_have_text(before)
    page.click("#cancel")
    status(page, "cancelled")
    expect(page.locator("#attempt")).to_be_hidden()


@pytest.mark.soak
def test_what_comes_soon_is_not_in_the_way(
    service: Running, open_page: OpenPage, upstream: Upstream
) -> None:
    upstream.then(Script([piece("lost")], cut=True), Script(answer("Second ", "try.")))
    page = open_page(service.url)
    start(page, "Hi.")
    status(page, "completed")
    expect(page.locator("#attempt")).to_have_text("attempt 2")
    expect(page.locator("#answer")).to_have_text("Second try.")


def test_a_cost_is_written_as_people_write_it(quiet_page: Page) -> None:
    money = """async (cost) => (await import("/web/times.js")).money(cost)"""
    usd = {"amount": 0.004218, "currency": "USD"}
    assert quiet_page.evaluate(money, usd) == "$0.00422"
    assert quiet_page.evaluate(money, {**usd, "amount": 1234.5}) == "$1,234.50"
    assert quiet_page.evaluate(money, {**usd, "estimated": True}) == "≈ $0.00422"
    assert quiet_page.evaluate(money, {"amount": 0.25, "currency": "credits"}) == "0.25 credits"
    assert quiet_page.evaluate(money, None) == ""


def test_the_run_says_what_it_has_cost(quiet_page: Page) -> None:
    begun = [status_event(0, "pending", 0), status_event(1, "running", 1), content(2, "text")]
    show_run(quiet_page, [*begun, end(500)])
    assert len(shown_facts(quiet_page)) == 4
    quiet_page.evaluate("window.panel.price({ amount: 0.5, currency: 'USD' })")
    cost = quiet_page.locator(".run-facts dd").nth(4)
    expect(cost).to_have_text("$0.50")
    expect(cost).to_be_visible()
    show_run(quiet_page, begun)  # another task
    expect(cost).to_be_hidden()
