"""The list of tasks where the service shows it: live, also of tasks that other clients started."""

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.page import OpenPage, choose, hide, row, show, start, status
from tests.doubles.upstream import (
    DONE,
    Gate,
    Script,
    Upstream,
    finish,
    piece,
)
from tests.running import Running, running_service, settings_for
from tests.tcp_proxy import TcpProxy


def has_status(page: Page, task_id: str, wanted: str) -> None:
    badge = page.locator(f'#list li:has([data-task="{task_id}"]) .badge')
    expect(badge).to_have_attribute("data-status", wanted)


@pytest.mark.soak
def test_tasks_of_others_come_change_and_go(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    gate = Gate()
    upstream.then(Script([piece("One"), gate, piece(" two"), finish(), DONE]))
    page = open_page(service.url)
    task = service.client.start("From elsewhere.")
    has_status(page, task, "running")
    expect(page.locator(row(task, "open"))).to_have_text("From elsewhere.")
    page.click(row(task, "open"))
    expect(page.locator("#answer")).to_have_text("One")
    gate.open()
    has_status(page, task, "completed")
    status(page, "completed")
    service.client.http.delete(f"/api/tasks/{task}")
    expect(page.locator(row(task, "open"))).to_have_count(0)
    expect(page.locator("#notice")).to_contain_text("it was deleted")
    expect(page.locator("#answer")).to_have_text("One two")


@pytest.mark.soak
def test_what_is_done_in_one_tab_shows_in_another(
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

    def have(*statuses: str) -> None:
        for each in (page, other):
            for task, wanted in zip(ids, statuses, strict=True):
                has_status(each, task, wanted)

    have("running", "running", "running")
    newest = page.locator("#list .open")
    expect(newest.nth(0)).to_have_text("Prompt 2")
    expect(newest.nth(2)).to_have_text("Prompt 0")
    # One that is not open ends, one is cancelled from the list, one is opened.
    gates[0].open()
    have("completed", "running", "running")
    status(other, "completed")
    choose(page, "cancel", ids[1])
    have("completed", "cancelled", "running")
    page.click(row(ids[1], "open"))
    status(page, "cancelled")
    expect(page.locator("#answer")).to_have_text("Text 1")
    choose(page, "runAgain", ids[0])
    expect(other.locator("#list .open").nth(0)).to_have_text("Prompt 0")
    status(page, "completed")
    gates[2].open()
    have("completed", "cancelled", "completed")


@pytest.mark.soak
def test_to_delete_a_task_is_asked_and_explained(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    gate = Gate()
    upstream.then(Script([piece("Half"), gate, finish(), DONE]))
    page = open_page(service.url)
    task = start(page, "Delete me.")
    has_status(page, task, "running")
    expect(page.locator("#answer")).to_have_text("Half")
    menu = page.locator(row(task, "menu"))
    menu.focus()
    page.keyboard.press("Enter")
    expect(page.locator("#menu [data-do=cancel]")).to_be_focused()
    page.keyboard.press("End")
    page.keyboard.press("Enter")
    expect(page.locator("#deleting-what")).to_have_text("Delete “Delete me.”?")
    expect(page.locator("#deleting-means")).to_contain_text("It is cancelled")
    expect(page.locator("#keep")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#deleting")).to_be_hidden()
    expect(menu).to_be_focused()
    choose(page, "delete", task)
    page.click("#keep")
    has_status(page, task, "running")
    choose(page, "delete", task)
    page.click("#delete")
    expect(page.locator(row(task, "open"))).to_have_count(0)
    expect(page.locator("#status")).to_have_text("deleted")
    assert service.client.http.get(f"/api/tasks/{task}").status_code == 404
    gate.open()
    ended = service.client.start("Ended.")
    badge = page.locator(f'#list li:has([data-task="{ended}"]) .badge')
    expect(badge).to_have_text("done")
    choose(page, "delete", ended)
    expect(page.locator("#deleting-means")).to_contain_text("Links to it no longer work.")
    page.click("#delete")
    expect(page.locator(row(ended, "open"))).to_have_count(0)


@pytest.mark.soak
def test_what_happened_while_there_was_no_connection_shows_afterwards(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    gate = Gate()
    upstream.then(Script([piece("One"), gate, finish(), DONE]))
    with TcpProxy(int(service.url.rpartition(":")[2])).running() as proxy:
        page = open_page(proxy.url)
        running = service.client.start("Ends.")
        gate.reached.wait()
        gone = service.client.start("Goes.")
        has_status(page, running, "running")
        has_status(page, gone, "completed")
        proxy.refusing = True
        proxy.cut()
        expect(page.locator("#list-away")).to_be_visible()
        page.click(row(gone, "open"))  # nothing is said of its status, which no event has told
        expect(page.locator("#connection")).to_be_visible()
        expect(page.locator("#status")).to_be_hidden()
        expect(page.locator("#waiting")).to_be_hidden()
        service.client.http.delete(f"/api/tasks/{gone}")
        gate.open()
        new = service.client.start("Comes.")
        service.client.wait_for(running, "completed")
        proxy.refusing = False
        has_status(page, running, "completed")
        has_status(page, new, "completed")
        expect(page.locator(row(gone, "open"))).to_have_count(0)
        expect(page.locator("#list-away")).to_be_hidden()
        # The same for a page that was hidden meanwhile.
        hide(page)
        service.client.http.delete(f"/api/tasks/{running}")
        show(page)
        expect(page.locator(row(running, "open"))).to_have_count(0)


@pytest.mark.soak
def test_older_tasks_come_page_by_page(open_page: OpenPage) -> None:
    with running_service(settings_for()) as service:
        ids = [service.client.start(f"Number {number}") for number in range(45)]
        service.client.wait_for(ids[-1], "completed")
        page = open_page(service.url)
        rows = page.locator("#list .open")
        expect(rows).to_have_count(20)
        older = page.locator("#list-older")
        older.click()
        expect(rows).to_have_count(40)
        expect(older).to_be_focused()
        service.client.http.delete(f"/api/tasks/{ids[44]}")
        expect(rows.nth(0)).to_have_text("Number 43")
        older.click()
        expect(rows).to_have_count(44)
        expect(older).to_be_hidden()
        expect(rows.nth(39)).to_be_focused()
        assert rows.all_text_contents() == [f"Number {n}" for n in reversed(range(44))]
        # As many as were shown are read again.
        hide(page)
        service.client.http.delete(f"/api/tasks/{ids[0]}")
        show(page)
        expect(rows).to_have_count(43)


@pytest.mark.soak
def test_a_flood_of_new_tasks_pushes_old_ones_out(open_page: OpenPage) -> None:
    with running_service(settings_for()) as service:
        first = [service.client.start(f"First {number}") for number in range(20)]
        page = open_page(service.url)
        rows = page.locator("#list .open")
        expect(rows).to_have_count(20)
        for number in range(210):
            last = service.client.start(f"Number {number}")
        has_status(page, last, "completed")
        expect(page.locator(row(first[0], "open"))).to_have_count(0)
        expect(page.locator("#list-older")).to_be_visible()
        while page.locator("#list-older").is_visible():
            before = rows.count()
            page.click("#list-older")
            expect(rows).not_to_have_count(before)
        expect(rows).to_have_count(230)
        expect(rows.nth(229)).to_have_text(re.compile("First 0"))
