"""/web/longtask.js, as the pages of others use it, behind a proxy that breaks everything."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.breaking_proxy import BreakingProxy, Cut, Status
from tests.browser.following import begin_to_follow, followed
from tests.browser.page import OpenPage, open_streams
from tests.doubles.native import (
    TASK,
    Event,
    content,
    end,
    frames,
    item,
    reasoning,
    status_of,
    tool_call,
)
from tests.doubles.upstream import (
    DONE,
    Gate,
    Script,
    Upstream,
    answer,
    finish,
    piece,
    refusal,
)
from tests.running import Running
from tests.waiting import eventually


@pytest.fixture
def proxy(service: Running) -> Iterator[BreakingProxy]:
    with BreakingProxy(int(service.url.rpartition(":")[2])).running() as proxy:
        assert isinstance(proxy, BreakingProxy)
        yield proxy


EVERYTHING = (
    Status(502),
    Cut(250),
    Status(401),  # a fresh link is asked for
    Cut(310),
    Status(503, {"Retry-After": "1"}),
    Cut(400, politely=True),
    Status(404),  # as some proxies answer while a service is away
    Cut(777),
    Status(200),  # with a page of HTML
    Cut(0),
    Status(429, {"Retry-After": "Thu, 01 Jan 2026 00:00:00 GMT"}),
)


@pytest.mark.soak
def test_the_documented_snippet_shows_the_whole_answer_through_whatever_breaks(
    service: Running,
    upstream: Upstream,
    proxy: BreakingProxy,
    open_page: OpenPage,
) -> None:
    page_about_it = Path("docs/clients.md").read_text()
    snippet = re.findall(r"```js\n(.*?)```", page_about_it, re.DOTALL)[0]
    pieces = [f"第 {number} 句 🌍 " for number in range(40)]
    gate = Gate()
    upstream.then(
        Script([piece("Of a lost attempt."), gate], cut=True),
        Script(answer(*pieces)),
    )
    page = open_page(proxy.url)
    html = f"<meta charset=utf-8><body><script type=module>{snippet}</script>"
    page.route("**/mine", lambda route: route.fulfill(body=html, content_type="text/html"))
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(f"{proxy.url}/mine")
    expect(page.locator("body")).to_have_text("Of a lost attempt.")
    proxy.streams.extend(EVERYTHING)
    proxy.others.append(Status(502))  # the record, when a fresh link is asked for
    proxy.cut()
    gate.open()
    expect(page.locator("body")).to_have_text("".join(pieces).strip())
    assert page.evaluate("document.body.textContent") == "".join(pieces)
    eventually(lambda: any(each.startswith("stop ") for each in said))
    assert not proxy.streams
    assert not proxy.others


@pytest.mark.soak
def test_every_event_comes_once_and_in_order_wherever_a_frame_is_cut(
    service: Running, upstream: Upstream, proxy: BreakingProxy, open_page: OpenPage
) -> None:
    pieces = [f"…{number} 🌍\u2028" for number in range(12)]
    upstream.then(Script(answer(*pieces)))
    task = service.client.start()
    service.client.wait_for(task, "completed")
    page = open_page(proxy.url)
    proxy.streams.extend(Cut(350 + 17 * n, politely=n % 2 == 0) for n in range(8))
    seen = followed(page, {"taskId": task})
    assert seen["ids"] == [each.id for each in service.client.events(task).logged]
    assert seen["texts"][-1] == seen["end"]["data"] == "".join(pieces)
    assert all(seen["texts"][-1].startswith(text) for text in seen["texts"])
    assert seen["statuses"] == ["pending", "running", "completed"]
    assert seen["connection"].count("lost") == 8
    assert not proxy.streams


CALL = {"index": 0, "id": "call_1", "name": "get_weather", "arguments": '{"city": "Paris"}'}
NOTHING: dict[str, Any] = {
    "text": "",
    "refusal": "",
    "reasoning": "",
    "toolCalls": [],
    "annotations": [],
    "items": [],
}
END = end("c")
FOLLOWED_TO_END = {**NOTHING, "text": "c", "valid": None, **END}


@pytest.mark.soak
def test_only_an_attempt_that_does_not_go_on_takes_back_what_was_said(quiet_page: Page) -> None:
    steps = [
        [status_of("pending", 0), status_of("running", 1), reasoning("r"), content("a")],
        [status_of("pending", 1, reason="shutting_down")],
        [{"type": "a kind of tomorrow", "data": "x"}, status_of("running", 2, resumed=True)],
        [tool_call(0, "{", id="call_0", name="f"), content("b")],
        [status_of("pending", 2, reason="connection_lost"), status_of("running", 3)],
        [content("c"), END],
    ]
    log = [event for step in steps for event in step]
    seen = _followed_in_steps(quiet_page, steps)
    assert seen["texts"] == ["a", "ab", "", "c"]
    call = {"index": 0, "id": "call_0", "name": "f", "arguments": "{"}
    assert seen["answers"] == [
        NOTHING | {"reasoning": "r", "text": "a"},
        NOTHING | {"reasoning": "r", "text": "ab", "toolCalls": [call]},
        NOTHING,
        NOTHING | {"text": "c"},
    ]
    assert FOLLOWED_TO_END.items() <= seen["end"].items()
    assert seen["ids"] == [f"e-{number}" for number in range(1, len(log) + 1)]
    # So does the page, which shows what was lost until something else is said. It says that this
    # no longer counts only once the next attempt begins anew.
    shown = quiet_page.evaluate(
        """async (log) => {
            const { apply, begin } = await import("/web/state.js");
            const state = begin();
            return log.map((event) => {
                apply(state, event);
                const { reasoning, text, toolCalls } = state.answer;
                return [reasoning + text + toolCalls.map((call) => call.name).join(), state.lost?.counts ?? null];
            });
        }""",
        log,
    )
    assert shown == [
        *(["", None], ["", None], ["r", None], ["ra", None], ["ra", True], ["ra", True]),
        *(["ra", None], ["raf", None], ["rabf", None], ["rabf", True], ["rabf", False]),
        *(["c", None], ["c", None]),
    ]


@pytest.mark.soak
def test_pieces_of_every_kind_add_up(quiet_page: Page) -> None:
    """Calls of tools alternate, and `end` leaves out what is empty."""
    cited = {"type": "url_citation", "url_citation": {"url": "https://example.org/"}}
    searched = {"type": "web_search_call", "id": "ws_1"}
    steps = [
        [
            *(status_of("pending", 0), status_of("running", 1), reasoning("r")),
            *(tool_call(1, "[", id="b", name="g"), tool_call(0, id="call_1", name="get_")),
            *(tool_call(1, "]"), tool_call(0, '{"city": "Paris"}', name="weather")),
            item("web_search_call", id="ws_1"),
            content("Yes. ", annotations=[cited]),
            content("No.", refusal=True, annotations=[cited]),
        ],
        [end("c", toolCalls=[CALL], items=[searched], valid=False)],
    ]
    seen = _followed_in_steps(quiet_page, steps)
    assert seen["answers"] == [
        {
            "text": "Yes. No.",
            "refusal": "No.",
            "reasoning": "r",
            "toolCalls": [CALL, {"index": 1, "id": "b", "name": "g", "arguments": "[]"}],
            "annotations": [cited, cited],
            "items": [searched],
        },
        NOTHING | {"text": "c", "toolCalls": [CALL], "items": [searched]},
    ]
    assert (
        FOLLOWED_TO_END | {"valid": False, "toolCalls": [CALL], "items": [searched]}
    ).items() <= seen["end"].items()


def _followed_in_steps(page: Page, steps: list[list[Event]]) -> dict[str, Any]:
    """What a page sees that gets some events of the log in each connection."""
    left = steps[:]

    def stream(route: Route) -> None:
        seen = int(route.request.url.partition("lastEventId=e-")[2] or 0)
        body = frames(left.pop(0), first=seen + 1)
        route.fulfill(body=body, content_type="text/event-stream; charset=utf-8")

    page.route("**/api/tasks/stream?**", stream)
    seen = followed(page, {"taskId": TASK})
    page.unroute("**/api/tasks/stream?**")
    return seen


@pytest.mark.soak
def test_a_pause_that_the_server_asks_for_is_kept(service: Running, open_page: OpenPage) -> None:
    page = open_page(service.url)
    page.clock.install()
    page.reload()
    asked: list[str] = []

    def stream(route: Route) -> None:
        asked.append(route.request.url)
        if len(asked) == 1:
            route.fulfill(status=429, headers={"Retry-After": "30"}, body="Too many.")
        else:
            route.fulfill(body=frames([END]), content_type="text/event-stream")

    page.route("**/api/tasks/stream?**", stream)
    begin_to_follow(page, {"taskId": "task_1"})
    page.wait_for_function("() => window.seen?.connection.includes('lost')")
    page.clock.run_for(29_000)
    page.evaluate("dispatchEvent(new Event('online'))")
    assert len(asked) == 1
    page.clock.run_for(2_000)
    seen = page.evaluate("window.following")
    assert FOLLOWED_TO_END.items() <= seen["end"].items()
    assert len(asked) == 2


@pytest.mark.soak
def test_what_another_try_cannot_mend_is_an_error(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    page = open_page(service.url)
    unknown = followed(page, {"taskId": "task_1_unknown"})["error"]
    assert (unknown["name"], unknown["status"], unknown["code"]) == (
        "LongtaskError",
        404,
        "unknown-task",
    )
    upstream.then(refusal(401, "invalid_api_key"))
    failed = followed(page, {"taskId": service.client.start()})
    assert failed["error"]["code"] == "invalid_api_key"
    assert failed["error"]["status"] == 0
    assert failed["error"]["retryable"] is False
    assert failed["statuses"][-1] == "failed"
    refused = service.client.http.post("/api/tasks/start", json={}).json()
    error = followed(page, refused)["error"]
    assert error["message"] == refused["error"]
    assert error["status"] == refused["status"]


@pytest.mark.soak
def test_a_signal_stops_it(service: Running, upstream: Upstream, open_page: OpenPage) -> None:
    gate = Gate()
    upstream.then(Script([piece("One"), gate, finish(), DONE]))
    page = open_page(service.url)
    name = page.evaluate(
        """async (task) => {
            const { follow } = await import("/web/longtask.js");
            const stopping = new AbortController();
            const { signal } = stopping;
            return follow(task, { signal, onText: () => stopping.abort() }).catch(({ name }) => name);
        }""",
        {"taskId": service.client.start()},
    )
    assert name == "AbortError"
    eventually(lambda: open_streams(service) == 1)  # that of the page's own list
    gate.open()
