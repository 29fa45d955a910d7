"""Who reads at the end stays there while the answer grows, and who has left is never pulled back."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.page import OpenPage, start, status
from tests.doubles.upstream import DONE, Gate, Script, Upstream, finish, piece
from tests.running import Running
from tests.waiting import eventually

pytestmark = pytest.mark.soak

AT_END = "scrollY + innerHeight >= document.documentElement.scrollHeight - 2"


def lines(first: int, last: int) -> list[bytes]:
    return [piece(f"Line {number}.\n\n") for number in range(first, last)]


def up(page: Page, way: str) -> None:
    """One step upwards, as small as a hand makes it."""
    if way == "wheel":
        page.mouse.move(700, 400)
        page.mouse.wheel(0, -60)
    elif way == "touch":
        page.evaluate(
            """() => {
                const target = document.getElementById("answer");
                const touch = new Touch({ identifier: 1, target });
                target.dispatchEvent(new TouchEvent("touchmove", { touches: [touch], bubbles: true }));
                scrollBy(0, -60);
            }"""
        )
    elif way == "key":
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("ArrowUp")
    else:
        page.evaluate("scrollBy(0, -60)")  # the scroll bar


@pytest.mark.parametrize("way", ["wheel", "key", "touch", "bar"])
def test_the_first_step_upwards_lets_go_and_the_end_is_followed_again_when_reached(
    service: Running, upstream: Upstream, open_page: OpenPage, way: str
) -> None:
    gates = [Gate() for _ in range(3)]
    upstream.then(
        Script(
            [
                *lines(0, 60),
                gates[0],
                *lines(60, 90),
                gates[1],
                *lines(90, 120),
                gates[2],
                *lines(120, 150),
                *(finish(), DONE),
            ]
        )
    )
    page = open_page(service.url)
    start(page, "Scroll.")
    expect(page.locator("#answer")).to_contain_text("Line 59.")
    eventually(lambda: page.evaluate(f"scrollY > 0 && {AT_END}"))
    expect(page.locator("#latest")).to_be_hidden()
    gates[0].open()
    expect(page.locator("#answer")).to_contain_text("Line 89.")
    eventually(lambda: page.evaluate(AT_END))
    before = page.evaluate("scrollY")
    up(page, way)
    eventually(lambda: page.evaluate("scrollY") < before)
    gates[1].open()
    expect(page.locator("#answer")).to_contain_text("Line 119.")
    assert page.evaluate("scrollY") < before, "the reader was pulled back"
    page.click("#latest")
    eventually(lambda: page.evaluate(AT_END))
    expect(page.locator("#latest")).to_be_hidden()
    gates[2].open()
    status(page, "completed")
    expect(page.locator("#answer")).to_contain_text("Line 149.")
    eventually(lambda: page.evaluate(AT_END))


# Clicks in the first of the frames that scrolling upwards takes.
CLICK_MEANWHILE = """() => {
    const before = scrollY;
    addEventListener("scroll", () => {
        if (window.clicked || scrollY >= before) return;
        document.getElementById("latest").click();
        window.clicked = true;
    });
}"""


@pytest.mark.parametrize("key", ["ArrowUp", "Home"])
def test_the_button_ends_a_scrolling_that_a_key_has_begun(
    service: Running, upstream: Upstream, open_page: OpenPage, key: str
) -> None:
    gate = Gate()
    upstream.then(Script([*lines(0, 90), gate, *lines(90, 120), finish(), DONE]))
    page = open_page(service.url)
    start(page, "Scroll.")
    expect(page.locator("#answer")).to_contain_text("Line 89.")
    eventually(lambda: page.evaluate(f"scrollY > 0 && {AT_END}"))
    page.evaluate("document.activeElement.blur()")
    page.evaluate(CLICK_MEANWHILE)
    page.keyboard.press(key)
    eventually(lambda: page.evaluate("window.clicked"))  # a function in text is refused by the CSP
    gate.open()
    status(page, "completed")
    expect(page.locator("#answer")).to_contain_text("Line 119.")
    eventually(lambda: page.evaluate(AT_END))


def test_an_answer_that_has_ended_is_read_from_its_beginning(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    upstream.then(Script([*lines(0, 150), finish(), DONE]))
    task = service.client.start("Long.")
    service.client.wait_for(task, "completed")
    page = open_page(f"{service.url}/#{task}")
    expect(page.locator("#answer")).to_contain_text("Line 149.")
    status(page, "completed")
    assert page.evaluate("scrollY") == 0
    expect(page.locator("#latest")).to_be_hidden()
    top = page.locator("#answer").bounding_box()
    assert top is not None
    assert top["y"] < 900 / 4, "the answer begins in the top quarter"
