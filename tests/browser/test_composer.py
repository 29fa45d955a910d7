"""The composer, the list at the side, and the drawer that it is on a phone."""

import pytest
from playwright.sync_api import expect

from tests.browser.page import OpenPage, choose, reply, row, start, status
from tests.doubles.upstream import DONE, Gate, Script, Upstream, answer, finish, piece
from tests.running import Running, running_service, settings_for
from tests.waiting import eventually


@pytest.mark.soak
def test_a_reply_goes_on_from_the_task_that_is_open_unless_that_is_not_wanted(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    gate = Gate()
    upstream.then(Script([piece("One"), gate, finish(), DONE]), Script(answer("Two")))
    page = open_page(service.url)
    expect(page.locator("#welcome")).to_be_visible()
    start(page, "First.")
    expect(page.locator("#welcome")).to_be_hidden()
    expect(page.locator("#prompt")).to_have_attribute("placeholder", "Start another task…")
    gate.open()
    expect(page.locator("#going-on-from")).to_have_text("First.")
    expect(page.locator("#submit")).to_have_text("Send")
    page.click("#stop-going-on")
    expect(page.locator("#submit")).to_have_text("Start")
    expect(page.locator("#going-on")).to_be_hidden()
    expect(page.locator("#not-going-on .chip")).to_have_text("New task")
    page.click("#go-on-after-all")
    reply(page, "Second.")
    status(page, "completed")
    expect(page.locator("#before-title")).to_have_text("2 earlier messages")
    said = [each["content"] for each in upstream.received[1].body["messages"]]
    assert said == ["First.", "One", "Second."]
    # Safari's Enter that ends a composition of an input method.
    page.evaluate(
        """document.getElementById("prompt").dispatchEvent(
            new KeyboardEvent("keydown", { key: "Enter", keyCode: 229, bubbles: true }))"""
    )
    page.keyboard.type("Line")
    page.keyboard.press("Shift+Enter")
    expect(page.locator("#prompt")).to_have_value("Line\n")
    page.click("#new")
    expect(page.locator("#welcome")).to_be_visible()
    expect(page.locator("#going-on")).to_be_hidden()
    expect(page.locator("#prompt")).to_be_focused()
    expect(page.locator("#prompt")).to_have_value("Line\n")


@pytest.mark.soak
def test_an_answer_that_was_cut_by_its_length_is_continued(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    upstream.then(Script(answer("Half", reason="length")), Script(answer("whole")))
    page = open_page(service.url)
    start(page, "Much.")
    status(page, "completed")
    page.click("#go-on")
    expect(page.locator("#answer")).to_have_text("whole")
    said = [each["content"] for each in upstream.received[1].body["messages"]]
    assert said == ["Much.", "Half", "Continue exactly where you stopped."]
    expect(page.locator("#before-list .answer")).to_have_text("Half")
    expect(page.locator("#before-list .answer")).to_be_visible()


@pytest.mark.soak
def test_examples_run(service: Running, upstream: Upstream, open_page: OpenPage) -> None:
    page = open_page(f"{service.url}/#start")
    page.locator("#examples button").first.click()
    status(page, "completed")
    (request,) = upstream.received
    assert "reasoning_effort" not in request.body  # which many a model's server refuses
    expect(page.locator("#task-prompt")).to_contain_text("CAP theorem")


@pytest.mark.soak
def test_a_task_is_found_and_hidden_and_goes_on(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    gate = Gate()
    upstream.then(Script([piece("One"), gate, finish(), DONE]))
    page = open_page(service.url)
    hidden = start(page, "Hide the needle.")
    status(page, "running")
    page.fill("#search", "NEEDLE")
    expect(page.locator("#list .open")).to_have_text(["Hide the needle."])
    # Only the service's list names the model, and only there a task can be hidden.
    expect(page.locator("#list .model")).to_be_visible()
    choose(page, "hide", hidden)
    expect(page.locator("#toast")).to_have_text("Hidden in this browser. The task goes on.")
    expect(page.locator(row(hidden, "open"))).to_have_count(0)
    page.reload()
    expect(page.locator("#list-hidden")).to_have_text("Show hidden tasks (1)")
    expect(page.locator(row(hidden, "open"))).to_have_count(0)
    gate.open()
    status(page, "completed")
    page.click("#list-hidden")
    expect(page.locator("#list .here .model")).to_be_visible()
    choose(page, "unhide", hidden)
    expect(page.locator(row(hidden, "open"))).to_be_visible()
    expect(page.locator("#list-hidden")).to_be_hidden()


@pytest.mark.soak
def test_on_a_phone_the_list_is_a_drawer(service: Running, open_page: OpenPage) -> None:
    task = service.client.start("Found in the drawer.")
    service.client.wait_for(task, "completed")
    page = open_page(
        service.url, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True
    )
    side = page.locator("#side")
    expect(side).to_be_hidden()
    page.click("#side-open")
    expect(page.locator("#side-close")).to_be_focused()
    page.keyboard.press("Escape")
    expect(side).to_be_hidden()
    expect(page.locator("#side-open")).to_be_focused()
    page.click("#side-open")
    page.click(row(task, "open"))
    status(page, "completed")
    expect(side).to_be_hidden()
    small = page.evaluate(
        "[...document.querySelectorAll('button, a.quiet, a.new, input')]"
        ".filter((each) => each.checkVisibility() && !each.closest('#answer, .chip'))"
        ".map((each) => [each.id, each.getBoundingClientRect().height])"
        ".filter(([, height]) => height < 40)"
    )
    assert small == []
    for fact in ("#elapsed", "#tokens"):
        expect(page.locator(fact)).to_be_visible()
    dock = page.locator("#start").bounding_box()
    assert dock is not None
    eventually(lambda: page.evaluate("document.documentElement.scrollWidth") == 390)
    assert dock["y"] + dock["height"] <= 844
    assert dock["height"] < 70  # one line, until one writes
    page.locator("#prompt").focus()
    expect(page.locator("#going-on")).to_be_visible()
    expect(page.locator("#options-toggle")).to_be_visible()
    choose(page, "run")  # a sheet over the text
    sheet = page.locator("#run").bounding_box()
    assert sheet is not None
    assert sheet["y"] >= 844 / 4
    assert sheet["y"] + sheet["height"] == pytest.approx(844)


@pytest.mark.soak
def test_the_demo_model_says_that_it_is_one_and_options_are_remembered(open_page: OpenPage) -> None:
    with running_service(settings_for()) as demo:
        page = open_page(demo.url)
        expect(page.locator("#demo")).to_contain_text("OPENAI_API_KEY")
        expect(page.locator("#model-name")).to_have_text("demo model")
        page.locator("#examples button").first.click()
        status(page, "completed")
        expect(page.locator("#reasoning")).to_be_visible()
        expect(page.locator("#list .model")).to_have_text("demo model")
        page.click("#options-toggle")
        page.fill("#model", "some-model")
        page.fill("#system", "Be short.")
        expect(page.locator("#model-name")).to_have_text("some-model +1")
        page.reload()
        expect(page.locator("#options")).to_be_hidden()
        expect(page.locator("#model-name")).to_have_text("some-model +1")
        expect(page.locator("#models option")).not_to_have_count(0)
