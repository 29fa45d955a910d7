"""Pages of the AI SDK talk with a model: rounds of tools, stop, regenerate, errors, two tabs."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any

import pytest

from entrypoints.api_keys import new_key
from tests.doubles.upstream import (
    DONE,
    USAGE,
    Gate,
    Script,
    Upstream,
    answer,
    call,
    finish,
    piece,
    refusal,
)
from tests.official.node.conftest import Page
from tests.running import Running, running_service, settings_for
from tests.waiting import within

pytestmark = pytest.mark.soak

WAYS = pytest.mark.parametrize("way", ["standard", "workflow"])
KEY, ENTRY = new_key("team")
Json = dict[str, Any]

CALLED = Script(
    [
        piece("Let me look."),
        call(0, '{"city":', "call_0", "look_up"),
        call(0, '"Oslo"}'),
        finish("tool_calls"),
        USAGE,
        DONE,
    ]
)
"""Some servers begin with the same id in each answer."""


class Chat:
    def __init__(self, page: Page, service: Running) -> None:
        self.sdk = page.sdk
        self._page, self._service = page, service

    def __call__(self, scenario: str, **given: Any) -> Any:
        return self._page.result("ai_chat", self._service.url, scenario, **given)

    def status(self, told: Json) -> str:
        """The status of the task behind the last message."""
        task = told["messages"][-1]["metadata"]["taskId"]
        return str(self._service.client.record(task)["status"])


@pytest.fixture
def chat(page: Page, service: Running, upstream: Upstream) -> Chat:
    return Chat(page, service)


def text(told: Json) -> str:
    parts = told["messages"][-1]["parts"]
    return "".join(part["text"] for part in parts if part["type"] == "text")


@WAYS
@pytest.mark.parametrize("cut", [None, 2, 4])
def test_three_rounds_of_tools_are_four_posts_even_with_each_cut(
    chat: Chat, upstream: Upstream, way: str, cut: int | None
) -> None:
    upstream.then(CALLED, CALLED, CALLED, Script(answer("20 ", "degrees.")))
    seen = chat("rounds", way=way, **({} if cut is None else {"cut": cut}))
    assert (seen["told"]["status"], seen["posts"]) == ("ready", 4)
    assert seen["loads"] == (5 if cut and way == "standard" else 1)
    assert len(seen["ran"]) == len(set(seen["ran"])) == 3
    _, told = seen["told"]["messages"]
    round_ = ["step-start", "text", "tool-look_up"]
    assert [part["type"] for part in told["parts"]] == [*round_ * 3, "step-start", "text"]
    tools = [part for part in told["parts"] if part["type"] == "tool-look_up"]
    assert [part["toolCallId"] for part in tools] == seen["ran"]
    assert {part["output"] for part in tools} == {"20 degrees in Oslo"}
    assert text(seen["told"]) == "Let me look." * 3 + "20 degrees."
    assert len(upstream.received) == 4
    question, *rounds = upstream.received[3].body["messages"]
    assert (question["role"], len(rounds)) == ("user", 6)
    for called, result, ran in zip(rounds[::2], rounds[1::2], seen["ran"], strict=True):
        assert (called["content"], result["content"]) == ("Let me look.", "20 degrees in Oslo")
        assert called["tool_calls"][0]["id"] == result["tool_call_id"] == ran


@WAYS
@pytest.mark.parametrize("asks", [[], [None, None], [{"activeStreamId": "own"}]])
def test_a_page_that_stops_may_send_at_once(
    chat: Chat, upstream: Upstream, service: Running, way: str, asks: list[Json | None]
) -> None:
    upstream.then(Script([piece("Hel"), Gate()]))
    seen = chat("stops", way=way, asks=asks)
    assert (seen["told"]["status"], text(seen["told"])) == ("ready", "Hel")
    assert seen["stopped"] == [{"success": True}] * len(asks)
    assert service.client.record(seen["task"])["status"] == "cancelled"
    assert upstream.received[0].gone.wait(within(10))
    assert (seen["after"]["status"], text(seen["after"])) == ("ready", "Hello, world.")
    assert seen["late"] == {"success": True}
    assert chat.status(seen["after"]) == "completed"
    asked = [(each["role"], each["content"]) for each in upstream.received[1].body["messages"]]
    assert asked == [("user", "Hi."), ("assistant", "Hel"), ("user", "Go on.")]


@WAYS
def test_regenerated_and_edited_messages_have_new_answers(
    chat: Chat, upstream: Upstream, way: str
) -> None:
    answers = ["One.", "Two.", "Three.", "Four."]
    upstream.then(*(Script(answer(each)) for each in answers))
    seen = chat("regenerates", way=way)
    assert [text(each) for each in seen] == answers
    assert [len(each["messages"]) for each in seen] == [2] * 4
    said = [each.body["messages"][0]["content"] for each in upstream.received]
    assert said == ["Hi.", "Hi.", "Hi.", "Hello?"]


@WAYS
def test_a_lost_attempts_text_disappears(chat: Chat, upstream: Upstream, way: str) -> None:
    upstream.then(Script([piece("Half of")], cut=True))
    seen = chat("says", way=way)
    assert (seen["told"]["status"], text(seen["told"])) == ("ready", "Hello, world.")
    assert "Half of" in seen["seen"]
    assert not [each for each in seen["seen"] if "Half" in each and "Hello" in each]


@WAYS
def test_a_refused_request_says_what_is_wrong(chat: Chat, upstream: Upstream, way: str) -> None:
    told = chat("says", way=way, body={"maxTokens": "many"})["told"]
    assert told["status"] == "error"
    assert "maxTokens" in told["error"]
    told = chat("says", way=way, chat="task_1")["told"]
    assert "must not begin with task_" in told["error"]
    assert upstream.received == []


@WAYS
def test_a_model_that_refuses_is_an_error(chat: Chat, upstream: Upstream, way: str) -> None:
    upstream.then(refusal(401, "invalid_api_key"))
    told = chat("says", way=way)["told"]
    assert told["status"] == "error"
    assert "API key" in told["error"]
    assert chat.status(told) == "failed"


@WAYS
@pytest.mark.parametrize("start_index", [0, 3, -3])
def test_a_chat_without_a_task_has_nothing_to_resume(
    chat: Chat, way: str, start_index: int
) -> None:
    told = chat("resumesNothing", way=way, initialStartIndex=start_index)
    assert told == {"status": "ready", "messages": []}


@WAYS
def test_two_tabs_show_the_same(chat: Chat, upstream: Upstream, way: str) -> None:
    pieces: list[bytes | float] = []
    for each in answer("Hel", "lo, ", "wor", "ld."):
        pieces += [each, 0.1]
    upstream.then(Script(pieces))
    first, second = chat("twoTabs", way=way)
    assert first == second
    assert (first["status"], text(first)) == ("ready", "Hello, world.")
    assert len(upstream.received) == 1


def test_a_transport_that_names_no_content_type_is_refused_without_a_token(
    chat: Chat, upstream: Upstream
) -> None:
    told = chat("bare")["told"]
    assert told["status"] == "error"
    assert "application/json" in told["error"]
    assert upstream.received == []


def own_service(upstream: Upstream, **settings: Any) -> AbstractContextManager[Running]:
    model = {"openai_api_key": "sk-planted-secret", "openai_base_url": upstream.url}
    return running_service(settings_for(**model, **settings))


@WAYS
def test_half_an_answer_of_a_service_that_stops_is_an_error(
    page: Page, upstream: Upstream, way: str
) -> None:
    upstream.then(Script([piece("Hel"), gate := Gate()]))
    with ThreadPoolExecutor() as threads:
        with own_service(upstream, grace=0.1) as running:
            says = threads.submit(Chat(page, running), "says", way=way)
            assert gate.reached.wait(within(20))
        assert says.result()["told"]["status"] == "error"  # else the page takes it for the whole


def test_a_token_is_good_for_all_that_a_page_does_in_its_chat(
    page: Page, upstream: Upstream
) -> None:
    keys = {"api_keys": ENTRY, "stream_secret": "secret-of-at-least-thirty-two-letters"}
    with own_service(upstream, **keys) as keyed:
        seen = Chat(page, keyed)("bare", key=KEY)
    assert seen["types"] == ["text/plain;charset=UTF-8"]
    assert (seen["told"]["status"], text(seen["told"])) == ("ready", "Hello, world.")
    assert seen["again"] == seen["told"]
    assert seen["other"]["status"] == "error"
    assert "another chat" in seen["other"]["error"]
