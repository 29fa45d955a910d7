"""The page says that a queued task waits for the share of its owner."""

import pytest
from playwright.sync_api import expect

from tests.browser.page import OpenPage, row
from tests.doubles.upstream import Gate, Script, Upstream, answer, piece
from tests.running import running_service, settings_for


@pytest.mark.soak
def test_a_task_that_waits_for_others_says_so(upstream: Upstream, open_page: OpenPage) -> None:
    gate = Gate()
    upstream.then(Script([piece("One"), gate, *answer(" two")]), Script([gate, *answer("Other.")]))
    settings = settings_for(openai_base_url=upstream.url, shares="*:parallelism=1")
    with running_service(settings) as service:
        service.client.start("First.")
        waiting = service.client.start("Second.")
        page = open_page(service.url)
        page.click(row(waiting, "open"))
        text = page.locator("#waiting-text")
        expect(text).to_have_text(
            "Waiting until another of your tasks has ended. 1 may run at the same time."
        )
        gate.open()
        expect(page.locator("#answer")).to_have_text("Other.")
