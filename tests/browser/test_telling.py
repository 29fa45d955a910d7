"""A user who wants it is told of tasks that end while the page is hidden."""

from functools import partial

import pytest
from playwright.sync_api import Page, expect

from tests.browser.page import OpenPage, choose, hide, show, start
from tests.doubles.upstream import DONE, Gate, Script, Upstream, finish, piece
from tests.running import Running
from tests.waiting import eventually

pytestmark = pytest.mark.soak

NOTE = """
    window.told = [];
    window.Notification = class extends Notification {
        constructor(title, options) {
            super(title, options);
            window.told.push([title, options.body]);
        }
    };
"""


def _page(open_page: OpenPage, service: Running, *granted: str) -> Page:
    page = open_page(service.url)
    page.context.grant_permissions(["clipboard-read", "clipboard-write", *granted])
    page.add_init_script(NOTE)
    page.clock.install()
    page.goto(f"{service.url}/#start")
    page.reload()
    return page


def _begin(page: Page, upstream: Upstream, prompt: str) -> Gate:
    gate = Gate()
    upstream.then(Script([piece("One"), gate, piece(" two"), finish(), DONE]))
    start(page, prompt)
    expect(page.locator("#answer")).to_have_text("One")
    return gate


def test_the_end_is_told_in_the_title_and_by_a_notification(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    page = _page(open_page, service, "notifications")
    gates = [_begin(page, upstream, f"Long {number}") for number in range(2)]
    expect(page.locator("#tell")).to_be_hidden()  # it may be over soon
    page.clock.run_for(11_000)
    page.click("#tell-yes")
    expect(page.locator("#tell")).to_be_hidden()
    expect(page.locator("#announcer")).to_contain_text("You will be told")
    title = page.title()
    with page.expect_request("**/result?wait=300"):
        hide(page)
    for number, gate in enumerate(gates, 1):
        gate.open()
        eventually(partial(_told, page, number))
        assert page.title() == f"({number}) {title}"
    assert page.evaluate("window.told") == [["Long 0", "done"], ["Long 1", "done"]]
    show(page)
    expect(page).to_have_title("Long 1 · Longtask")
    choose(page, "tellOff")
    choose(page, "tell")


def _told(page: Page, times: int) -> bool:
    page.clock.run_for(1_000)
    return len(page.evaluate("window.told")) == times


def test_who_does_not_want_it_is_not_asked_again(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    page = _page(open_page, service, "notifications")
    gates = [_begin(page, upstream, "First")]
    page.clock.run_for(11_000)
    page.click("#tell-no")
    gates.append(_begin(page, upstream, "Second"))
    page.clock.run_for(11_000)
    expect(page.locator("#tell")).to_be_hidden()
    asked: list[str] = []
    page.on("request", lambda sent: asked.append(sent.url))
    hide(page)
    page.clock.run_for(11_000)
    assert not [each for each in asked if "result" in each]
    for gate in gates:
        gate.open()
