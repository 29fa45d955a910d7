"""The page beside a service that wants API keys."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import expect

from entrypoints.api_keys import new_key
from tests.browser.page import OpenPage, row, start, status
from tests.doubles.upstream import DONE, Gate, Script, Upstream, finish, piece
from tests.running import Running, running_service, settings_for
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually

KEY, ENTRY = new_key("alice")
LINK_TTL = 2.0


@pytest.fixture
def guarded(upstream: Upstream) -> Iterator[Running]:
    settings = settings_for(
        openai_base_url=upstream.url,
        api_keys=ENTRY,
        stream_secret="a secret of forty characters, or even more",
        stream_link_ttl=LINK_TTL,
    )
    with running_service(settings) as running:
        running.client.http.headers["Authorization"] = f"Bearer {KEY}"
        yield running


@pytest.mark.soak
def test_the_page_asks_for_a_key_and_keeps_the_prompt(
    guarded: Running, open_page: OpenPage
) -> None:
    of_alice = guarded.client.start("From elsewhere.")
    page = open_page(guarded.url)
    # The list needs a key. Who is writing a prompt meanwhile is not interrupted.
    page.focus("#prompt")
    expect(page.locator("#key-form")).to_be_visible()
    expect(page.locator("#list-empty")).to_contain_text("once you have given the API key")
    expect(page.locator("#prompt")).to_be_focused()
    page.fill("#prompt", "Hi.")
    page.keyboard.press("Control+Enter")
    expect(page.locator("#key")).to_be_focused()
    expect(page.locator("#prompt")).to_have_value("Hi.")
    expect(page.locator("#start-error")).to_be_hidden()
    page.fill("#key", "lt_wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#key-hint")).to_have_text("The service does not know this API key.")
    page.fill("#key", KEY)
    page.keyboard.press("Enter")
    status(page, "completed")
    expect(page.locator("#key-form")).to_be_hidden()
    expect(page.locator(row(of_alice, "open"))).to_be_visible()
    page.reload()
    status(page, "completed")
    expect(page.locator(row(of_alice, "open"))).to_be_visible()
    # A key that is wrong shows nothing of hers, and what this browser remembers stays.
    other = open_page(guarded.url, page.context)
    expect(other.locator("#list li")).to_have_count(2)
    page.evaluate("localStorage.setItem('longtask.key', 'lt_wrong')")
    expect(other.locator("#key-hint")).to_have_text("The service does not know this API key.")
    expect(other.locator("#list li")).to_have_count(1)
    page.reload()
    expect(page.locator("#list li")).to_have_count(1)
    assert KEY not in page.content()
    assert KEY not in page.url


@pytest.mark.soak
def test_a_shared_link_asks_for_a_key_too(guarded: Running, open_page: OpenPage) -> None:
    task = guarded.client.start()
    guarded.client.wait_for(task, "completed")
    page = open_page(f"{guarded.url}/#{task}")
    expect(page.locator("#key-form")).to_be_visible()
    expect(page.locator("#notice")).to_have_text(
        "This service requires an API key to show the task."
    )
    page.fill("#key", KEY)
    page.keyboard.press("Enter")
    status(page, "completed")
    expect(page.locator("#raw")).to_have_text("Hello, world.")


@pytest.mark.soak
def test_a_link_that_ran_out_is_replaced_when_the_connection_is_lost(
    guarded: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    gate = Gate()
    upstream.then(Script([piece("before"), gate, piece(" after"), finish(), DONE]))
    with TcpProxy(int(guarded.url.rpartition(":")[2])).running() as proxy:
        page = open_page(proxy.url)
        page.evaluate("key => localStorage.setItem('longtask.key', key)", KEY)
        task = start(page, "Hi.")
        expect(page.locator("#raw")).to_have_text("before")
        old = guarded.client.record(task)["streamUrl"]

        def expired() -> bool:
            with httpx.stream("GET", guarded.url + old) as answer:
                return bool(answer.status_code == 401)

        eventually(expired)
        proxy.cut()
        expect(page.locator("#connection")).to_be_hidden()
        gate.open()
        status(page, "completed")
        expect(page.locator("#raw")).to_have_text("before after")


@pytest.mark.soak
def test_the_page_of_the_api_works_under_its_policy(service: Running, open_page: OpenPage) -> None:
    page = open_page(service.url)
    page.goto(f"{service.url}/schema")
    expect(page.locator(".opblock-summary-path").first).to_be_visible()
