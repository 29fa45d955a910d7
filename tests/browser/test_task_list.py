"""The list of this browser's tasks, in one tab and in two."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.page import OpenPage, start, status
from tests.doubles.upstream import (
    DONE,
    Gate,
    Script,
    Upstream,
    finish,
    piece,
)
from tests.running import Running


def row(page: Page, task_id: str, action: str) -> str:
    return f'#list [data-task="{task_id}"][data-action="{action}"]'


@pytest.mark.soak
def test_several_tasks_and_two_tabs(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    gates = [Gate() for _ in range(3)]
    for number, gate in enumerate(gates):
        upstream.then(Script([piece(f"Text {number}"), gate, finish(), DONE]))
    page = open_page(service.url)
    ids = []
    for number in range(3):
        ids.append(start(page, f"Prompt {number}"))
        expect(page.locator("#answer")).to_have_text(f"Text {number}")
    other = open_page(f"{service.url}/#{ids[0]}", page.context)
    for each in (page, other):
        expect(each.locator("#list li")).to_have_count(3)
    badges = page.locator("#list .badge")
    expect(badges).to_have_text(["running"] * 3)
    # Newest first. One that is not open ends, one is cancelled from the list, one is opened.
    gates[0].open()
    expect(badges).to_have_text(["running", "running", "done"])
    expect(other.locator("#status")).to_have_attribute("data-status", "completed")
    page.click(row(page, ids[1], "cancel"))
    expect(badges).to_have_text(["running", "cancelled", "done"])
    expect(other.locator("#list .badge")).to_have_text(["running", "cancelled", "done"])
    page.click(row(page, ids[1], "open"))
    status(page, "cancelled")
    expect(page.locator("#answer")).to_have_text("Text 1")
    page.click(row(page, ids[0], "retry"))
    expect(page.locator("#list li")).to_have_count(4)
    status(page, "completed")
    page.click(row(page, ids[1], "remove"))
    expect(page.locator("#list li")).to_have_count(3)
    expect(other.locator("#list li")).to_have_count(3)
    gates[2].open()
    expect(page.locator("#list .badge")).to_have_text(["done"] * 3)
