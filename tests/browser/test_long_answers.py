"""Long and deep answers: the page stays usable, the time grows with the text, nothing is missing."""

import json
import random
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.markdown import FRAGMENTS, differing
from tests.browser.native_stream import Stream
from tests.browser.page import OpenPage, choose, start, status, text
from tests.doubles.native import TASK, end, reasoning, status_of, tool_call
from tests.doubles.upstream import Script, Upstream, answer
from tests.running import Running
from tests.sizes import some_of
from tests.waiting import eventually, within

pytestmark = pytest.mark.soak

# Seconds for the whole answer, in a document that is laid out. What is new takes a tenth of it on an
# idle machine; what grew with the square of the text took five times as much, or did not end.
BOUND = 3.0

RENDER = """async (pieces) => {
    const { Markdown } = await import("/web/markdown.js");
    const root = document.getElementById("answer");
    document.getElementById("task").hidden = false;
    const markdown = new Markdown(root);
    markdown.reset();
    const began = performance.now();
    for (const piece of pieces) markdown.append(piece);
    root.getBoundingClientRect();
    const seconds = (performance.now() - began) / 1000;
    const depth = (node) => {
        let most = 0;
        for (const each of node.querySelectorAll(":not(:has(*))")) {
            let found = 0;
            for (let at = each; at !== node; at = at.parentNode) found += 1;
            most = Math.max(most, found);
        }
        return most;
    };
    const found = {
        seconds,
        elements: root.querySelectorAll("*").length,
        depth: depth(root),
        code: root.querySelector("pre")?.textContent,
        figures: root.querySelectorAll("figure").length,
        items: [...root.querySelectorAll("li")].slice(-2).map((item) => item.textContent),
    };
    // What the page adds to the answer.
    for (const each of root.querySelectorAll("figcaption, .more thead")) each.remove();
    found.text = root.textContent;
    markdown.reset();
    document.getElementById("task").hidden = true;
    return found;
}"""


def render(page: Page, *pieces: str) -> dict[str, Any]:
    found: dict[str, Any] = page.evaluate(RENDER, list(pieces))
    return found


def cut(source: str, number: int) -> list[str]:
    bounds = [len(source) * at // number for at in range(number + 1)]
    return [source[a:b] for a, b in pairwise(bounds)]


def words(shown: str) -> str:
    """What is no mark, no space and no link's target of a text."""
    marks = "*_`#>|\\-[]()~!<=. \t\n"
    return shown.translate(dict.fromkeys(map(ord, marks))).replace("http://ab", "")


def lines(number: int, form: str) -> str:
    return "".join(form.format(at) for at in range(number))


AT_ONCE = {
    "csv": lines(20_000, "{0},name {0},3.14,true\n"),
    "short lines": lines(200_000, "x\n"),
    "a word": "A" * 300_000,
    "a heading of spaces": "# a" + " " * 100_000 + "b",
    "lines of spaces": ("a" + " " * 1_000 + "b\n") * 1_500,
    "a fence's spaces": ("```" + " " * 16_000 + "`\n") * 30,
    "a fence's tildes": ("~" * 16_000 + "a`\n") * 30,
    "a delimiter's spaces": ("a|b\n-|-" + " " * 16_000 + "x\n\n") * 80,
    "code with a space": ("` " + "a" * 16_000 + "`\n\n") * 60,
    "a link's spaces": ("[a](" + " " * 4_000 + "x") * 400,
    "blocks": "x\n\n" * 60_000,
    "pairs of lists": "- a\n* b\n" * 12_000,
    "many columns": "|a" * 2_000 + "\n" + "|-" * 2_000 + "\n" + "|x\n" * 2_000,
    "links in links": "[" * 5_000 + "](http://a.b)" * 5_000,
    "a run of stars": "a" + "*" * 50_000 + "b" + "*" * 50_000 + "c",
    "codes": "`a` " * 200_000,
    "brackets": "[" * 100_000 + "]" * 100_000,
    "formulas": "\\(x " * 30_000,
    "dollars": "$x" * 60_000 + "\n\n" + "$$x_" * 30_000,
    "tags": "<sub>" * 30_000 + "</kbd>" * 10_000,
    "references": "[^a]" * 20_000,
}


@pytest.mark.parametrize("name", some_of(AT_ONCE, every=6))
def test_a_long_answer_is_shown_in_time(quiet_page: Page, name: str) -> None:
    found = render(quiet_page, AT_ONCE[name])
    assert found["seconds"] < within(BOUND)
    assert words(found["text"]) == words(AT_ONCE[name])


IN_PIECES = {
    "a paragraph": "word " * 60_000,
    "a line": "x" * 300_000,
    "csv": lines(10_000, "{0},name {0},3.14,true\n"),
    "a list": lines(10_000, "- item {0}\n"),
    "lists in lists": lines(6_000, "- item {0}\n  - inner\n    - most\n"),
    "a table": "|a|b|\n|-|-|\n" + lines(8_000, "|{0}|x|\n"),
    "a quote": lines(20_000, "> word {0}\n"),
    "a fence": "```\n" + lines(20_000, "line {0};\n"),
    "a fence in a list": "- ```\n" + lines(20_000, "  line {0};\n"),
    "empty lines": "- a" + "\n" * 300_000 + "b",
    "emphasis": "*a " * 20_000,
    "brackets": "[" * 50_000,
}


@pytest.mark.parametrize("name", some_of(IN_PIECES, every=6))
def test_a_block_that_grows_and_grows_is_shown_in_time(quiet_page: Page, name: str) -> None:
    found = render(quiet_page, *cut(IN_PIECES[name], len(IN_PIECES[name]) // 600))
    assert found["seconds"] < within(2 * BOUND)
    assert words(found["text"]) == words(IN_PIECES[name])


DEEP = {
    "quotes": ">" * 100_000 + "x",
    "quotes of lists": "> - " * 30_000 + "x",
    "lists": "- " * 50_000 + "x",
    "lists by indentation": "".join("  " * depth + "- x\n" for depth in range(600)),
    "emphasis": "*(" * 20_000 + "x" + ")*" * 20_000,
    "kinds of emphasis": "*a _b **c ~~d " * 10_000 + "d~~ c** b_ a* " * 10_000,
    "runs": "****** " * 10 + "*****a" * 10_000 + "b*****" * 10_000,
    "links": "[" * 3_000 + "](https://x.y)" * 3_000,
    "images": "![" * 3_000 + "](https://x.y)" * 3_000,
    "labels": "[a" * 30_000 + "]" * 30_000,
    "targets": "[a](" + "(" * 50_000 + ")" * 50_000,
}


@pytest.mark.parametrize("name", some_of(DEEP, every=6))
def test_deep_nesting_is_shown_no_deeper_than_a_reader_can_follow(
    quiet_page: Page, name: str
) -> None:
    found = render(quiet_page, DEEP[name])
    assert found["depth"] <= 150
    assert found["seconds"] < within(BOUND)
    assert words(found["text"]).replace("https://xy", "") == words(DEEP[name]).replace(
        "https://xy", ""
    )


def test_what_is_over_the_limit_of_nodes_is_shown_as_text(quiet_page: Page) -> None:
    source = "`code` **bold**\n\n" * 30_000
    found = render(quiet_page, *cut(source, 20))
    assert found["elements"] < 55_000
    assert words(found["text"]) == words(source)
    assert found["text"].endswith("`code` **bold**\n\n")


@pytest.mark.parametrize(
    "code", [lines(2_000, "line {0};\n"), "x" * 50_000, "x\n" + "ab\n" * 10_000 + "🌊" * 20_000]
)
def test_long_code_is_one_piece_of_code(quiet_page: Page, code: str) -> None:
    found = render(quiet_page, *cut(f"```\n{code}\n```\nafter", 7))
    assert found["figures"] == 1
    assert found["code"] == code


def test_long_code_of_an_item_stays_code(quiet_page: Page) -> None:
    body = "".join(f"   # line {number}\n" for number in range(1_000))
    found = render(quiet_page, f"1. First:\n   ```py\n{body}   ```\n2. Then\n3. *Last*")
    assert found["items"] == ["Then", "Last"]
    assert words(found["text"]).startswith("First:line0")
    assert "# line 0" in found["text"]
    assert "# line 999" in found["text"]


@pytest.mark.soak
def test_in_pieces_a_long_answer_is_what_it_is_at_once(quiet_page: Page) -> None:
    """Wherever a block is cut for its size: the same document."""
    rng = random.Random(20261125)
    sources = [
        "".join(rng.choices(rng.choices(FRAGMENTS, k=8), k=rng.randrange(500, 3_000)))
        for _ in range(60)
    ]
    all_cut = [cut(source, rng.randrange(2, 40)) for source in (*sources, *IN_PIECES.values())]
    assert differing(quiet_page, all_cut) == []


WATCH = """() => {
    window.longest = 0;
    new PerformanceObserver((list) => {
        for (const each of list.getEntries()) window.longest = Math.max(window.longest, each.duration);
    }).observe({ type: "longtask" });
}"""


@pytest.mark.soak
def test_the_page_is_never_busy_for_long(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    """Whatever comes at once, a reader can scroll, read and cancel meanwhile."""
    whole = AT_ONCE["csv"] + "\n" + "x\n" * 100_000 + "\n" + "`a` " * 40_000
    upstream.then(Script(answer(*cut(whole, 10))))
    page = open_page(service.url)
    page.evaluate(WATCH)
    start(page, "Long.")
    status(page, "completed")
    eventually(lambda: text(page) == whole, timeout=30)
    choose(page, "raw")
    expect(page.locator("#raw")).to_be_visible()
    assert page.evaluate("longest") < within(1.0) * 1_000
    shown = str(page.locator("#answer").text_content())
    assert words(shown) == words(whole)


def test_a_long_word_of_a_prompt_is_shown_in_time(service: Running, open_page: OpenPage) -> None:
    prompt = "A" * 100_000
    task_id = service.client.start(prompt)
    page = open_page(service.url)
    page.evaluate(WATCH)
    page.evaluate("(id) => { location.hash = id; }", task_id)
    page.wait_for_function(
        "(length) => document.getElementById('task-prompt').textContent.length === length",
        arg=len(prompt),
    )
    status(page, "completed")
    assert page.evaluate("longest") < within(1.0) * 1_000


def test_any_fragment_leaves_the_page_usable(service: Running, open_page: OpenPage) -> None:
    page = open_page(f"{service.url}/#%")
    for fragment, task_id in (
        ("", "%"),
        ("%zz", "%zz"),
        ("%00", "\0"),
        ("task_1_none", "task_1_none"),
    ):
        page.evaluate("(fragment) => { if (fragment) location.hash = fragment; }", fragment)
        page.wait_for_function(
            "(id) => document.getElementById('task-id').textContent === id", arg=task_id
        )
        expect(page.locator("#notice")).to_contain_text("does not know the task")
    start(page, "Go on.")
    status(page, "completed")


def test_the_link_to_the_prompt_opens_no_task(service: Running, open_page: OpenPage) -> None:
    page = open_page(service.url)
    task_id = start(page, "Stay.")
    status(page, "completed")
    page.evaluate("document.querySelector('.skip').click()")
    expect(page.locator("#prompt")).to_be_focused()
    expect(page.locator("#task-id")).to_have_text(task_id)


@pytest.mark.soak
def test_long_reasoning_and_arguments_leave_the_page_usable(
    service: Running, open_page: OpenPage
) -> None:
    thought = [reasoning("word *and* word " * 700 + "\n\n") for _ in range(100)]
    arguments = json.dumps({"text": "line of code; " * 70_000, "list": list(range(30_000))})
    parts = [arguments[at : at + 10_000] for at in range(0, len(arguments), 10_000)]
    calls = [tool_call(0, parts[0], id="c", name="write")] + [tool_call(0, each) for each in parts]
    whole = parts[0] + arguments
    page = open_page(service.url)
    page.evaluate(WATCH)
    stream = Stream(page, {"prompt": "Think."})
    call = {"index": 0, "id": "c", "name": "write", "arguments": whole}
    said = "".join(each["data"] for each in thought)
    stream.then(status_of("pending", 0), status_of("running", 1), *thought, *calls)
    page.evaluate("(id) => { location.hash = id; }", TASK)
    box = ".call .box"
    page.wait_for_function(
        f"(length) => document.querySelector('{box}')?.textContent.length === length",
        arg=len(whole),
    )
    page.click("#reasoning-title")
    page.wait_for_function(
        "(count) => document.getElementById('reasoning-text').textContent.split('word').length > count",
        arg=said.count("word"),
    )
    stream.then(status_of("completed", 1), end("", reasoning=said, toolCalls=[call]))
    status(page, "completed")
    assert page.evaluate("longest") < within(1.0) * 1_000
