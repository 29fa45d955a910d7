"""The example in a browser: tools that run in the page, for several rounds."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.doubles.upstream import DONE, USAGE, Gate, Script, Upstream, answer, call, finish, piece
from tests.official.example.chat_page import ChatPage, OpenChat
from tests.waiting import within

pytestmark = pytest.mark.soak

CITIES = ("Oslo", "Bergen", "Bodo")
SHOWN = [
    f'getWeather({{"city":"{city}"}}) {len(city) + 10} degrees and sunny in {city}'
    for city in CITIES
]


def _calling(city: str, gate: Gate | None = None) -> Script:
    """Call the tool, as a server does that begins with the same id in every answer."""
    first, rest = call(0, '{"city":', "call_0", "getWeather"), call(0, f'"{city}"}}')
    held = [] if gate is None else [gate]
    return Script([first, *held, rest, finish("tool_calls"), USAGE, DONE])


def _results(upstream: Upstream) -> list[dict[str, Any]]:
    """The results of tools in the last request."""
    messages = upstream.received[-1].body["messages"]
    return [each for each in messages if each["role"] == "tool"]


def _was_told_all(chat: ChatPage, upstream: Upstream) -> None:
    """Three rounds, each asked once, and all of it on the page and in the last request."""
    expect(chat.tools).to_have_text(SHOWN)
    results = _results(upstream)
    assert [each["content"][:2] for each in results] == ["14", "16", "14"]
    assert len({each["tool_call_id"] for each in results}) == 3
    roles = [each["role"] for each in upstream.received[-1].body["messages"]]
    assert roles == ["user", *("assistant", "tool") * 3]
    assert len(upstream.received) == 4


def test_the_model_calls_tools_for_three_rounds(open_chat: OpenChat, upstream: Upstream) -> None:
    upstream.then(*map(_calling, CITIES), Script(answer("All is fine.")))
    chat = open_chat()
    chat.say("How is the weather?")
    chat.shows("All is fine.")
    chat.ended()
    _was_told_all(chat, upstream)
    names = [each["function"]["name"] for each in upstream.received[0].body["tools"]]
    assert names == ["getWeather", "getTime"]


def test_the_page_is_loaded_anew_in_each_of_three_rounds(
    open_chat: OpenChat, upstream: Upstream
) -> None:
    gates = [Gate() for _ in CITIES]
    last = Gate()
    upstream.then(*map(_calling, CITIES, gates), Script([piece("All"), last, *answer(" is fine.")]))
    chat = open_chat()
    chat.say("How is the weather?")
    for count, gate in enumerate(gates):
        assert gate.reached.wait(within(20))
        expect(chat.tools).to_have_count(count + 1)
        chat.page.reload()
        expect(chat.tools).to_have_count(count + 1)
        gate.open()
    chat.shows("All")
    chat.page.reload()
    chat.shows("All")
    last.open()
    chat.shows("All is fine.")
    chat.ended()
    _was_told_all(chat, upstream)
    chat.page.reload()
    chat.ended()
    chat.shows("All is fine.")
    _was_told_all(chat, upstream)


def test_a_result_that_was_not_sent_is_sent_when_the_page_is_loaded_anew(
    open_chat: OpenChat, upstream: Upstream
) -> None:
    gate = Gate()
    upstream.then(_calling("Oslo", gate), Script(answer("Fine.")))
    chat = open_chat()
    chat.say("How is the weather?")
    expect(chat.tools).to_have_count(1)
    chat.page.route("**/api/chat", lambda route: route.abort())
    with chat.page.expect_event("requestfailed"):
        gate.open()
    expect(chat.tools).to_have_text(SHOWN[0])
    chat.page.unroute("**/api/chat")
    chat.page.reload()
    chat.shows("Fine.")
    chat.ended()
    assert [each["content"] for each in _results(upstream)] == [SHOWN[0].partition(") ")[2]]
    assert len(upstream.received) == 2


def test_a_tool_that_the_page_does_not_have_is_an_error_that_the_model_reads(
    open_chat: OpenChat, upstream: Upstream
) -> None:
    upstream.then(
        Script([call(0, "{}", "call_0", "launch"), finish("tool_calls"), USAGE, DONE]),
        Script(answer("Then not.")),
    )
    chat = open_chat()
    chat.say("Launch it.")
    chat.shows("Then not.")
    expect(chat.tools).to_have_text("launch({}) There is no tool launch.")
    (result,) = _results(upstream)
    assert result["content"] == "There is no tool launch."


def test_a_call_of_a_lost_attempt_is_not_run(open_chat: OpenChat, upstream: Upstream) -> None:
    gate = Gate()
    upstream.then(
        Script([call(0, '{"city":"Rome"}', "call_0", "getWeather"), gate], cut=True),
        _calling("Oslo"),
        Script(answer("Fine.")),
    )
    chat = open_chat()
    chat.say("How is the weather?")
    expect(chat.tools).to_contain_text("Rome")
    gate.open()
    chat.shows("Fine.")
    expect(chat.tools).to_have_text(SHOWN[0])
    assert len(upstream.received) == 3
