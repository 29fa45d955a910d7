"""One task on the page: start it, watch it, cancel it, see it fail."""

from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.page import OpenPage, choose, start, status, text
from tests.doubles.upstream import (
    DONE,
    USAGE,
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


def test_from_the_prompt_to_the_end(
    service: Running, upstream: Upstream, open_page: OpenPage, tmp_path: Path
) -> None:
    gate = Gate()
    code = "```python\nprint('hi')\n```\n"
    upstream.then(
        Script([piece("**Bold** "), gate, piece(f"end.\n\n{code}"), finish(), USAGE, DONE])
    )
    page = open_page(service.url)
    task_id = start(page, "Say it.")
    status(page, "running")
    expect(page.locator("#answer strong")).to_have_text("Bold")
    expect(page.locator("#task-prompt")).to_have_text("Say it.")
    expect(page.locator("#prompt")).to_have_value("")
    expect(page.locator("#attempt")).to_have_text("attempt 1")
    expect(page.locator("#announcer")).to_have_text("running: Say it.")
    assert page.url.endswith(f"#{task_id}")
    gate.open()
    status(page, "completed")
    expect(page.locator("#announcer")).to_have_text("done: Say it.")
    expect(page.locator("#tokens")).to_have_text("5 tokens")
    expect(page.locator("#ended")).to_have_text("test-model · 3 tokens read, 5 written")
    expect(page.locator("#answer figure code")).to_have_text("print('hi')")
    page.click("#answer figure button")
    assert page.evaluate("navigator.clipboard.readText()") == "print('hi')"
    page.click("#copy")
    whole = service.client.record(task_id)["text"]
    eventually(lambda: page.evaluate("navigator.clipboard.readText()") == whole)
    with page.expect_download() as downloading:
        choose(page, "download")
    file = tmp_path / "answer.md"
    downloading.value.save_as(file)
    assert downloading.value.suggested_filename == f"{task_id}.md"
    assert file.read_text() == whole
    choose(page, "share")
    eventually(lambda: page.evaluate("navigator.clipboard.readText()") == page.url)
    choose(page, "raw")
    expect(page.locator("#raw")).to_be_visible()
    expect(page.locator("#answer")).to_be_hidden()
    assert text(page) == whole


@pytest.mark.soak
def test_options_reach_the_model(service: Running, upstream: Upstream, open_page: OpenPage) -> None:
    """And those that are left empty are not sent."""
    page = open_page(service.url)
    start(page, "Without options.")
    status(page, "completed")
    assert not {"temperature", "max_tokens"} & upstream.received[0].body.keys()
    page.click("#options-toggle")
    page.fill("#model", "some-model")
    page.fill("#temperature", "1.5")
    page.fill("#length", "77")
    start(page, "With options.")
    eventually(lambda: len(upstream.received) == 2)
    status(page, "completed")
    body = upstream.received[1].body
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("some-model", 1.5, 77)


@pytest.mark.soak
def test_an_answer_that_reasoning_left_no_room_for_says_so(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    upstream.then(Script(answer(reason="length")))
    page = open_page(service.url)
    start(page, "Think.")
    status(page, "completed")
    expect(page.locator("#ended")).to_contain_text("The answer is empty: the limit of tokens")
    page.click("#language")
    expect(page.locator("#ended")).to_contain_text("回答为空")


@pytest.mark.soak
def test_what_cannot_be_started_is_told_and_nothing_is_lost(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    page = open_page(service.url)
    page.click("#submit")
    expect(page.locator("#start-error")).to_have_text("Write a prompt first.")
    page.fill("#prompt", "Kept.")
    page.click("#options-toggle")
    page.fill("#temperature", "3")
    page.click("#submit")
    expect(page.locator("#start-error")).to_contain_text("Temperature must be from 0 to 2")
    page.fill("#temperature", "1")
    page.route("**/api/tasks/start", lambda route: route.abort())
    page.click("#submit")
    expect(page.locator("#start-error")).to_contain_text("cannot be reached")
    expect(page.locator("#prompt")).to_have_value("Kept.")
    page.reload()
    expect(page.locator("#prompt")).to_have_value("Kept.")
    page.unroute("**/api/tasks/start")
    page.click("#options-toggle")
    page.fill("#json", "[1]")
    page.click("#submit")
    expect(page.locator("#start-error")).to_contain_text("must be JSON: an object, such as")
    page.fill("#json", '{"seed": 1,}')
    page.click("#submit")
    expect(page.locator("#start-error")).to_contain_text("must be JSON: Expected")
    expect(page.locator("#json")).to_be_focused()
    page.fill("#json", '{"n": 2, "stream": true}')
    page.click("#submit")
    expect(page.locator("#start-error")).to_contain_text("options.n: must be 1")
    expect(page.locator("#start-error")).to_contain_text("options.stream: is not accepted")
    assert not upstream.received


def test_a_lost_attempt_is_shown_as_such(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    gate = Gate()
    upstream.then(
        Script([piece("Lost words")], cut=True),
        Script([gate, piece("Found words"), finish(), DONE]),
    )
    page = open_page(service.url)
    start(page, "Twice.")
    expect(page.locator("#notice")).to_contain_text(
        "Attempt 1 was lost. The connection to the model"
    )
    expect(page.locator("#answer")).to_have_class("answer lost")
    expect(page.locator("#answer")).to_have_text("Lost words")
    gate.open()
    status(page, "completed")
    expect(page.locator("#answer")).to_have_text("Found words")
    expect(page.locator("#answer")).to_have_class("answer")
    expect(page.locator("#notice")).to_be_hidden()
    expect(page.locator("#attempt")).to_have_text("attempt 2")


def test_cancel_keeps_the_text(service: Running, upstream: Upstream, open_page: OpenPage) -> None:
    upstream.then(Script([piece("Kept"), Gate()]))
    page = open_page(service.url)
    start(page, "Too long.")
    expect(page.locator("#answer")).to_have_text("Kept")
    page.click("#cancel")
    status(page, "cancelled")
    expect(page.locator("#answer")).to_have_text("Kept")
    expect(page.locator("#ended")).to_have_text("Cancelled. The text so far is kept.")
    expect(page.locator("#cancel")).to_be_hidden()
    page.click("#retry")
    status(page, "completed")
    assert text(page) == "Hello, world."
    assert [each.body["messages"][-1]["content"] for each in upstream.received] == ["Too long."] * 2


def test_a_failure_says_what_happened_and_what_to_do(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    upstream.then(refusal(401, "invalid_api_key"), refusal(429, "insufficient_quota"))
    page = open_page(service.url)
    for said, advice in (
        ("did not accept the API key", "OPENAI_API_KEY"),
        ("quota of the API key is used up", "Check the plan and billing"),
    ):
        start(page, "Fail.")
        status(page, "failed")
        expect(page.locator("#failure-what")).to_contain_text(said)
        expect(page.locator("#failure-do")).to_contain_text(advice)
    page.goto(f"{service.url}/#task_1_nobody")
    expect(page.locator("#notice")).to_contain_text("does not know the task")
    assert "[object" not in str(page.locator("body").text_content())


def test_the_log_can_be_watched(service: Running, open_page: OpenPage) -> None:
    page = open_page(service.url)
    task_id = start(page, "Watch.")
    page.click("#run-toggle")
    status(page, "completed")
    logged = service.client.events(task_id).logged
    steps = page.locator(".step-title span")
    expect(steps).to_have_text(["Queued", "Attempt 1", "Done"])
    page.get_by_role("tab", name="Events").click()
    rows = page.locator(".events-rows li")
    expect(rows).to_have_count(len(logged) + 1)
    rows.last.locator("summary").click()
    expect(rows.last.locator("pre")).to_contain_text(logged[-1].id)
