"""The page with answers that are more than a text, and requests that are more than a prompt."""

import base64
import json
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import FilePayload, Page, Route, expect

from tests.browser.native_stream import Stream
from tests.browser.page import OpenPage, choose, reply, start, status, text
from tests.doubles.native import (
    TASK,
    Event,
    content,
    end,
    reasoning,
    status_of,
    tool_call,
)
from tests.doubles.upstream import Script, Upstream, answer, call, finish
from tests.running import Running, running_service, settings_for
from tests.waiting import eventually

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
IMAGE = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
ARGUMENTS = '{"id":12345678901234567890,"to":[],"days":[1,2]}'
CALLS = [
    {"index": 0, "id": "call_0", "name": "get_weather", "arguments": ARGUMENTS},
    {"index": 1, "id": "call_1", "name": "<b>x</b>", "arguments": "{not JSON"},
]
INDENTED = """{
  "id": 12345678901234567890,
  "to": [],
  "days": [
    1,
    2
  ]
}"""


def cite(url: str, title: str) -> Event:
    return {"type": "url_citation", "url_citation": {"url": url, "title": title}}


CITED = [
    cite("https://example.org/page", "A page"),
    cite("https://example.org/page", "A page"),
    cite("javascript:alert(1)", "<img src=x onerror=alert(1)>"),
    {"type": "file_citation", "file_id": "file-7", "filename": "paper.pdf"},
]
PARTS = [
    {"type": "text", "text": "What is this?"},
    {"type": "image_url", "image_url": {"url": IMAGE}},
    {"type": "image_url", "image_url": {"url": "https://example.org/photo.jpg"}},
    {"type": "image_url", "image_url": {"url": "data:image/svg+xml;base64,PHN2Zy8+"}},
    {"type": "file", "file": {"filename": "paper.pdf", "file_data": IMAGE}},
    {"type": "text", "text": '<file name="a &quot;b&quot;.md">\n# Hi\n</file>'},
    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
]
REQUEST = {
    "messages": [{"role": "user", "content": PARTS}],
    "system": "Be short.",
    "previousTaskId": "task_1_before",
    "history": [
        {"role": "user", "content": "Hello."},
        {"role": "assistant", "content": None, "tool_calls": [{"function": {"name": "f"}}]},
    ],
}


@pytest.mark.soak
def test_everything_that_a_model_says_is_shown_as_it_comes(open_page: OpenPage) -> None:
    with running_service(settings_for()) as service:
        page = open_page(service.url)
        stream = Stream(page, REQUEST)
        stream.then(status_of("pending", 0), status_of("running", 1), reasoning("**Let me** think"))
        page.evaluate("(id) => { location.hash = id; }", TASK)
        title, thought = page.locator("#reasoning-title"), page.locator("#reasoning-text")
        expect(title).to_contain_text("Reasoning…")
        expect(page.locator("#waiting")).to_be_hidden()
        expect(thought).to_be_empty()  # folded, it costs nothing
        title.click()
        expect(thought.locator("strong")).to_have_text("Let me")
        stream.then(reasoning(" harder."), tool_call(0, ARGUMENTS[:9], id="c", name="get_weather"))
        box = page.locator(".call .box")
        expect(box).to_have_text(ARGUMENTS[:9])
        expect(thought).to_have_text("Let me think harder.")
        expect(title).to_have_text("Reasoned for 2 s")
        stream.then(status_of("pending", 1, reason="shutting_down"))
        expect(page.locator("#notice")).to_contain_text("The next one goes on with the answer, or")
        expect(page.locator("#calls")).to_have_class("calls")  # nothing is taken back
        stream.then(status_of("running", 2, resumed=True))
        expect(page.locator("#notice")).to_be_hidden()
        expect(page.locator("#attempt")).to_have_text("attempt 2")
        stream.then(
            tool_call(0, ARGUMENTS[9:]),
            tool_call(1, "{not JSON", id="call_1", name="<b>x</b>"),
            content("Yes. "),
            content("No more.", refusal=True, annotations=CITED),
            status_of("completed", 2),
        )
        expect(page.locator("#answer")).to_have_text("Yes. No more.")
        expect(page.locator(".call code")).to_have_text(["get_weather", "<b>x</b>"])
        stream.then(
            end(
                "Yes. No more.",
                reasoning="**Let me** think harder.",
                toolCalls=CALLS,
                refusal="No more.",
                annotations=CITED,
                valid=False,
            )
        )
        expect(box.first).to_have_text(INDENTED)
        assert box.all_text_contents() == [INDENTED, "{not JSON"]
        expect(page.locator("#refusal")).to_have_text("The model refused a part of the answer.")
        expect(page.locator("#valid")).to_have_text("The answer does not fit its schema.")
        expect(page.locator("#ended")).to_contain_text("The model calls tools.")
        expect(page.locator("#source-list li")).to_have_text(
            ["A page example.org", "<img src=x onerror=alert(1)>", "paper.pdf"]
        )
        (link,) = page.locator("#sources a").all()
        assert link.get_attribute("href") == "https://example.org/page"
        assert "noopener" in str(link.get_attribute("rel"))
        _shows_what_was_sent(page)
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert Axe().run(page).response["violations"] == []
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        page.set_viewport_size({"width": 1280, "height": 900})
        page.click("#language")
        expect(title).to_have_text("推理了 2 秒")
        expect(page.locator("#before-title")).to_contain_text("3 条消息")
        _goes_on_with_results(page)


def _shows_what_was_sent(page: Page) -> None:
    expect(page.locator("#task-prompt")).to_have_text("What is this?")
    (image,) = page.locator("#sent img").all()
    assert image.evaluate("(image) => image.decode().then(() => image.naturalWidth)") == 1
    expect(page.locator("#sent a")).to_have_attribute("href", "https://example.org/photo.jpg")
    assert page.locator("#sent .file").all_text_contents() == [
        "https://example.org/photo.jpg",
        "image (6 B)",
        f"paper.pdf ({len(PNG)} B)",
        'a "b".md (4 B)',
        "audio (3 B)",
    ]
    page.click("#before-title")
    rows = page.locator("#before-list li").all_text_contents()
    assert rows == ["system: Be short.", "user: Hello.", "assistant: f(undefined)"]
    expect(page.locator("#previous")).to_have_attribute("href", "#task_1_before")


def _goes_on_with_results(page: Page) -> None:
    sent: list[dict[str, Any]] = []

    def start(route: Route) -> None:
        sent.append(json.loads(route.request.post_data or ""))
        route.fulfill(status=400, json={"error": "previousTaskId: no."})

    page.route("**/api/tasks/start", start)
    page.fill("#result-0", "Sunny.")
    page.fill("#result-1", "None.")
    page.click("#submit")
    expect(page.locator("#start-error")).to_contain_text("previousTaskId: no.")
    assert sent == [
        {
            "messages": [
                {"role": "tool", "tool_call_id": "call_0", "content": "Sunny."},
                {"role": "tool", "tool_call_id": "call_1", "content": "None."},
            ],
            "previousTaskId": TASK,
        }
    ]
    page.click("#stop-going-on")
    expect(page.locator("#going-on")).to_be_hidden()
    expect(page.locator("#results")).to_be_empty()


@pytest.mark.soak
def test_everything_that_the_form_has_reaches_the_model(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    upstream.then(Script(answer('{\n  "a": "*x*"\n}')), Script(answer("And on.")))
    page = open_page(service.url)
    files: list[FilePayload] = [
        {"name": "photo.png", "mimeType": "image/png", "buffer": PNG},
        {"name": 'a "b".md', "mimeType": "text/markdown", "buffer": b"\xef\xbb\xbf# Hi"},
        {"name": "paper.pdf", "mimeType": "application/pdf", "buffer": b"%PDF-1.7"},
        {"name": "voice.WAV", "mimeType": "audio/wav", "buffer": b"RIFF"},
        {"name": "unwanted.bin", "mimeType": "", "buffer": b"\xff\0"},
    ]
    page.set_input_files("#files", files)
    expect(page.locator("#attached li")).to_have_count(len(files))
    page.locator("#attached button").last.click()
    expect(page.locator("#attach")).to_be_focused()
    page.click("#options-toggle")
    page.fill("#system", "Be short.")
    options = {"response_format": {"type": "json_object"}, "seed": 7}
    page.fill("#json", json.dumps(options))
    start(page, "Look.")
    status(page, "completed")
    expect(page.locator("#answer figure code")).to_have_text('{\n  "a": "*x*"\n}')
    assert text(page) == '{\n  "a": "*x*"\n}'
    expect(page.locator("#sent .file")).to_have_count(3)
    expect(page.locator("#attached")).to_be_hidden()
    body = upstream.received[0].body
    system, user = body["messages"]
    assert system == {"role": "system", "content": "Be short."}
    assert {name: body[name] for name in options} == options
    encoded = {name: base64.b64encode(each).decode() for name, each in (("pdf", b"%PDF-1.7"),)}
    assert user["content"] == [
        {"type": "image_url", "image_url": {"url": IMAGE}},
        {"type": "text", "text": '<file name="a &quot;b&quot;.md">\n# Hi\n</file>'},
        {
            "type": "file",
            "file": {
                "filename": "paper.pdf",
                "file_data": f"data:application/pdf;base64,{encoded['pdf']}",
            },
        },
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        {"type": "text", "text": "Look."},
    ]
    expect(page.locator("#going-on-from")).to_have_text("Look.")
    reply(page, "Go on.")
    status(page, "completed")
    expect(page.locator("#before-title")).to_have_text("3 earlier messages")
    messages = upstream.received[1].body["messages"]
    assert [each["role"] for each in messages] == ["system", "user", "assistant", "user"]
    assert messages[1] == user
    # As the task before: with the conversation, which the service resolves.
    choose(page, "runAgain")
    eventually(lambda: len(upstream.received) == 3)
    assert upstream.received[2].body["messages"] == messages


@pytest.mark.soak
def test_a_tool_may_return_nothing(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    upstream.then(Script([call(0, "{}", call_id="c", name="f"), finish("tool_calls")]))
    page = open_page(service.url)
    start(page, "Call it.")
    status(page, "completed")
    page.click("#submit")
    eventually(lambda: len(upstream.received) == 2)
    *_, result = upstream.received[1].body["messages"]
    assert result == {"role": "tool", "tool_call_id": "c", "content": ""}


@pytest.mark.soak
def test_a_request_with_images_is_not_kept_in_the_browser(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    page = open_page(service.url)
    large = PNG + bytes(600_000)
    for number in range(2):
        file: FilePayload = {"name": "photo.png", "mimeType": "image/png", "buffer": large}
        page.set_input_files("#files", [file])
        expect(page.locator("#attached img")).to_be_visible()
        start(page, f"Look {number}.")
        status(page, "completed")
    assert page.evaluate("localStorage.getItem('longtask.tasks').length") < 5_000
    page.reload()
    for number in range(2):  # behind them are the tasks of other tests
        expect(page.locator("#list .open").nth(number)).to_have_text(f"Look {1 - number}.")
    expect(page.locator("#sent img")).to_be_visible()  # the service has it
    choose(page, "runAgain")
    eventually(lambda: len(upstream.received) == 3)
    first, last = upstream.received[1], upstream.received[2]
    assert last.body["messages"] == first.body["messages"]
