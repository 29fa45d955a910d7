"""The example in a browser: the same chat in two tabs."""

import pytest
from playwright.sync_api import expect

from tests.doubles.upstream import DONE, USAGE, Gate, Script, Upstream, answer, call, finish, piece
from tests.official.example.chat_page import OpenChat

pytestmark = pytest.mark.soak


def test_a_second_tab_joins_an_answer(open_chat: OpenChat, upstream: Upstream) -> None:
    gate = Gate()
    upstream.then(Script([piece("Hello"), gate, *answer(", world.")]))
    one = open_chat()
    one.say("Hi.")
    one.shows("Hello")
    two = open_chat(one.page.url, one.page.context)
    two.shows("Hello")
    gate.open()
    for tab in (one, two):
        tab.shows("Hello, world.")
        tab.ended()
        expect(tab.page.locator(".user")).to_have_text("Hi.")
    assert len(upstream.received) == 1


def test_an_idle_tab_follows_what_the_other_one_asks(
    open_chat: OpenChat, upstream: Upstream
) -> None:
    one = open_chat()
    one.say("Hi.")
    one.shows("Hello, world.")
    two = open_chat(one.page.url, one.page.context)
    two.shows("Hello, world.")
    two.ended()
    gate = Gate()
    upstream.then(Script([piece("Once"), gate, *answer(" more.")]))
    two.say("Again.")
    for tab in (two, one):
        tab.shows("Hello, world.", "Once")
    gate.open()
    for tab in (two, one):
        tab.shows("Hello, world.", "Once more.")
        tab.ended()
        expect(tab.page.locator(".user")).to_have_text(["Hi.", "Again."])
    one.say("Goodbye.")
    for tab in (one, two):
        tab.shows("Hello, world.", "Once more.", "Hello, world.")
    assert [len(each.body["messages"]) for each in upstream.received] == [1, 3, 5]


def test_a_tool_runs_in_one_tab_and_its_result_is_sent_once(
    open_chat: OpenChat, upstream: Upstream
) -> None:
    gate, said = Gate(), Gate()
    upstream.then(
        Script(
            [
                call(0, "{", "call_0", "getTime"),
                gate,
                call(0, "}"),
                finish("tool_calls"),
                USAGE,
                DONE,
            ]
        ),
        Script([piece("It is"), said, *answer(" late.")]),
    )
    one = open_chat()
    one.say("How late is it?")
    expect(one.tools).to_have_count(1)
    two = open_chat(one.page.url, one.page.context)
    expect(two.tools).to_have_count(1)
    gate.open()
    for tab in (one, two):
        tab.shows("It is")
    said.open()
    for tab in (one, two):
        tab.shows("It is late.")
        tab.ended()
    assert one.tools.all_inner_texts() == two.tools.all_inner_texts()
    assert len(upstream.received) == 2


def test_both_tabs_show_that_one_stopped_the_answer(
    open_chat: OpenChat, upstream: Upstream
) -> None:
    upstream.then(Script([piece("Hel"), Gate()]))
    one = open_chat()
    one.say("Hi.")
    one.shows("Hel")
    two = open_chat(one.page.url, one.page.context)
    two.shows("Hel")
    two.click("Stop")
    for tab in (one, two):
        tab.shows("Hel")
        tab.notes("Stopped.")
        tab.ended()
