"""What every test in a browser needs."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.browser.page import OpenPage, pages
from tests.browser.program import running_browser
from tests.doubles.upstream import Upstream, refusal
from tests.running import Running, running_service, settings_for


@pytest.fixture(scope="package")  # its event loop must end before tests that bring their own
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture(scope="module")
def service(shared_upstream: Upstream) -> Iterator[Running]:
    """One for all tests of a module: each sees its own tasks, and waits for their end."""
    settings = settings_for(
        openai_api_key="sk-planted-secret",
        openai_base_url=shared_upstream.url,
        qstash_retry_delay="50",
    )
    with running_service(settings) as running:
        yield running


@pytest.fixture
def upstream(scripted: Upstream) -> Upstream:
    """Whose models each page reads, apart from what a test scripts."""
    scripted.models = refusal(404, "not_found")
    return scripted


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    with pages(browser) as open_page:
        yield open_page


@pytest.fixture(scope="module")
def quiet_page(browser: Browser) -> Iterator[Page]:
    """One page for all tests of a module that call its scripts and leave it as it was. It is plain:
    without the libraries that a package has."""
    with running_service(settings_for()) as service, pages(browser) as open_page:
        page = open_page(service.url)
        page.evaluate("document.documentElement.removeAttribute('data-vendored')")
        yield page
