"""The example in a browser: the same chat in two tabs."""

import pytest
from playwright.sync_api import expect

from tests.doubles.upstream import DONE, USAGE, Gate, Script, Upstream, answer, call, finish, piece
from tests.official.example.chat_page import OpenChat

pytestmark = pytest.mark.soak

COUNTING = """Date.prototype.toLocaleString = () => {
  localStorage.runs = 1 + Number(localStorage.runs ?? 0);
  return `run ${localStorage.runs}`;
}"""


def _asking_the_time(gate: Gate) -> Script:
    call_of_it = call(0, "{", "call_0", "getTime"), gate, call(0, "}")
    return Script([*call_of_it, finish("tool_calls"), USAGE, DONE])


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
    gates = [Gate(), Gate()]
    said = Gate()
    upstream.then(*map(_asking_the_time, gates), Script([piece("It is"), said, *answer(" late.")]))
    one = open_chat()
    one.page.context.add_init_script(COUNTING)
    one.page.reload()
    one.say("How late is it?")
    expect(one.tools).to_have_count(1)
    tabs = [one, open_chat(one.page.url, one.page.context)]
    for count, gate in enumerate(gates, start=1):
        for tab in tabs:
            expect(tab.tools).to_have_count(count)
        # The last one shows the second round by a replay, the others as they got both.
        tabs.append(open_chat(one.page.url, one.page.context))
        expect(tabs[-1].tools).to_have_count(count)
        gate.open()
    for tab in tabs:
        tab.shows("It is")
    said.open()
    for tab in tabs:
        tab.shows("It is late.")
        tab.ended()
        expect(tab.page.locator(".error")).to_have_count(0)
        assert tab.tools.all_inner_texts() == one.tools.all_inner_texts()
    assert one.page.evaluate("localStorage.runs") == "2"
    assert len(upstream.received) == 3


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
