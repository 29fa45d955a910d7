"""The page, as a person uses it: start, watch, lose the connection, come back, cancel, share."""

import re
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.page import OpenPage, start, status, text
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
from tests.processes import found_in, process_of
from tests.redis_server import free_port
from tests.running import Running, running_service, settings_for
from tests.tcp_proxy import TcpProxy
from tests.waiting import eventually, within


def row(page: Page, task_id: str, action: str) -> str:
    return f'#list [data-task="{task_id}"][data-action="{action}"]'


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
    expect(page.locator("#pieces")).to_have_text("2 pieces")
    expect(page.locator("#ended")).to_have_text("test-model: 8 tokens.")
    expect(page.locator("#answer figure code")).to_have_text("print('hi')")
    page.click("#answer figure button")
    assert page.evaluate("navigator.clipboard.readText()") == "print('hi')"
    page.click("#copy")
    whole = service.client.record(task_id)["text"]
    eventually(lambda: page.evaluate("navigator.clipboard.readText()") == whole)
    with page.expect_download() as downloading:
        page.click("#download")
    file = tmp_path / "answer.md"
    downloading.value.save_as(file)
    assert downloading.value.suggested_filename == f"{task_id}.md"
    assert file.read_text() == whole
    page.click("#share")
    eventually(lambda: page.evaluate("navigator.clipboard.readText()") == page.url)
    page.click("#raw-toggle")
    expect(page.locator("#raw")).to_be_visible()
    expect(page.locator("#answer")).to_be_hidden()
    assert text(page) == whole


def test_options_reach_the_model(service: Running, upstream: Upstream, open_page: OpenPage) -> None:
    page = open_page(service.url)
    page.click(".options summary")
    page.fill("#model", "some-model")
    page.fill("#temperature", "1.5")
    page.fill("#length", "77")
    start(page, "With options.")
    status(page, "completed")
    body = upstream.received[0].body
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("some-model", 1.5, 77)


def test_what_cannot_be_started_is_told_and_nothing_is_lost(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    page = open_page(service.url)
    page.click("#submit")
    expect(page.locator("#start-error")).to_have_text("Write a prompt first.")
    page.fill("#prompt", "Kept.")
    page.click(".options summary")
    page.fill("#temperature", "3")
    page.click("#submit")
    expect(page.locator("#start-error")).to_contain_text("Temperature is from 0 to 2")
    page.fill("#temperature", "1")
    page.route("**/api/tasks/start", lambda route: route.abort())
    page.click("#submit")
    expect(page.locator("#start-error")).to_contain_text("cannot be reached")
    expect(page.locator("#prompt")).to_have_value("Kept.")
    page.reload()
    expect(page.locator("#prompt")).to_have_value("Kept.")
    page.unroute("**/api/tasks/start")
    page.evaluate("document.getElementById('prompt').value = 'x'.repeat(100_001)")
    page.click("#submit")
    expect(page.locator("#start-error")).to_contain_text("must be at most 100000 characters")
    assert not upstream.received


def test_a_reload_and_another_device_have_all_of_it_and_go_on(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    gate = Gate()
    upstream.then(Script([piece("One "), piece("two "), gate, piece("three."), finish(), DONE]))
    page = open_page(service.url)
    start(page, "Count.")
    expect(page.locator("#answer")).to_have_text("One two")
    page.reload()
    expect(page.locator("#answer")).to_have_text("One two")
    other = open_page(page.url)
    expect(other.locator("#answer")).to_have_text("One two")
    expect(other.locator("#task-prompt")).to_have_text("Count.")
    gate.open()
    for each in (page, other):
        status(each, "completed")
        assert text(each) == "One two three."
    # Without a link the page takes up what was left unfinished, and nothing else.
    page.goto(service.url)
    expect(page.locator("#task")).to_be_hidden()


def test_an_unfinished_task_is_taken_up_again(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    gate = Gate()
    upstream.then(Script([piece("Half"), gate, piece(" whole"), finish(), DONE]))
    page = open_page(service.url)
    task_id = start(page, "Later.")
    expect(page.locator("#answer")).to_have_text("Half")
    page.goto("about:blank")
    page.goto(service.url)
    expect(page.locator("#task-id")).to_have_text(task_id)
    gate.open()
    status(page, "completed")
    assert text(page) == "Half whole"


def test_connections_that_are_cut_again_and_again(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    words = [f"w{number} " for number in range(60)]
    gates = [Gate() for _ in range(3)]
    steps: list[bytes | float | Gate] = []
    for number, word in enumerate(words):
        if number and number % 20 == 0:
            steps.append(gates[number // 20 - 1])
        steps.append(piece(word))
    upstream.then(Script([*steps, gates[2], finish(), DONE]))
    port = int(service.url.rpartition(":")[2])
    with TcpProxy(port).running() as proxy:
        page = open_page(proxy.url)
        start(page, "Words.")
        for number, gate in enumerate(gates):
            expect(page.locator("#raw")).to_have_text("".join(words[: 20 * (number + 1)]))
            proxy.refusing = True
            proxy.cut()
            expect(page.locator("#connection")).to_have_text("Connection lost. Connecting again…")
            gate.open()
            proxy.refusing = False
            if number < 2:
                expect(page.locator("#connection")).to_be_hidden()
        status(page, "completed")
        assert text(page) == "".join(words)


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
    expect(page.locator("#notice")).to_contain_text("Attempt 1 was lost (connection_lost)")
    expect(page.locator("#answer")).to_have_class("answer lost")
    expect(page.locator("#answer")).to_have_text("Lost words")
    gate.open()
    status(page, "completed")
    expect(page.locator("#answer")).to_have_text("Found words")
    expect(page.locator("#answer")).to_have_class("answer")
    expect(page.locator("#notice")).to_be_hidden()
    expect(page.locator("#attempt")).to_have_text("attempt 2")


def test_the_service_is_killed_and_started_again(
    tmp_path: Path, redis_url: str, upstream: Upstream, open_page: OpenPage
) -> None:
    gate = Gate()
    upstream.then(
        Script([piece("Before "), gate, piece("never"), finish(), DONE]),
        Script(answer("After ", "the crash.")),
    )
    settings = {
        "REDIS_URL": redis_url,
        "OPENAI_BASE_URL": upstream.url,
        "LONGTASK_LEASE": "1",
        "LONGTASK_LOG_FORMAT": "json",
    }
    words = ("serve", "--port", str(free_port()))
    with process_of(tmp_path, *words, **settings) as (process, log):
        url = found_in(log)
        page = open_page(url)
        task_id = start(page, "Survive.")
        expect(page.locator("#answer")).to_have_text("Before")
        process.kill()
        process.wait(within(10))
        expect(page.locator("#connection")).to_have_text("Connection lost. Connecting again…")
    with process_of(tmp_path, *words, **settings) as (process, log):
        found_in(log)
        expect(page.locator("#connection")).to_be_hidden()
        expect(page.locator("#answer")).to_have_text("Before")
        # The embedded queue died with its process: whoever still has the delivery makes it again.
        page.evaluate(
            "([id, prompt]) => fetch(`/api/qstash/webhook?taskId=${id}&prompt=${prompt}`)",
            [task_id, "Survive."],
        )
        status(page, "completed")
        assert text(page) == "After the crash."
        expect(page.locator("#attempt")).to_have_text("attempt 2")


HIDE = """(hidden) => {
    Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
    document.dispatchEvent(new Event("visibilitychange"));
}"""


def test_a_page_that_is_hidden_for_long_lets_its_connection_go(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    """A browser opens six to a host: six forgotten tabs would block everything else."""
    gate = Gate()
    upstream.then(Script([piece("One"), gate, piece(" two"), finish(), DONE]))
    page = open_page(service.url)
    page.clock.install()
    page.reload()
    start(page, "Hide.")
    expect(page.locator("#answer")).to_have_text("One")

    def open_streams(number: int) -> bool:
        metrics = service.client.http.get("/metrics").text
        return f"longtask_open_streams {number}.0" in metrics

    assert open_streams(1)
    page.evaluate(HIDE, True)
    page.clock.run_for(70_000)
    eventually(lambda: open_streams(0))
    gate.open()
    page.evaluate(HIDE, False)
    page.clock.run_for(3_000)
    status(page, "completed")
    assert text(page) == "One two"


def test_a_laptop_that_slept_opens_a_connection_of_its_own_accord(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    """Since the old one may be dead without a word."""
    gate = Gate()
    upstream.then(Script([piece("One"), gate, piece(" two"), finish(), DONE]))
    with TcpProxy(int(service.url.rpartition(":")[2])).running() as proxy:
        page = open_page(proxy.url)
        page.clock.install()
        page.reload()
        task_id = start(page, "Sleep.")
        expect(page.locator("#answer")).to_have_text("One")
        with page.expect_request("**/api/tasks/stream?**") as asked:
            page.clock.fast_forward(3_600_000)
            page.clock.run_for(2_000)
        last = service.client.events(task_id, until=lambda seen: seen.text == "One").logged[-1]
        assert asked.value.url.endswith(f"lastEventId={last.id}")
        gate.open()
        status(page, "completed")
        assert text(page) == "One two"


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
        ("did not accept the API key", "Check OPENAI_API_KEY"),
        ("quota of the API key is used up", "Check the plan and the billing"),
    ):
        start(page, "Fail.")
        status(page, "failed")
        expect(page.locator("#failure-what")).to_contain_text(said)
        expect(page.locator("#failure-do")).to_contain_text(advice)
    page.goto(f"{service.url}/#task_1_nobody")
    expect(page.locator("#notice")).to_contain_text("does not know the task")
    assert "[object" not in str(page.locator("body").text_content())


def test_listening_stops_and_goes_on(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    gate = Gate()
    upstream.then(Script([piece("One"), gate, piece(" two"), finish(), DONE]))
    page = open_page(service.url)
    task_id = start(page, "Listen.")
    expect(page.locator("#answer")).to_have_text("One")
    page.click("#listen")
    expect(page.locator("#connection")).to_contain_text("Not listening")
    eventually(lambda: "longtask_open_streams 0.0" in service.client.http.get("/metrics").text)
    gate.open()
    service.client.wait_for(task_id, "completed")
    assert text(page) == "One"
    page.click("#listen")
    status(page, "completed")
    assert text(page) == "One two"


def test_several_tasks_and_two_tabs(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    gates = [Gate() for _ in range(3)]
    for number, gate in enumerate(gates):
        upstream.then(Script([piece(f"Text {number}"), gate, finish(), DONE]))
    page = open_page(service.url)
    ids = []
    for number in range(3):
        ids.append(start(page, f"Prompt {number}"))
        expect(page.locator("#answer")).to_have_text(f"Text {number}")
    other = open_page(f"{service.url}/#{ids[0]}", page.context)
    for each in (page, other):
        expect(each.locator("#list li")).to_have_count(3)
    badges = page.locator("#list .badge")
    expect(badges).to_have_text(["running"] * 3)
    # Newest first. One that is not open ends, one is cancelled from the list, one is opened.
    gates[0].open()
    expect(badges).to_have_text(["running", "running", "done"])
    expect(other.locator("#status")).to_have_attribute("data-status", "completed")
    page.click(row(page, ids[1], "cancel"))
    expect(badges).to_have_text(["running", "cancelled", "done"])
    expect(other.locator("#list .badge")).to_have_text(["running", "cancelled", "done"])
    page.click(row(page, ids[1], "open"))
    status(page, "cancelled")
    expect(page.locator("#answer")).to_have_text("Text 1")
    page.click(row(page, ids[0], "retry"))
    expect(page.locator("#list li")).to_have_count(4)
    status(page, "completed")
    page.click(row(page, ids[1], "remove"))
    expect(page.locator("#list li")).to_have_count(3)
    expect(other.locator("#list li")).to_have_count(3)
    gates[2].open()
    expect(page.locator("#list .badge")).to_have_text(["done"] * 3)


def test_the_log_can_be_watched(service: Running, open_page: OpenPage) -> None:
    page = open_page(service.url)
    page.click("#inside summary")
    task_id = start(page, "Watch.")
    status(page, "completed")
    logged = service.client.events(task_id).logged
    expect(page.locator("#events tr")).to_have_count(len(logged) + 1)
    rows = page.locator("#events tr").all()
    assert [each.locator("td").nth(0).text_content() for each in reversed(rows)] == [
        "",
        *(event.id for event in logged),
    ]
    for each in rows:
        assert re.fullmatch(r"-?\d+", str(each.locator("td").nth(3).text_content()))


def test_reading_is_not_disturbed_and_the_end_is_followed(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    gates = [Gate(), Gate()]
    lines = [piece(f"Line {number}.\n\n") for number in range(120)]
    upstream.then(
        Script([*lines[:60], gates[0], *lines[60:90], gates[1], *lines[90:], finish(), DONE])
    )
    page = open_page(service.url)
    start(page, "Scroll.")
    expect(page.locator("#answer")).to_contain_text("Line 59.")
    page.evaluate("scrollTo(0, 300)")
    gates[0].open()
    expect(page.locator("#answer")).to_contain_text("Line 89.")
    assert page.evaluate("scrollY") == 300
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")
    gates[1].open()
    status(page, "completed")
    eventually(
        lambda: page.evaluate("scrollY + innerHeight >= document.documentElement.scrollHeight - 2")
    )


def test_both_languages(open_page: OpenPage) -> None:
    with running_service(settings_for()) as service:
        page = open_page(service.url, locale="zh-CN")
        expect(page.locator("#submit")).to_have_text("启动")
        assert page.evaluate("document.documentElement.lang") == "zh-CN"
        start(page, "你好")
        status(page, "completed")
        expect(page.locator("#status")).to_have_text("已完成")
        page.click("#language")
        expect(page.locator("#submit")).to_have_text("Start")
        expect(page.locator("#status")).to_have_text("done")
        expect(page.locator("#answer figure button")).to_have_text("Copy")
        page.reload()
        expect(page.locator("#submit")).to_have_text("Start")


def test_every_sentence_is_there_in_both_languages(service: Running, open_page: OpenPage) -> None:
    page = open_page(service.url)
    texts = Path("src/entrypoints/web/texts.js").read_text()
    english, chinese = texts.split("  zh: {")
    names = [re.findall(r"^    (\w+): \"", part, re.M) for part in (english, chinese)]
    assert names[0] == names[1]
    sources = "".join(
        file.read_text() for file in Path("src/entrypoints/web").iterdir() if file.suffix != ".svg"
    )
    used = set(re.findall(r"\btext\(\"(\w+)\"", sources))
    used |= set(re.findall(r"data-(?:text|label|placeholder)=\"(\w+)\"", sources))
    assert used <= set(names[0])
    expect(page.locator("#start-error")).to_be_hidden()
