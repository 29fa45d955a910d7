"""The search of the list, which looks through older tasks too."""

import pytest
from playwright.sync_api import expect

from tests.browser.page import OpenPage
from tests.running import running_service, settings_for

pytestmark = pytest.mark.soak


def test_older_tasks_are_searched_a_bounded_number_at_a_time(open_page: OpenPage) -> None:
    with running_service(settings_for()) as service:
        service.client.start("A needle at the bottom")
        for number in range(540):
            service.client.start("A needle" if number == 300 else f"Hay {number}")
        page = open_page(service.url)
        rows, older = page.locator("#list .open"), page.locator("#list-older")
        searched, none = page.locator("#list-searched"), page.locator("#list-empty")
        expect(rows).to_have_count(20)
        page.fill("#search", "needle")
        expect(rows).to_have_count(1)
        expect(searched).to_have_text("Searched the newest 500 tasks.")
        expect(older).to_have_text("Search older tasks")
        older.click()
        expect(rows).to_have_count(2)
        expect(older).to_be_hidden()
        expect(searched).to_be_hidden()
        page.fill("#search", "nothing of the kind")
        expect(none).to_have_text("No task matches.")
        page.fill("#search", "")
        expect(rows).to_have_count(541)
        # Where enough match, nothing further is read. What is not found may be older.
        page.reload()
        expect(rows).to_have_count(20)
        page.click("#language")
        page.fill("#search", "hay")
        expect(rows).to_have_count(20)
        expect(searched).to_have_text("已搜索最近的 20 个任务。")
        page.fill("#search", "bottom")
        expect(none).to_have_text("没有匹配的任务。")
        expect(searched).to_have_text("已搜索最近的 500 个任务。")
