"""The page beside a service that wants API keys."""

import json
import re
from collections.abc import Iterator

import httpx
import pytest
from click.testing import CliRunner
from playwright.sync_api import expect

from entrypoints.api_keys import new_key
from entrypoints.key_commands import key_group
from tests.browser.page import OpenPage, row, start, status
from tests.browser.test_looks import violations
from tests.doubles.upstream import DONE, Gate, Script, Upstream, finish, piece
from tests.running import Running, running_service, settings_for
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually

KEY, ENTRY = new_key("alice")
BOBS_KEY, BOBS_ENTRY = new_key("bob")
LINK_TTL = 2.0


@pytest.fixture
def guarded(upstream: Upstream) -> Iterator[Running]:
    settings = settings_for(
        openai_base_url=upstream.url,
        api_keys=f"{ENTRY},{BOBS_ENTRY}",
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
    assert page.evaluate("localStorage.getItem('longtask.key')") is None
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
def test_who_one_is_shows_and_a_key_is_changed_only_for_a_good_one_and_forgotten(
    guarded: Running, open_page: OpenPage
) -> None:
    page = open_page(guarded.url)
    page.evaluate("key => localStorage.setItem('longtask.key', key)", KEY)
    page.reload()
    page.click("#options-toggle")
    page.fill("#system", "A system message.")
    page.fill("#prompt", "A draft.")
    task = start(page, "Hi.")
    status(page, "completed")
    expect(page.locator("#me-name")).to_have_text("alice")
    other_tab = open_page(f"{guarded.url}/#{task}", page.context)
    status(other_tab, "completed")
    stored, everything = "localStorage.getItem('longtask.key')", "JSON.stringify(localStorage)"

    def try_another(key: str) -> None:
        page.click("#me")
        page.click("#menu [data-do=keyChange]")
        expect(page.locator("#key")).to_be_focused()
        page.fill("#key", key)
        page.keyboard.press("Enter")

    try_another("lt_" + "a" * 43)
    expect(page.locator("#key-hint")).to_have_text("The service does not know this API key.")
    assert page.evaluate(stored) == KEY
    page.click("#key-keep")
    expect(page.locator("#key-form")).to_be_hidden()
    try_another(BOBS_KEY)
    expect(page.locator("#me-name")).to_have_text("bob")
    expect(page.locator("#key-form")).to_be_hidden()
    expect(page.locator(row(task, "open"))).to_have_count(0)
    assert page.input_value("#key-form [name=username]") == "bob"
    # Of what Alice has asked he sees nothing, in the storage neither.
    for each in (page, other_tab):
        expect(each.locator("#notice")).to_contain_text("does not know the task")
        expect(each.locator("#task-prompt")).to_be_hidden()
        expect(each.locator("#answer")).to_be_empty()
    assert "Hi." not in page.evaluate(everything)
    page.fill("#system", "Of Bob.")
    page.fill("#prompt", "A draft of Bob.")
    page.click("#me")
    page.click("#menu [data-do=keyForget]")
    expect(page.locator("#key-form")).to_be_visible()
    expect(page.locator("#me")).to_be_hidden()
    expect(page.locator("#task")).to_be_hidden()
    expect(page.locator("#list li")).to_have_count(0)
    assert page.evaluate(stored) is None
    assert set(json.loads(page.evaluate(everything))) <= {"longtask.language", "longtask.plain"}
    for each in (page, other_tab):
        expect(each.locator("#task")).to_be_hidden()
        expect(each.locator("#prompt")).to_have_value("")
        expect(each.locator("#system")).to_have_value("")
    page.reload()
    expect(page.locator("#key-form")).to_be_visible()
    expect(page.locator("#list li")).to_have_count(0)


@pytest.mark.soak
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_form_is_accessible_and_fits_a_phone(
    guarded: Running, open_page: OpenPage, scheme: str
) -> None:
    page = open_page(
        guarded.url,
        viewport={"width": 390, "height": 844},
        has_touch=True,
        color_scheme=scheme,
        locale="zh-CN",
    )

    def look() -> None:
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") == 390

    expect(page.locator("#key-hint")).to_be_visible()
    look()
    page.fill("#key", ENTRY)
    page.tap("#use-key")
    expect(page.locator("#key-hint")).to_contain_text("lt_")
    look()
    page.fill("#key", KEY)
    page.tap("#use-key")
    expect(page.locator("#key-form")).to_be_hidden()
    page.tap("#side-open")
    page.tap("#me")
    look()
    page.tap("#menu [data-do=keyChange]")
    expect(page.locator("#key")).to_be_focused()
    expect(page.locator("#key-keep")).to_be_visible()
    look()
    page.keyboard.press("Escape")
    expect(page.locator("#key-form")).to_be_hidden()


@pytest.mark.soak
def test_a_key_is_found_in_what_was_pasted(guarded: Running, open_page: OpenPage) -> None:
    page = open_page(guarded.url)
    expect(page.locator("#key-form")).to_be_visible()
    printed = CliRunner().invoke(key_group, ["new", "carol"]).output  # both streams, as seen
    found = {
        f"LONGTASK_API_KEY={KEY}": KEY,
        f' "{KEY}"\n': KEY,
        f"alice:{KEY}": KEY,
        f"The key of alice, which is not shown again:\n{KEY}\n\nLONGTASK_API_KEYS={ENTRY}\n": KEY,
        printed: re.findall(r"^lt_\S+$", printed, re.M)[0],
    }
    paste = """async (text) => {
        await navigator.clipboard.writeText(text);
        const field = document.getElementById("key");
        field.value = "";
        field.focus();
    }"""
    for text, key in found.items():
        page.evaluate(paste, text)
        page.keyboard.press("Control+v")
        expect(page.locator("#key")).to_have_value(key)
    hint = page.locator("#key-hint")
    for text, said in {
        ENTRY: "the hash of a key",
        ENTRY.partition("sha256:")[2]: "the hash of a key",
        "What is a key?": "There is no API key in this text",
        f"{KEY} {BOBS_KEY}": "more than one",
    }.items():
        page.evaluate(paste, text)
        page.keyboard.press("Control+v")
        expect(hint).to_contain_text(said)
        expect(page.locator("#key")).to_have_value("")
        page.fill("#key", text)
        page.keyboard.press("Enter")
        expect(hint).to_contain_text(said)
    guarded.service.stop()
    page.fill("#key", KEY)
    page.keyboard.press("Enter")
    expect(hint).to_contain_text("could not be checked")
    assert page.evaluate("localStorage.getItem('longtask.key')") is None


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
