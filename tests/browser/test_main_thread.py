"""The page answers a reader at once, however fast and long the answer is: no task of its main thread
takes more than 50 ms, and nothing moves under the reader's eyes."""

import time
from collections.abc import Iterator
from itertools import chain

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.main_thread import shifts, watch_shifts, watched
from tests.browser.page import OpenPage, start, status
from tests.doubles.upstream import DONE, Gate, Script, Upstream, answer, finish, piece
from tests.running import Running
from tests.waiting import eventually

pytestmark = pytest.mark.soak

LONGEST = 0.05  # seconds of CPU
RATE = 2_000  # tokens a second
TOKEN = 4  # characters
MOVES = 0.1  # in all, where CLS counts the worst five seconds

_SECTION = (
    "## Section {0}\n\n"
    + "The **quick** brown fox `jumps` over the lazy dog, and [more](https://example.com/). " * 5
    + "\n\n```python\ndef f{0}(x):\n    # why\n    return [y for y in range(x) if y % 2 == 0]\n```\n"
    + "\n| a | b |\n|---|---|\n"
    + "| {0} | some text **here** |\n" * 10
    + "\nInline \\(a_{{{0}}}^2 + b^2\\) and\n\n\\[\\sum_{{i=0}}^{{{0}}} \\frac{{x_i^2}}{{2\\pi}}\\]\n\n"
    + "1. item **{0}** with `code`\n   - inner words\n" * 6
    + "\n"
)


def _text(characters: int) -> str:
    sections = (_SECTION.format(number) for number in range(characters // 400))
    return "".join(sections)[:characters]


def _tokens(text: str) -> list[str]:
    return [text[at : at + TOKEN] for at in range(0, len(text), TOKEN)]


def _paced(text: str) -> Iterator[bytes | float]:
    began = time.monotonic()
    for number, token in enumerate(_tokens(text)):
        early = began + number / RATE - time.monotonic()
        if early > 0.004:
            yield early
        yield piece(token)
    yield finish()
    yield DONE


def _is_whole(page: Page, text: str) -> bool:
    return bool(page.evaluate("document.getElementById('raw').textContent.length") == len(text))


@pytest.mark.parametrize("beside", ["nothing", "runTimeline", "runEvents"])
def test_while_an_answer_comes_fast_no_task_is_long(
    browser: Browser, service: Running, upstream: Upstream, open_page: OpenPage, beside: str
) -> None:
    text = _text(48_000)
    page = open_page(f"{service.url}/#start")
    start(page, "First.")
    status(page, "completed")
    if beside != "nothing":
        page.click("#run-toggle")
        page.click(f"#{beside}-tab")
    gate = Gate()
    upstream.then(Script(chain([gate], _paced(text))))
    task = start(page, "Fast.")
    gate.reached.wait()
    page.mouse.move(700, 400)  # a pointer over the answer has the browser look at it more often
    watch_shifts(page)
    with watched(browser, page) as tasks:  # what Playwright runs in the page would count too
        gate.open()
        service.client.wait_for(task, "completed")
        eventually(lambda: _is_whole(page, text), timeout=30)
    assert tasks.longest < LONGEST, sorted(tasks.seconds)[-5:]
    moved = shifts(page)
    assert sum(value for value, _ in moved) < MOVES, moved[:9]


def test_when_a_long_answer_is_opened_no_task_is_long(
    browser: Browser, service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    text = _text(200_000)
    upstream.then(Script(answer(*_tokens(text))))
    task = service.client.start("Long.")
    service.client.wait_for(task, "completed")
    page = open_page(f"{service.url}/#start")
    with watched(browser, page) as tasks:
        page.evaluate("(id) => { location.hash = id; }", task)
        eventually(lambda: _is_whole(page, text), timeout=60)
    expect(page.locator("#answer .math:not(.typeset)")).to_have_count(0)
    assert tasks.longest < LONGEST, sorted(tasks.seconds)[-5:]
