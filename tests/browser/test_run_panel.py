"""The panel about a run: what happened and when, the numbers, and the events of the log."""

import json
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.page import OpenPage
from tests.browser.run_logs import Log, content, end, show_run, shown_facts, shown_steps, status
from tests.running import Running

USAGE = {
    "promptTokens": 30,
    "completionTokens": 100,
    "totalTokens": 130,
    "reasoningTokens": 20,
    "cachedTokens": None,
    "estimated": False,
}
WHOLE: Log = [
    status(0, "pending", 0),
    status(300, "running", 1),
    content(800, "lost " * 8),
    status(900, "pending", 1, reason="rate_limited"),
    status(9_900, "running", 2),
    content(10_400, "kept " * 8),
    status(11_000, "pending", 2, reason="restarted"),
    status(12_000, "running", 3, resumed=True),
    content(12_500, "more " * 8),
    content(14_400, "text"),
    status(14_500, "completed", 3),
    end(14_500, usage=USAGE),
]


@pytest.fixture
def page(quiet_page: Page) -> Page:
    return quiet_page


def test_a_run_is_told_step_by_step(page: Page) -> None:
    show_run(page, WHOLE)
    queued, *steps = shown_steps(page)
    assert [queued[0], *queued[2:]] == ["Queued", "Waited for a worker for 300 ms"]
    assert steps == [
        ["Attempt 1", "+300 ms", "First token after 500 ms", "≈ 10 tokens in 0 ms"],
        [
            "Attempt 1 lost",
            "+900 ms",
            "The model\u2019s server limits the rate of requests",
            "What it said was dropped",
            "Next try after 9.0 s",
        ],
        ["Attempt 2", "+9.9 s", "First token after 500 ms", "≈ 38 tokens in 0 ms"],
        [
            "Attempt 2 lost",
            "+11.0 s",
            "The service was restarted",
            "What it said was kept",
            "Next try after 1.0 s",
        ],
        ["Attempt 3, resumed", "+12.0 s", "First token after 500 ms", "≈ 42 tokens in 1.9 s"],
        ["Done", "+14.5 s", "By model-1"],
    ]
    tones = "[...document.querySelectorAll('.strip span')].map((part) => part.dataset.tone)"
    assert page.evaluate(tones) == ["waits", "lost", "waits", "kept", "waits", "works"]


@pytest.mark.soak
def test_the_numbers_are_those_of_the_answer_that_counts(page: Page) -> None:
    """100 tokens, of which 20 were hidden reasoning, between the first piece at 10.4 s and the last
    one at 14.4 s: 20 a second. What attempt 1 said does not count."""
    show_run(page, WHOLE)
    assert shown_facts(page) == ["14.5 s", "10.4 s", "100", "20"]
    means = str(page.locator(".run-facts > div").nth(2).get_attribute("title"))
    assert "30 of the request" in means
    assert "20 of the answer on reasoning" in means
    show_run(page, [*WHOLE[:-1], end(14_500)])  # the model has told nothing
    assert shown_facts(page) == ["14.5 s", "10.4 s", "≈ 21", "≈ 5.3"]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ([end(500, finishReason="cancelled")], ["Cancelled", "+500 ms", "What was said is kept"]),
        ([end(500, finishReason="length")], ["Ended at its token limit", "+500 ms", "By model-1"]),
        ([end(500, finishReason="odd")], ["Ended: odd", "+500 ms", "By model-1"]),
        (
            [end(500, data="", toolCalls=[{"index": 0}])],
            ["Waits for results of tools", "+500 ms", "By model-1"],
        ),
        (
            [{"type": "error", "at": 500, "data": "m", "code": "content_refused"}],
            ["Failed", "+500 ms", "The model\u2019s server refused the content of the request"],
        ),
        (
            [{"type": "error", "at": 500, "data": "<b>new</b>", "code": "of_tomorrow"}],
            ["Failed", "+500 ms", "of_tomorrow"],
        ),
        (
            [status(500, "pending", 0)],  # an older service lost the log
            ["Queued", "+500 ms", "Waiting for a worker for 59 min 59 s"],
        ),
    ],
)
def test_every_end_is_told(page: Page, more: Log, expected: list[str]) -> None:
    show_run(page, [status(0, "pending", 0), status(100, "running", 1), *more])
    assert shown_steps(page)[-1] == expected


@pytest.mark.soak
def test_waits_are_counted(page: Page) -> None:
    lost = status(900, "pending", 1, reason="lease_lapsed", nextAttemptAt=3_600_000)
    begun = [status(0, "pending", 0), status(300, "running", 1)]
    show_run(page, [*begun, lost], began_ago=3_590_500)
    assert shown_steps(page)[-1][3] == "Next try in 10 s"
    expect(page.locator(".timeline")).to_contain_text("Next try in 8 s")
    show_run(page, [*begun, {**lost, "nextAttemptAt": None}], began_ago=10_950)
    assert shown_steps(page)[-1][3] == "Waiting for the next try for 10 s"
    show_run(page, begun[:1], began_ago=1_000, not_before=60_990)
    assert shown_steps(page)[-1][2] == "Begins in 59 s"


def _rows(page: Page) -> list[str]:
    return page.locator(".events-rows .event-number").all_text_contents()


@pytest.mark.soak
def test_the_events_are_filtered_and_copied(page: Page) -> None:
    show_run(page, WHOLE)
    page.get_by_role("tab", name="Timeline").press("ArrowRight")
    expect(page.get_by_role("tab", name="Events")).to_be_focused()
    assert _rows(page) == [str(number) for number in range(1, 13)]
    page.get_by_label("Show events of type").select_option("content")
    assert _rows(page) == ["3", "6", "9", "10"]
    page.get_by_role("button", name="Copy as JSON lines").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = [json.loads(each) for each in _clipboard(page).splitlines()]
    assert [each["id"] for each in copied] == ["abcd-3", "abcd-6", "abcd-9", "abcd-10"]
    assert copied[0]["data"] == "lost " * 8
    page.locator(".events-rows summary").last.click()
    expect(page.locator(".events-rows pre")).to_contain_text('"data": "text"')
    page.get_by_role("tab", name="Timeline").click()


def _clipboard(page: Page) -> str:
    return str(page.evaluate("navigator.clipboard.readText()"))


@pytest.mark.soak
def test_a_long_log_has_the_rows_that_are_looked_at(page: Page) -> None:
    log = [status(0, "pending", 0), status(1, "running", 1)]
    log += [content(number, f"{number} ") for number in range(2, 60_002)]
    show_run(page, log)
    page.get_by_role("tab", name="Events").click()
    rows = _rows(page)
    assert (len(rows), rows[-1]) == (40, "60002")
    earlier = page.get_by_role("button", name="earlier events")
    first = page.locator(".events-rows li").first
    earlier.click()
    assert len(_rows(page)) == 140
    expect(first.locator(".event-number")).to_have_text("59863")
    expect(page.locator(".raw-events .hint")).to_contain_text("newest 50,000 events")
    assert page.locator(".events-filter option").first.text_content() == "All · 60,002"
    page.get_by_role("tab", name="Timeline").click()


@pytest.mark.soak
@pytest.mark.parametrize(("scheme", "locale"), [("light", "en-US"), ("dark", "zh-CN")])
def test_everyone_can_use_it(
    service: Running, open_page: OpenPage, scheme: str, locale: str
) -> None:
    page = open_page(service.url, color_scheme=scheme, locale=locale)
    show_run(page, WHOLE)
    assert _violations(page) == []
    page.get_by_role("tab").nth(1).click()
    page.locator(".events-rows summary").last.click()
    assert _violations(page) == []
    assert page.get_by_role("tab").nth(0).text_content() == (
        "Timeline" if locale == "en-US" else "时间线"
    )


def _violations(page: Page) -> list[Any]:
    return [(each["id"], each["help"]) for each in Axe().run(page).response["violations"]]
