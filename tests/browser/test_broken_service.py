"""The page before something that is not the service, or not well: it says so, and does not break."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.page import OpenPage, choose, start, status
from tests.running import Running

AWAY = "The service cannot be reached."
RESPONSES: dict[str, tuple[int, str, str]] = {
    "a page of a proxy": (200, "text/html", "<h1>Sign in</h1>"),
    "JSON that was cut": (200, "application/json", '{"taskId": "task'),
    "a proxy whose server is away": (502, "text/html", "<h1>Bad gateway</h1>"),
}


def _instead(status: int, media: str, body: str) -> Callable[[Route], None]:
    return lambda route: route.fulfill(status=status, content_type=media, body=body)


@pytest.mark.soak
@pytest.mark.parametrize("name", RESPONSES)
def test_what_is_no_response_of_the_service_is_said_to_be_none(
    service: Running, open_page: OpenPage, name: str
) -> None:
    page = open_page(service.url)
    page.route("**/api/tasks/start", _instead(*RESPONSES[name]))
    page.fill("#prompt", "Hi.")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#start-error")).to_contain_text(AWAY)
    expect(page.locator("#prompt")).to_have_value("Hi.")
    page.route("**/api/me", _instead(*RESPONSES[name]))
    page.evaluate("import('/web/key.js').then(({ askForKey }) => askForKey(false))")
    page.fill("#key", "lt_" + "a" * 43)
    page.keyboard.press("Enter")
    expect(page.locator("#key-hint")).to_contain_text("could not be checked")
    page.unroute_all()
    page.click("#start [type=submit]")
    status(page, "completed")


@pytest.mark.soak
def test_an_error_of_a_foreign_form_is_told_as_far_as_it_can_be_read(
    service: Running, open_page: OpenPage
) -> None:
    page = open_page(service.url)

    def refuse(status: int, body: str) -> None:
        page.unroute_all()
        page.route("**/api/tasks/start", _instead(status, "application/json", body))
        page.click("#start [type=submit]")

    page.fill("#prompt", "Hi.")
    error = page.locator("#start-error")
    refuse(400, '{"error": {"message": "No."}, "type": 5, "errors": null}')
    expect(error).to_contain_text("HTTP 400")
    refuse(418, '"a teapot"')
    expect(error).to_contain_text("HTTP 418")
    page.evaluate("document.querySelector('#language').click()")
    refuse(403, '{"error": "No.", "type": "constructor", "errors": 1}')
    expect(error).to_contain_text("HTTP 403")


@pytest.mark.soak
def test_what_fails_at_a_task_is_said(service: Running, open_page: OpenPage) -> None:
    page = open_page(service.url)
    start(page, "Hi.")
    status(page, "completed")
    page.evaluate("localStorage.removeItem('longtask.tasks')")  # so that the service is asked
    page.reload()
    status(page, "completed")
    _fail_everything(page)
    page.evaluate("location.hash = 'start'")
    choose(page, "runAgain", page.locator("#list [data-task]").first.get_attribute("data-task"))
    expect(page.locator("#start-error")).to_contain_text("HTTP 500")
    choose(page, "delete", page.locator("#list [data-task]").first.get_attribute("data-task"))
    page.click("#delete")
    expect(page.locator("#start-error")).to_contain_text("HTTP 500")


def _fail_everything(page: Page) -> None:
    page.route("**/api/tasks/task_*", _instead(500, "text/plain", "Oops."))
