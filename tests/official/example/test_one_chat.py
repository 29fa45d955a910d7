"""The example in a browser: one page that asks, and is loaded again."""

import base64

import pytest
from playwright.sync_api import expect

from tests.doubles.upstream import (
    DONE,
    USAGE,
    Gate,
    Script,
    Upstream,
    answer,
    finish,
    piece,
    reasoning,
    refusal,
)
from tests.official.example.chat_page import OpenChat
from tests.waiting import within

pytestmark = pytest.mark.soak

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJg"
    "gg=="
)


def test_text_and_reasoning_are_shown_as_they_come(open_chat: OpenChat, upstream: Upstream) -> None:
    thought, said = Gate(), Gate()
    upstream.then(
        Script([reasoning("Let me see."), thought, piece("Hello"), said, *answer(", world.")])
    )
    chat = open_chat()
    chat.say("Hi.")
    expect(chat.page.locator(".reasoning .text")).to_have_text("Let me see.")
    chat.shows()
    thought.open()
    chat.shows("Hello")
    said.open()
    chat.shows("Hello, world.")
    chat.ended()
    assert upstream.received[0].body["messages"] == [{"role": "user", "content": "Hi."}]


def test_a_page_that_is_loaded_in_mid_answer_goes_on_with_it(
    open_chat: OpenChat, upstream: Upstream
) -> None:
    gate, later = Gate(), Gate()
    upstream.then(Script([piece("Hello"), gate, piece(", "), later, *answer("world.")]))
    chat = open_chat()
    chat.say("Hi.")
    chat.shows("Hello")
    chat.page.reload()
    chat.shows("Hello")
    gate.open()
    chat.shows("Hello,")
    chat.page.reload()
    chat.shows("Hello,")
    later.open()
    chat.shows("Hello, world.")
    chat.page.reload()
    chat.ended()
    chat.shows("Hello, world.")
    expect(chat.page.locator(".user")).to_have_text("Hi.")
    chat.say("Go on.")
    chat.shows("Hello, world.", "Hello, world.")
    assert [each["content"] for each in upstream.received[1].body["messages"]] == [
        "Hi.",
        "Hello, world.",
        "Go on.",
    ]
    assert len(upstream.received) == 2


def test_a_page_that_is_loaded_before_the_answer_begins_shows_it(
    open_chat: OpenChat, upstream: Upstream
) -> None:
    gate = Gate()
    upstream.then(Script([gate, *answer("Hello, world.")]))
    chat = open_chat()
    chat.say("Hi.")
    assert gate.reached.wait(within(20))
    chat.page.reload()
    expect(chat.page.get_by_role("button", name="Stop")).to_be_visible()
    gate.open()
    chat.shows("Hello, world.")
    expect(chat.page.locator(".user")).to_have_text("Hi.")


def test_stop_ends_the_answer_also_in_the_service(open_chat: OpenChat, upstream: Upstream) -> None:
    upstream.then(Script([piece("Hel"), Gate()]), Script(answer("Better.")))
    chat = open_chat()
    chat.say("Hi.")
    chat.shows("Hel")
    chat.click("Stop")
    chat.notes("Stopped.")
    assert upstream.received[0].gone.wait(within(20))
    chat.page.reload()
    chat.notes("Stopped.")
    chat.shows("Hel")
    chat.say("Go on.")
    chat.shows("Hel", "Better.")
    assert [each["content"] for each in upstream.received[1].body["messages"]] == [
        "Hi.",
        "Hel",
        "Go on.",
    ]


def test_an_answer_is_regenerated(open_chat: OpenChat, upstream: Upstream) -> None:
    upstream.then(*(Script(answer(text)) for text in ("One.", "Two.", "Three.")))
    chat = open_chat()
    chat.say("Hi.")
    for text in ("One.", "Two.", "Three."):
        chat.shows(text)
        chat.ended()
        if text != "Three.":
            chat.click("Regenerate")
    chat.page.reload()
    chat.ended()
    chat.shows("Three.")
    bodies = [each.body["messages"] for each in upstream.received]
    assert bodies == [[{"role": "user", "content": "Hi."}]] * 3


def test_an_error_is_shown_and_tried_again(open_chat: OpenChat, upstream: Upstream) -> None:
    upstream.then(refusal(401, "invalid_api_key"))
    chat = open_chat()
    chat.say("Hi.")
    expect(chat.page.locator(".error")).to_contain_text("API key")
    chat.page.reload()
    expect(chat.page.locator(".error")).to_contain_text("API key")
    chat.click("Try again")
    chat.shows("Hello, world.")
    expect(chat.page.locator(".error")).to_have_count(0)
    expect(chat.page.locator(".user")).to_have_text("Hi.")


def test_the_text_of_a_lost_attempt_disappears(open_chat: OpenChat, upstream: Upstream) -> None:
    lost, gate = Gate(), Gate()
    upstream.then(
        Script([reasoning("Hm."), piece("Lost"), lost], cut=True),
        Script([gate, piece("Found"), finish(), USAGE, DONE]),
    )
    chat = open_chat()
    chat.say("Hi.")
    chat.shows("Lost")
    lost.open()
    chat.shows()
    expect(chat.page.locator(".reasoning")).to_have_count(0)
    gate.open()
    chat.shows("Found")
    chat.ended()
    chat.page.reload()
    chat.ended()
    chat.shows("Found")


def test_an_image_is_sent_and_shown(open_chat: OpenChat, upstream: Upstream) -> None:
    chat = open_chat()
    image = {"name": "pixel.png", "mimeType": "image/png", "buffer": base64.b64decode(PIXEL)}
    chat.page.get_by_label("Attach files").set_input_files(image)  # type: ignore[arg-type]
    chat.say("What is this?")
    chat.shows("Hello, world.")
    chat.page.reload()
    expect(chat.page.get_by_alt_text("pixel.png")).to_have_js_property("naturalWidth", 1)
    (message,) = upstream.received[0].body["messages"]
    assert {"type": "text", "text": "What is this?"} in message["content"]
    (url,) = (each["image_url"]["url"] for each in message["content"] if "image_url" in each)
    assert url == f"data:image/png;base64,{PIXEL}"


def test_a_new_chat_is_empty(open_chat: OpenChat, upstream: Upstream) -> None:
    chat = open_chat()
    first = chat.page.url
    chat.say("Hi.")
    chat.shows("Hello, world.")
    chat.page.get_by_role("link", name="New chat").click()
    chat.page.wait_for_url(lambda url: url != first)
    chat.shows()
    chat.say("Who am I?")
    chat.shows("Hello, world.")
    assert len(upstream.received[1].body["messages"]) == 1
    chat.page.goto(first)
    expect(chat.page.locator(".user")).to_have_text("Hi.")
