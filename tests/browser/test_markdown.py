"""The answer as Markdown: however it arrives, and whatever a hostile model writes."""

import random
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.markdown import FRAGMENTS, differing, render
from tests.browser.page import OpenPage, start, status, text
from tests.doubles.upstream import DONE, Gate, Script, Upstream, answer, finish, piece
from tests.running import Running
from tests.waiting import eventually


@pytest.fixture
def page(quiet_page: Page) -> Page:
    return quiet_page


LINK = 'target="_blank" rel="noopener noreferrer nofollow"'

MATH = '<code class="math" dir="ltr">'


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("plain\ntext", "<p>plain\ntext</p>"),
        ("one\n\ntwo", "<p>one</p><p>two</p>"),
        ("hard  \nbreak\\\nagain", "<p>hard<br>break<br>again</p>"),
        ("# One\n## Two ##", "<h3>One</h3><h4>Two</h4>"),
        ("Title\n===\nSub\n---", "<h3>Title</h3><h4>Sub</h4>"),
        ("#hashtag", "<p>#hashtag</p>"),
        ("a\n***\nb", "<p>a</p><hr><p>b</p>"),
        ("*a* _b_ **c** __d__ ~~e~~", "<p><em>a</em> <em>b</em> <strong>c</strong> <strong>d</strong> <s>e</s></p>"),
        ("***both***", "<p><em><strong>both</strong></em></p>"),
        ("**a *b* c**", "<p><strong>a <em>b</em> c</strong></p>"),
        ("snake_case_name 2*3*4 a * b", "<p>snake_case_name 2<em>3</em>4 a * b</p>"),
        (r"\*not\* \_this\_", "<p>*not* _this_</p>"),
        ("**open", "<p>**open</p>"),
        ("`a*b*` ``c`d``", "<p><code>a*b*</code> <code>c`d</code></p>"),
        ("[a](https://x.y/z)", f'<p><a href="https://x.y/z" {LINK}>a</a></p>'),
        ("[*a*](https://x.y 'title')", f'<p><a href="https://x.y/" {LINK}><em>a</em></a></p>'),
        ("![alt](https://x.y/p.png)", f'<p><a href="https://x.y/p.png" {LINK}>alt</a></p>'),
        ("see https://x.y/a_b_c.", f'<p>see <a href="https://x.y/a_b_c" {LINK}>https://x.y/a_b_c</a>.</p>'),
        ("<https://x.y>", f'<p><a href="https://x.y/" {LINK}>https://x.y</a></p>'),
        ("[a](/local) [b] [c][d]", "<p>[a](/local) [b] [c][d]</p>"),
        ("- a\n- b\n  - c\n  - d\n- e", "<ul><li>a</li><li>b<ul><li>c</li><li>d</li></ul></li><li>e</li></ul>"),
        ("1. a\n   - b\n2. c", "<ol><li>a<ul><li>b</li></ul></li><li>c</li></ol>"),
        ("3) a\n4) b", '<ol start="3"><li>a</li><li>b</li></ol>'),
        ("- a\n\n- b", "<ul><li>a</li><li>b</li></ul>"),
        ("- a\n\n  more\n- b", "<ul><li><p>a</p><p>more</p></li><li>b</li></ul>"),
        ("- a\n* b", "<ul><li>a</li></ul><ul><li>b</li></ul>"),
        ("> a\n> > b\nlazy\n\nout", "<blockquote><p>a</p><blockquote><p>b\nlazy</p></blockquote></blockquote><p>out</p>"),
        ("2020. A year", '<ol start="2020"><li>A year</li></ol>'),
        ("text\n2020. still text", "<p>text\n2020. still text</p>"),
        (
            "| a | b |\n|---|:-:|\n| 1 | `x\\|y` |",
            '<div class="table" tabindex="0"><table><thead><tr><th>a</th><th class="center">b</th></tr></thead>'
            '<tbody><tr><td>1</td><td class="center"><code>x|y</code></td></tr></tbody></table></div>',
        ),
        ("a | b\nno table", "<p>a | b\nno table</p>"),
        ("a<br>b<BR/>\nc<br >d", "<p>a<br>b<br>c<br>d</p>"),
        ("H<sub>2</sub>O *x<sup>*n*</sup>* <KBD>Ctrl</KBD>", "<p>H<sub>2</sub>O <em>x<sup><em>n</em></sup></em> <kbd>Ctrl</kbd></p>"),
        ('<sub>open *a <kbd>b* c</kbd> <sub x="1">', "<p>&lt;sub&gt;open <em>a &lt;kbd&gt;b</em> c&lt;/kbd&gt; &lt;sub x=\"1\"&gt;</p>"),
        (r"\(a_1 * b_2 * c\) and \[x\]", rf"<p>{MATH}\(a_1 * b_2 * c\)</code> and {MATH}\[x\]</code></p>"),
        ("a $$x_1$$ $n$ $a_1 < b_2$ b", f"<p>a {MATH}$$x_1$$</code> {MATH}$n$</code> {MATH}$a_1 &lt; b_2$</code> b</p>"),
        (r"from $5 to $10, *a*, 3$ and 4$, `$x$`, \$x\$", "<p>from $5 to $10, <em>a</em>, 3$ and 4$, <code>$x$</code>, $x$</p>"),
        (r"open \(a_1 *b* c", rf"<p>open {MATH}\(a_1 *b* c</code></p>"),
        ("so:\n$$\n- a_1\n= b\n$$\n*then*", f'<p>so:</p><div class="display">{MATH}$$\n- a_1\n= b\n$$</code></div><p><em>then</em></p>'),
        ("so $$\nx_1\n$$ *b*", f"<p>so {MATH}$$\nx_1\n$$</code> <em>b</em></p>"),
        ("$$x$$ is *it*", f"<p>{MATH}$$x$$</code> is <em>it</em></p>"),
        ("$$\nopen\n\n*then*", f'<div class="display">{MATH}$$\nopen</code></div><p><em>then</em></p>'),
        ("- a\n  \\[\n  x\n  \\].", f'<ul><li>a<div class="display">{MATH}\\[\nx\n\\]</code>.</div></li></ul>'),
        (
            "\\begin{align}\na &= b\n\\end{align}",
            f'<div class="display">{MATH}\\begin{{align}}\na &amp;= b\n\\end{{align}}</code></div>',
        ),
        ("a [^x]", '<p>a <span data-reference="x">[^x]</span></p>'),
    ],
)  # fmt: skip
def test_what_is_written_how(page: Page, source: str, expected: str) -> None:
    assert render(page, source) == expected


def test_code_is_left_as_it_is(page: Page) -> None:
    source = "```js\nif (a < b && *c*) {\n\n  # no heading\n}\n```\nafter"
    rendered = render(page, source)
    assert "<pre" in rendered
    assert "if (a &lt; b &amp;&amp; *c*) {\n\n  # no heading\n}</code>" in rendered
    assert rendered.endswith("<p>after</p>")
    assert "<code>still open\n</code>" in render(page, "~~~\nstill open\n")
    in_list = render(page, "1. a\n   ```\n   x\n\n   y\n   ```\n2. b")
    assert "<code>x\n\ny</code>" in in_list
    assert in_list.endswith("<li>b</li></ol>")


def test_footnotes_lead_to_their_notes_and_back(page: Page) -> None:
    found: dict[str, Any] = page.evaluate(
        """async () => {
            const { Markdown } = await import("/web/markdown.js");
            const root = document.createElement("div");
            document.body.append(root);
            const markdown = new Markdown(root);
            markdown.append("One[^1] and *two[^b]*, but [^none] none.\\n\\n");
            const before = root.querySelectorAll("button").length;
            markdown.append("[^1]: The *first*.\\n[^b]: The second\\n  goes on.\\n\\nEnd[^b].");
            const [one, two] = root.querySelectorAll("[data-to]");
            two.click();
            const focused = document.activeElement.textContent;
            root.querySelector("[data-back='1']").click();
            const back = document.activeElement === one;
            const text = root.textContent;
            const names = [...root.querySelectorAll("button")].map((each) => each.ariaLabel);
            root.remove();
            return { before, focused, back, text, names };
        }"""
    )
    assert found["before"] == 0
    assert found["focused"] == "b The second\ngoes on."
    assert found["back"]
    assert (
        found["text"] == "One1 and twob, but [^none] none.1 The first.b The second\ngoes on.Endb."
    )
    assert found["names"][:3] == ["Footnote 1", "Footnote b", "Back from footnote 1"]


def test_code_that_grows_stays_the_same_node(page: Page) -> None:
    """So it can be selected, scrolled and copied while it comes."""
    found: list[Any] = page.evaluate(
        """async () => {
            const { Markdown } = await import("/web/markdown.js");
            const root = document.createElement("div");
            const markdown = new Markdown(root);
            markdown.append("Look:\\n```py\\na");
            const first = root.querySelector("code");
            for (const piece of ["b", "c\\n", "``", " x\\n\\nd"]) markdown.append(piece);
            const same = root.querySelector("code") === first;
            markdown.append("\\n```\\nend");
            return [same, root.querySelector("code").textContent, root.lastChild.textContent];
        }"""
    )
    assert found == [True, "abc\n`` x\n\nd", "end"]


def test_the_header_of_long_code_stays_in_view_and_its_button_shows_on_hover(
    page: Page,
) -> None:
    page.evaluate(
        """async () => {
            const { Markdown } = await import("/web/markdown.js");
            window.shown = new Markdown(document.getElementById("answer"));
            document.getElementById("task").hidden = false;
            window.shown.append("```\\n" + "line\\n".repeat(200) + "```\\n\\n" + "End.\\n\\n".repeat(60));
            // What is out of sight is laid out, and has its height, once it comes into sight.
            for (const [part, block] of [["figure", "start"], ["code", "center"]]) {
                document.querySelector(`#answer ${part}`).scrollIntoView({ block, behavior: "instant" });
                await new Promise((next) => requestAnimationFrame(() => requestAnimationFrame(next)));
            }
        }"""
    )
    header, button = page.locator("#answer figcaption"), page.locator("#answer figcaption button")
    expect(header).to_be_in_viewport()
    assert page.evaluate("document.querySelector('#answer figure').getBoundingClientRect().top < 0")
    page.mouse.move(1, 1)
    expect(button).to_have_css("opacity", "0")
    header.hover()
    expect(button).to_have_css("opacity", "1")
    page.evaluate("window.shown.reset(); document.getElementById('task').hidden = true")


def test_the_outline_has_the_headings_of_the_answer(page: Page) -> None:
    found: list[Any] = page.evaluate(
        """async () => {
            const { Markdown } = await import("/web/markdown.js");
            const { outline } = await import("/web/outline.js");
            const root = document.createElement("div");
            new Markdown(root).append("## A *b*\\n#### c\\n> # quoted\\n\\n##\\n\\nD\\n---\\n");
            return outline(root).map(({ level, text, node }) => [level, text, node.localName]);
        }"""
    )
    assert found == [[1, "A b", "h4"], [2, "c", "h6"], [1, "D", "h4"]]


def test_in_pieces_it_is_what_it_is_at_once(page: Page) -> None:
    """Any text, cut anywhere: the same document."""
    rng = random.Random(20261124)
    sources = ["".join(rng.choices(FRAGMENTS, k=rng.randrange(1, 40))) for _ in range(600)]
    cut: list[list[str]] = []
    for source in sources:
        cuts = sorted(rng.choices(range(len(source) + 1), k=rng.randrange(0, 12)))
        bounds = [0, *cuts, len(source)]
        cut.append([source[a:b] for a, b in pairwise(bounds)])
    assert differing(page, cut) == []


@pytest.mark.soak
def test_what_is_finished_is_made_once(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    """Twenty thousand pieces: the first paragraph stays the same node all the while."""
    gate = Gate()
    body = [
        piece(f"word{number} " + ("\n\n" if number % 50 == 49 else "")) for number in range(20_000)
    ]
    upstream.then(Script([piece("First.\n\nSecond.\n\nThird"), gate, *body, finish(), DONE]))
    page = open_page(service.url)
    task_id = start(page, "Long.")
    expect(page.locator("#answer p").nth(2)).to_have_text("Third")
    page.evaluate("window.first = document.querySelector('#answer p')")
    gate.open()
    status(page, "completed")
    whole = service.client.record(task_id)["text"]
    eventually(lambda: text(page) == whole)
    assert page.evaluate("window.first === document.querySelector('#answer p')")
    assert page.locator("#answer > p").count() == 402


HOSTILE = """<script>window.harmed = 1; alert(1)</script>
<img src=x onerror="window.harmed = 2"> <svg onload="window.harmed = 3"></svg>
<iframe src="https://evil.example"></iframe>

[a](javascript:window.harmed=4) [b](JaVaScRiPt:window.harmed=5) [c](java&#115;cript:window.harmed=6)
[d](data:text/html,<script>window.harmed=7</script>) [e](vbscript:x) ![f](https://evil.example/pixel.png)
[g](https://ok.example/" onmouseover="window.harmed=8) <javascript:window.harmed=9>
[h](  javascript:alert(1)) [i](\x01javascript:alert(1)) https://ok.example/'onclick='harmed

`</code><script>window.harmed = 10</script>`

```"><script>window.harmed = 11</script>
</pre></code><script>window.harmed = 12</script>
```

| <script>window.harmed = 13</script> | b |
|---|---|
| <img src=x onerror=alert(1)> | c |

שלום \u202eevil\u202c עולם and back to left

Z\u0351\u0369\u034f\u036ca\u0351\u0369\u034flgo

"""


@pytest.mark.soak
def test_a_hostile_answer_is_text(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    huge = "A" * 60_000
    nested = ">" * 5_000 + " deep\n\n" + "- " * 3_000 + "\n\n"
    brackets = "[" * 5_000 + "](" * 5_000 + "*a_" * 5_000 + "\n\n"
    whole = HOSTILE + nested + brackets + huge
    pieces = [whole[at : at + 997] for at in range(0, len(whole), 997)]
    upstream.then(Script(answer(*pieces)))
    page = open_page(service.url)
    start(page, "<script>window.harmed = 20</script><img src=x onerror='window.harmed = 21'>")
    status(page, "completed")
    eventually(lambda: text(page) == whole)
    assert page.evaluate("window.harmed") is None
    allowed = "a,blockquote,br,button,code,div,em,figcaption,figure,hr,input,li,ol,p,pre,s,span,strong,table,tbody,td,th,thead,tr,ul,wbr,h3,h4,h5,h6"
    strange: list[Any] = page.evaluate(
        "(allowed) => [...document.querySelectorAll('#answer *')]"
        ".filter((node) => !allowed.split(',').includes(node.localName)).map((node) => node.outerHTML)",
        allowed,
    )
    assert strange == []
    links = page.evaluate(
        "[...document.querySelectorAll('#answer a')].map((link) => link.protocol)"
    )
    assert set(links) == {"https:"}
    handlers = page.evaluate(
        "[...document.querySelectorAll('#answer *')].flatMap((node) => node.getAttributeNames())"
        ".filter((name) => name.startsWith('on') || name === 'style')"
    )
    assert handlers == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    expect(page.locator("#task-prompt script")).to_have_count(0)
    expect(page.locator("#list script")).to_have_count(0)
