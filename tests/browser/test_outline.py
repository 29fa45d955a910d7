"""The outline of a long answer."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.page import OpenPage, choose, start, status
from tests.browser.test_looks import violations
from tests.doubles.upstream import Gate, Script, Upstream, answer, finish, piece
from tests.running import Running

PARTS = [f"# Part {number}\n\n" + "Some text of it. " * 150 + "\n\n" for number in range(1, 7)]
IN_VIEW = """(text) => {
    const heading = [...document.querySelectorAll("#answer h3, #answer h4")]
        .find((each) => each.textContent === text);
    const { top } = heading.getBoundingClientRect();
    return top >= 0 && top < innerHeight / 2;
}"""


def _here(page: Page, name: str) -> None:
    expect(page.locator("#outline [aria-current=location]")).to_have_text(name)


@pytest.mark.soak
def test_it_leads_to_each_heading_and_says_where_the_reader_is(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    gate = Gate()
    upstream.then(
        Script([piece(PARTS[0] + PARTS[1]), gate, piece("".join(PARTS[2:])), finish()]),
        Script(answer("# One\n\ntext\n\n## Two")),
    )
    page = open_page(service.url)
    button = page.locator("#outline-toggle")
    start(page, "At length.")
    expect(page.locator("#answer h3, #answer h4")).to_have_count(2)
    gate.open()
    status(page, "completed")
    button.click()
    entries = page.locator("#outline li")
    expect(entries).to_have_count(6)
    assert violations(page) == []
    entries.nth(2).click()
    _here(page, "Part 3")
    assert page.evaluate(IN_VIEW, "Part 3")
    entries.nth(5).click()  # the end of the page is nearer than a screen
    _here(page, "Part 6")
    page.evaluate("document.querySelectorAll('#answer > :is(h3, h4)')[1].scrollIntoView()")
    _here(page, "Part 2")
    page.keyboard.press("Escape")
    expect(page.locator("#outline")).to_be_hidden()
    expect(button).to_be_focused()
    # By the keyboard, reading goes on at the heading.
    page.keyboard.press("Enter")
    expect(page.locator("#outline [aria-current]")).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#outline")).to_be_hidden()
    assert page.evaluate("document.activeElement.textContent") == "Part 3"
    assert page.evaluate(IN_VIEW, "Part 3")
    choose(page, "raw")
    expect(button).to_be_hidden()
    start(page, "Shorter.")
    status(page, "completed")
    expect(page.locator("#answer h3, #answer h4")).to_have_count(2)
    expect(button).to_be_hidden()


@pytest.mark.soak
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_it_is_a_sheet(
    service: Running, upstream: Upstream, open_page: OpenPage, scheme: str
) -> None:
    upstream.then(Script(answer("".join(PARTS))))
    page = open_page(
        service.url, viewport={"width": 390, "height": 844}, color_scheme=scheme, locale="zh-CN"
    )
    start(page, "At length.")
    status(page, "completed")
    page.get_by_role("button", name="标题").click()
    sheet = page.locator("#outline").bounding_box()
    assert sheet is not None
    assert (sheet["x"], sheet["width"]) == (0, 390)
    assert sheet["y"] + sheet["height"] == 844
    assert violations(page) == []
    assert page.evaluate(
        "[...document.querySelectorAll('#outline button')].every((each) => each.offsetHeight >= 40)"
    )
    page.locator("#outline button").nth(3).click()
    expect(page.locator("#outline")).to_be_hidden()
    assert page.evaluate(IN_VIEW, "Part 4")
