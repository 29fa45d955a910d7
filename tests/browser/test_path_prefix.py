"""The page under a path, behind a proxy that strips it."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.page import OpenPage, row, start, status, text
from tests.doubles.upstream import DONE, Gate, Script, Upstream, finish, piece
from tests.end_to_end.test_behind_proxies import nginx
from tests.end_to_end.test_path_prefix import under_a_path


@pytest.mark.soak
def test_it_starts_follows_and_shows_again(
    tmp_path: Path, upstream: Upstream, open_page: OpenPage
) -> None:
    gate = Gate()
    upstream.then(Script([piece("One "), gate, piece("two."), finish(), DONE]))
    settings = {"openai_base_url": upstream.url, "trust_all_callers": True}
    with under_a_path(nginx, tmp_path, **settings) as (url, _):
        page = open_page(f"{url}/")
        task_id = start(page, "Count.")
        expect(page.locator("#answer")).to_have_text("One")
        page.reload()
        expect(page.locator("#answer")).to_have_text("One")
        expect(page.locator(row(task_id, "menu"))).to_be_visible()
        gate.open()
        status(page, "completed")
        assert text(page) == "One two."
        page.goto(f"{url}/#{task_id}")
        expect(page.locator("#answer")).to_have_text("One two.")
        page.click("nav a")
        expect(page.locator("#swagger-container")).to_contain_text("/api/tasks/start")
        page.go_back()
        page.click(".brand")
        assert page.url.startswith(f"{url}/")
