"""The command palette, and what single keys do."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.page import OpenPage, row, start, status
from tests.browser.test_looks import violations
from tests.doubles.upstream import Script, Upstream, answer
from tests.running import Running

NAMES = ("Alpha", "Beta", "Gamma")


def _with_tasks(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> tuple[Page, list[str]]:
    upstream.then(*(Script(answer(f"Text of {name}.")) for name in NAMES))
    page = open_page(service.url)
    ids = []
    for name in NAMES:
        ids.append(start(page, name))
        status(page, "completed")
    return page, ids


@pytest.mark.soak
def test_the_palette_finds_commands_and_tasks(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    page, ids = _with_tasks(service, upstream, open_page)
    page.focus("#prompt")
    page.keyboard.press("Control+k")
    field, chosen = page.locator("#palette-field"), page.locator("#palette [aria-selected=true]")
    expect(field).to_be_focused()
    assert violations(page) == []
    first = chosen.get_attribute("id")
    assert field.get_attribute("aria-activedescendant") == first
    page.keyboard.press("ArrowUp")  # the last one
    expect(page.locator("#palette [role=option]").last).to_have_attribute("aria-selected", "true")
    page.keyboard.press("ArrowDown")
    expect(page.locator(f"#{first}")).to_have_attribute("aria-selected", "true")
    page.keyboard.type("done alp")
    expect(page.locator("#palette [role=option]")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator("#palette")).to_be_hidden()
    expect(page.locator("#answer")).to_have_text("Text of Alpha.")
    expect(page.locator("#prompt")).to_be_focused()
    page.keyboard.press("Control+k")
    page.keyboard.type("no such thing")
    expect(page.locator("#palette-none")).to_be_visible()
    page.keyboard.press("Enter")
    assert violations(page) == []
    page.keyboard.press("Escape")
    expect(page.locator("#palette")).to_be_hidden()
    page.click("#palette-open")
    page.get_by_role("option", name="Raw events").click()
    expect(page.locator("#run")).to_be_visible()
    page.keyboard.press("Control+k")
    page.keyboard.type("delete")
    page.keyboard.press("Enter")
    expect(page.locator("#deleting-what")).to_contain_text("Alpha")
    page.click("#delete")
    expect(page.locator(row(ids[0], "open"))).to_have_count(0)
    page.keyboard.press("Control+k")
    page.keyboard.type("usage")
    page.keyboard.press("Enter")
    expect(page.locator("#usage")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.keyboard.type("dark")
    page.keyboard.press("Enter")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


@pytest.mark.soak
def test_single_keys_work_outside_of_fields(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    page, ids = _with_tasks(service, upstream, open_page)
    here = page.locator("#list .here .name")
    page.focus("#prompt")
    page.keyboard.type("jk/?")
    expect(page.locator("#prompt")).to_have_value("jk/?")
    expect(here).to_have_text("Gamma")
    page.keyboard.press("Escape")
    expect(page.locator("#prompt")).not_to_be_focused()
    for key, name in (("j", "Beta"), ("j", "Alpha"), ("k", "Beta"), ("k", "Gamma"), ("k", "Gamma")):
        page.keyboard.press(key)
        expect(here).to_have_text(name)
    expect(page.locator("#answer")).to_have_text("Text of Gamma.")
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.type(ids[1])
    expect(page.locator("#list .open")).to_have_count(1)
    page.keyboard.press("Escape")  # empties it, as browsers do
    expect(page.locator("#search")).to_have_value("")
    page.keyboard.press("Escape")
    expect(page.locator("#search")).not_to_be_focused()
    page.click("#run-toggle")
    page.keyboard.press("Escape")
    expect(page.locator("#run")).to_be_hidden()
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    assert violations(page) == []
    page.uncheck("#keys-letters")
    page.keyboard.press("Escape")
    expect(page.locator("#keys")).to_be_hidden()
    page.keyboard.press("j")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_hidden()
    expect(here).to_have_text("Gamma")
    page.keyboard.press("Control+k")
    expect(page.locator("#palette")).to_be_visible()


@pytest.mark.soak
def test_on_a_phone_escape_closes_the_drawer(service: Running, open_page: OpenPage) -> None:
    task = service.client.start("Of the drawer.")
    page = open_page(service.url, viewport={"width": 390, "height": 844})
    page.click("#side-open")
    expect(page.locator("#side-close")).to_be_focused()
    page.click(row(task, "menu"))
    page.click("#menu [data-do=copyId]")
    expect(page.locator("#toast")).to_have_text("Copied")
    page.keyboard.press("Escape")
    expect(page.locator("#side-open")).to_be_focused()
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.press("Control+k")
    expect(page.locator("#palette-field")).to_be_focused()
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width == 390
    assert violations(page) == []
