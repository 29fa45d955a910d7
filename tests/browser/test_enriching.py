"""Highlighted code and typeset formulas, with the libraries of `make vendor`, and plain without them."""

from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from entrypoints.http.page import WEB
from tests.browser.main_thread import watched
from tests.browser.page import OpenPage, pages, start, status
from tests.doubles.upstream import Gate, Script, Upstream, answer, finish, piece
from tests.running import Running, running_service, settings_for
from tests.waiting import eventually

pytestmark = pytest.mark.soak

vendored = pytest.mark.skipif(
    not (WEB / "vendor" / "versions.json").is_file(),
    reason="no libraries beside the page (make vendor)",
)

# Shows pieces in #answer, one in each frame, and waits until nothing more changes.
SHOW = """async (pieces) => {
    const { Markdown } = await import("/web/markdown.js");
    const root = document.getElementById("answer");
    document.getElementById("task").hidden = false;
    window.shown ??= new Markdown(root);
    window.shown.reset();
    for (const piece of pieces) {
        window.shown.append(piece);
        await new Promise((resolve) => setTimeout(resolve, 20));
    }
}"""

DEPTH = """() => Math.max(...[...document.querySelectorAll("#answer pre *")].map((each) => {
    let depth = 0;
    for (let node = each; node.id !== "answer"; node = node.parentElement) depth += 1;
    return depth;
}))"""


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    with running_service(settings_for()) as service, pages(browser) as open_page:
        yield open_page(service.url)


def _show(page: Page, *pieces: str) -> None:
    page.evaluate(SHOW, list(pieces))


def _tokens(page: Page, kind: str) -> list[str]:
    return page.locator(f"#answer .hl-{kind}").all_text_contents()


@vendored
def test_code_is_highlighted_while_it_grows_and_stays_the_same_text(page: Page) -> None:
    code = 'class A:\n    """Doc\n\n    of <b>a</b> class."""\n\n    def b(self) -> int:\n        return 17  # why\n'
    _show(page, "```py\n", code[:30], code[30:47])
    expect(page.locator("#answer .hl-keyword")).to_have_text(["class"])
    page.evaluate("window.code = document.querySelector('#answer code')")
    page.evaluate("(more) => window.shown.append(more)", code[47:] + "```\n\nEnd.")
    expect(page.locator("#answer .hl-comment")).to_have_text("# why")
    expect(page.locator("#answer .hl-number")).to_have_text("17")
    assert _tokens(page, "keyword") == ["class", "def", "return"]
    assert page.locator("#answer .hl-string").first.text_content() == code[13:46]
    assert page.locator("#answer pre").text_content() == code.rstrip("\n")
    assert page.evaluate("window.code.isConnected")


@vendored
def test_what_is_nested_a_thousand_times_does_not_crash_the_browser(page: Page) -> None:
    formula = "$$" + "x^{" * 900 + "x" + "}" * 900 + "$$"
    code = ("`${" * 600 + "\n") * 8
    _show(page, f"{formula}\n\n$$x^2$$\n\n```js\n{code}```\n\nEnd.")
    expect(page.locator("#answer .typeset")).to_have_count(1)
    expect(page.locator("#answer .plain-math")).to_have_text(formula)
    expect(page.locator("#answer .hl-string").first).to_be_attached()
    assert page.locator("#answer pre").text_content() == code.rstrip("\n")
    assert page.evaluate(DEPTH) < 100


@vendored
def test_long_html_goes_on_in_its_script(page: Page) -> None:
    lines = "".join(f"  const value{number} = 1;\n" for number in range(600))
    code = f"<p class='a'>\n<script>\n{lines}</script>\n<style>p {{ color: red }}</style>"
    _show(page, f"```html\n{code}\n```\n")
    expect(page.locator("#answer .hl-keyword")).to_have_count(600)
    assert page.locator("#answer code").count() > 2
    expect(page.locator("#answer .hl-attribute")).to_have_text("color")
    assert page.locator("#answer pre").text_content() == code


@vendored
def test_code_that_was_cut_for_its_size_is_highlighted_to_its_end(page: Page) -> None:
    code = "".join(f"let value{n} = items.map((x) => x + {n});\n" for n in range(600))
    comments = page.locator("#answer .hl-comment")
    _show(page, f"```js\n{code}// cut\n")
    expect(comments).to_have_count(1)
    assert page.locator("#answer code").count() > 1
    page.evaluate("(more) => window.shown.append(more)", "let a; // end\n```\n\nEnd.")
    expect(comments).to_have_text(["// cut", "// end"])


# Highlights one code after another, each in so many milliseconds, and returns which were.
TIMED = """async (times) => {
    const { highlight } = await import("/web/highlighting.js");
    const now = performance.now;
    const highlighter = { getLanguage: () => ({}), configure() {} };
    try {
        return times.map((time) => {
            const code = document.createElement("code");
            code.dataset.language = "timed";
            let clock = 0;
            performance.now = () => clock;
            highlighter.highlight = () => {
                clock += time;
                return { _emitter: { root: document.createElement("b") } };
            };
            highlight(highlighter, code, true);
            return code.firstChild !== null;
        });
    } finally {
        performance.now = now;
    }
}"""


def test_a_busy_machine_leaves_no_language_plain_but_one_that_is_always_slow_is(
    quiet_page: Page,
) -> None:
    times = [501, 501, 1, 501, 501, 501, 1, 1]
    assert quiet_page.evaluate(TIMED, times) == [True] * 6 + [False] * 2


@vendored
def test_code_of_no_known_language_stays_as_it_is(page: Page) -> None:
    _show(
        page,
        "```none-such\nif x\n```\n```\nif x\n```\n```js\n"
        + "if (a) " * 400
        + "\n```\n```js\nif\n```\n",
    )
    expect(page.locator("#answer .hl-keyword")).to_have_text("if")
    assert page.locator("#answer figure").count() == 4


@vendored
def test_formulas_are_typeset_once_they_are_whole(page: Page) -> None:
    _show(
        page,
        r"Say \(\vec{a}",
        r"_1\), $b^2$ and ",
        "\n\n$$\n",
        r"\frac{1}",
        "{2}\n$$\n\n",
        r"\(\nosuch{1}\) and \[open",
    )
    math = page.locator("#answer math")
    expect(math).to_have_count(3)
    assert page.locator("#answer annotation").all_text_contents() == [
        r"\vec{a}_1",
        "b^2",
        "\n\\frac{1}{2}\n",
    ]
    expect(page.locator("#answer .math")).to_have_text([r"\(\nosuch{1}\)", r"\[open"])
    expect(page.locator("#answer .katex-display")).to_have_count(1)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page, context="#answer").response["violations"]
        assert [each["id"] for each in found] == []


HOSTILE = [
    r"\href{javascript:alert(1)}{a}", r"\url{https://evil.example/}", r"\htmlStyle{position:fixed}{a}",
    r"\includegraphics{https://evil.example/p.png}", r"\htmlData{copy=code}{a}", r"\htmlId{status}{a}",
    r"\def\a{\a\a}\a", r"\rule{99999em}{99999em}", r"\fcolorbox{red}{blue}{a}", r"\pmb{a}", "{" * 900 + "}" * 900,
    r"\unicode{x3c}script>", r"\text{<img src=x onerror=alert(1)>}", r"\kern{99999em}a",
]  # fmt: skip


@vendored
def test_a_hostile_formula_does_nothing(page: Page) -> None:
    """Nor does one set a style that the policy refuses, which the page would report."""
    _show(page, *[f"${each}$ $$\n{each}\n$$\n\n" for each in HOSTILE], "Last $x$.\n\nEnd.")
    expect(page.locator("#answer > p").nth(-2).locator("math")).to_have_count(1)
    found: list[Any] = page.evaluate(
        """() => [...document.querySelectorAll("#answer *")].filter((node) => ["a", "img", "script"].includes(node.localName)
            || node.id || node.dataset.copy || node.getAttributeNames().some((name) => name.startsWith("on"))).map((node) => node.outerHTML)"""
    )
    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@vendored
def test_the_libraries_are_loaded_when_an_answer_needs_them(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    gate = Gate()
    upstream.then(Script(answer("Plain *text*.")))
    page = open_page(service.url)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.rpartition("/")[2]))
    start(page, "Plain.")
    status(page, "completed")
    assert not [each for each in asked if "min" in each]
    upstream.then(Script([piece("```js\nlet a = 1;\n"), gate, piece("```\n"), finish()]))
    start(page, "Code.")
    expect(page.locator("#answer .hl-keyword")).to_have_text("let")
    gate.open()
    status(page, "completed")
    assert [each for each in asked if "min" in each] == ["highlight.min.js"]


def test_without_the_libraries_it_is_plain_and_said_once(
    open_page: OpenPage, service: Running
) -> None:
    page = open_page(service.url)
    page.evaluate("document.documentElement.removeAttribute('data-vendored')")
    said = page.get_by_text("as they are written")
    _show(page, "No code.\n\n")
    expect(said).to_have_count(0)
    _show(page, "```js\nlet a;\n```\n\n$x_1$\n\n")
    expect(said).to_have_count(1)
    expect(page.locator("#answer code")).to_have_text(["let a;", "$x_1$"])
    page.reload()
    page.evaluate("document.documentElement.removeAttribute('data-vendored')")
    _show(page, "```js\nlet a;\n```\n")
    expect(said).to_have_count(0)


# Formulas that are typeset, code that is not highlighted yet, comments that are.
ARE_LEFT = """[".typeset", "code:not([data-lit=all])", ".hl-comment"].map(
    (each) => document.querySelectorAll(`#answer ${each}`).length)"""
LONGEST = 0.1  # seconds of CPU


@vendored
def test_much_code_and_many_formulas_leave_the_page_usable(
    browser: Browser, service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    code = "".join(
        f"  const value{n} = items.map((x) => `${{x}} {n}`); // why\n" for n in range(700)
    )
    formulas = "".join(f"Say $x_{{{n}}}^2 = \\frac{{{n}}}{{2}}$.\n\n" for n in range(1_000))
    whole = f"```html\n<script>\n{code}</script>\n```\n\n{formulas}```js\n{code}```\n"
    upstream.then(Script(answer(*[whole[at : at + 5_000] for at in range(0, len(whole), 5_000)])))
    task = service.client.start("Much.")
    service.client.wait_for(task, "completed")
    page = open_page(f"{service.url}/#start")
    with watched(browser, page) as tasks:  # what Playwright runs in the page would count too
        page.evaluate("(id) => { location.hash = id; }", task)
        eventually(lambda: page.evaluate(ARE_LEFT) == [1_000, 0, 1_400], timeout=60)
    assert tasks.longest < LONGEST, sorted(tasks.seconds)[-5:]


COPY = """(part) => {
    const root = document.getElementById("answer");
    const range = document.createRange();
    if (part) range.setStart(root.querySelector(".katex-html .mord").firstChild, 0);
    else range.setStartBefore(root.firstChild);
    if (part) range.setEndAfter(root.querySelector("p").lastChild);
    else range.setEndAfter(root.lastChild);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
}"""


@vendored
def test_formulas_are_copied_as_they_were_written(page: Page) -> None:
    written = r"Let \(a^2\) be $b_1$, then"
    _show(
        page, written, "\n\n$$\\frac{1}{2}$$\n\nholds for **all**:\n\n```py\nx = 1\n\ny = 2\n```\n"
    )
    expect(page.locator("#answer .typeset")).to_have_count(3)

    def copied(*, part: bool) -> str:
        page.evaluate("navigator.clipboard.writeText('')")
        page.evaluate(COPY, part)
        page.keyboard.press("Control+c")
        text = eventually(lambda: page.evaluate("navigator.clipboard.readText()"))
        return str(text).replace("\r\n", "\n")

    lines = [line for line in copied(part=False).split("\n") if line]
    assert lines == [written, r"$$\frac{1}{2}$$", "holds for all:", "py", "x = 1", "y = 2"]
    assert copied(part=True) == r"\(a^2\) be $b_1$, then"
    assert page.locator(".answer.unseen").count() == 0
