"""A real browser: Debian's chromium, or any on the path, driven by Playwright."""

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import (
    Browser,
    Page,
    sync_playwright,
)

from tests.browser.page import OpenPage, pages
from tests.doubles.upstream import Upstream
from tests.running import Running, running_service, settings_for

ARGUMENTS = (
    "--no-sandbox",
    "--disable-background-networking",
    # One process fewer, which would draw in software: a sixth of the browser's CPU.
    "--disable-gpu",
    "--in-process-gpu",
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


@pytest.fixture(scope="package")  # its event loop must end before tests that bring their own
def browser() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        pytest.skip("no browser (Debian: apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


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
    return scripted


@pytest.fixture
def open_page(browser: Browser) -> Iterator[OpenPage]:
    with pages(browser) as open_page:
        yield open_page


@pytest.fixture(scope="module")
def quiet_page(browser: Browser) -> Iterator[Page]:
    """One page for all tests of a module that call its scripts and leave it as it was."""
    with running_service(settings_for()) as service, pages(browser) as open_page:
        yield open_page(service.url)
