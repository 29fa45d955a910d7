"""What is run once more: an edited prompt, and another model beside the one that has answered."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from entrypoints.api_keys import new_key
from tests.browser.page import OpenPage, choose, reply, row, start, status
from tests.browser.test_answers import IMAGE, PNG
from tests.doubles.upstream import DONE, Gate, Script, Upstream, answer, finish, piece, reasoning
from tests.running import Running, running_service, settings_for
from tests.waiting import eventually

MODELS = Script([b'{"data": [{"id": "first-model"}, {"id": "second-model"}]}'])


@pytest.fixture
def upstream(scripted: Upstream) -> Upstream:
    """Each page of this module finds the same models, since the service remembers them."""
    scripted.models = MODELS
    return scripted


def _said(upstream: Upstream, number: int) -> list[object]:
    return [each["content"] for each in upstream.received[number].body["messages"]]


@pytest.mark.soak
def test_a_prompt_is_edited_and_run_again_from_the_same_conversation(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    upstream.then(*(Script(answer(each)) for each in ("One", "Two", "Three")))
    page = open_page(service.url)
    page.click("#options-toggle")
    page.fill("#model", "chosen")
    start(page, "First.")
    status(page, "completed")
    second = reply(page, "Second.")
    status(page, "completed")
    page.fill("#model", "another")
    page.hover("#task-prompt")
    page.click("#edit")
    editor = page.locator(".editing textarea")
    expect(editor).to_be_focused()
    expect(editor).to_have_value("Second.")
    page.keyboard.press("Escape")
    expect(editor).to_have_count(0)
    expect(page.locator("#task-prompt")).to_be_visible()
    expect(page.locator("#edit")).to_be_focused()
    choose(page, "edit")
    editor.fill("Third,")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("edited.")
    page.keyboard.press("Enter")
    expect(page.locator("#answer")).to_have_text("Three")
    expect(editor).to_have_count(0)
    assert _said(upstream, 2) == ["First.", "One", "Third,\nedited."]
    assert upstream.received[2].body["model"] == "chosen"
    expect(page.locator(row(second, "open"))).to_be_visible()
    expect(page.locator("#prompt")).to_have_value("")


@pytest.mark.soak
def test_attachments_stay_with_an_edited_prompt_and_are_dropped_and_pasted(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    page = open_page(service.url)
    for name, event in (("dropped", "DragEvent"), ("pasted", "ClipboardEvent")):
        page.evaluate(
            """([bytes, name, kind]) => {
                const files = new DataTransfer();
                files.items.add(new File([new Uint8Array(bytes)], `${name}.png`, { type: "image/png" }));
                const [type, target, data] = kind === "DragEvent"
                    ? ["drop", "title", { dataTransfer: files }] // anywhere on the page
                    : ["paste", "prompt", { clipboardData: files }];
                const event = new window[kind](type, { ...data, bubbles: true, cancelable: true });
                document.getElementById(target).dispatchEvent(event);
                if (!event.defaultPrevented) throw new Error(`${type} was left to the browser`);
            }""",
            [list(PNG), name, event],
        )
        expect(page.locator(f"#attached img[alt='{name}.png']")).to_be_visible()
    page.set_input_files(
        "#files", {"name": 'a"b<c .constructor', "mimeType": "", "buffer": b"Text."}
    )
    expect(page.locator("#attached .file")).to_have_text('a"b<c .constructor (5 B)')
    start(page, "What is it?")
    status(page, "completed")
    choose(page, "edit")
    page.fill(".editing textarea", "What else?")
    page.click(".editing .primary")
    eventually(lambda: len(upstream.received) == 2)
    image = {"type": "image_url", "image_url": {"url": IMAGE}}
    file = '<file name="a&quot;b&lt;c .constructor">\nText.\n</file>'
    texts = [{"type": "text", "text": text} for text in (file, "What else?")]
    assert _said(upstream, 1) == [[image, image, *texts]]
    expect(page.locator("#sent img")).to_have_count(2)


def _boxes(page: Page) -> list[tuple[float, float]]:
    found = [page.locator(each).bounding_box() for each in ("#answer", "#beside .answer >> nth=1")]
    return [(each["x"], each["y"]) for each in found if each is not None]


@pytest.mark.soak
def test_another_model_answers_beside_the_first(
    service: Running, upstream: Upstream, open_page: OpenPage
) -> None:
    gates = [Gate(), Gate()]
    upstream.then(
        Script([piece("One"), gates[0], piece(" whole"), finish(), DONE]),
        Script([piece("Two"), gates[1], piece(" whole"), finish(), DONE]),
    )
    page = open_page(service.url)
    first = start(page, "Compare.")
    expect(page.locator("#answer")).to_have_text("One")
    choose(page, "beside")
    expect(page.locator("dialog.choice li")).to_have_count(3)
    page.fill(".choice input", "SECOND")
    expect(page.locator("dialog.choice li")).to_have_text(["second-model"])
    expect(page.locator("dialog.choice .quiet")).to_have_text("Use “SECOND”")
    page.keyboard.press("Enter")  # the first that is found
    beside = page.locator("#beside")
    expect(beside.locator("h2")).to_have_text("second-model")
    expect(beside.locator(".answer").nth(1)).to_have_text("Two")
    expect(page.locator("#answer")).to_have_text("One")
    assert [each.body["model"] for each in upstream.received][1] == "second-model"
    assert _said(upstream, 0) == _said(upstream, 1) == ["Compare."]
    for gate in gates:
        gate.open()
    expect(page.locator("#answer")).to_have_text("One whole")
    expect(beside.locator(".answer").nth(1)).to_have_text("Two whole")
    expect(beside.locator(".badge")).to_have_text("done")
    names, second = page.url.split("#")[1].split("&"), page.url.split("&")[1]
    assert names == [first, second]

    page.reload()
    expect(page.locator("#answer")).to_have_text("One whole")
    expect(beside.locator(".answer").nth(1)).to_have_text("Two whole")
    expect(page.locator("#first-head .rate")).to_have_count(1)
    expect(page.locator("#going-on-from")).to_have_text("gpt-4o-mini: Compare.")
    (left, top), (right, beside_top) = _boxes(page)
    assert left < right
    assert top == beside_top
    page.set_viewport_size({"width": 390, "height": 844})
    (left, top), (right, beside_top) = _boxes(page)
    assert left == right
    assert top < beside_top
    assert page.evaluate("document.documentElement.scrollWidth") == 390

    page.click("#first-head button")
    expect(page.locator("#task-id")).to_have_text(second)
    expect(page.locator("#answer")).to_have_text("Two whole")
    expect(beside).to_be_hidden()
    expect(page.locator("#first-head")).to_be_hidden()
    page.go_back()
    expect(beside.locator(".answer").nth(1)).to_have_text("Two whole")
    beside.get_by_role("button", name="Close the answer").click()
    expect(beside).to_be_hidden()
    expect(page.locator("#answer")).to_have_text("One whole")
    assert page.url.endswith(f"#{first}")


@pytest.mark.soak
def test_a_request_is_shown_as_code_without_the_key(
    upstream: Upstream, open_page: OpenPage
) -> None:
    key, entry = new_key("alice")
    settings = settings_for(
        openai_base_url=upstream.url,
        api_keys=entry,
        stream_secret="a secret of forty characters, or even more",
    )
    with running_service(settings) as guarded:
        page = open_page(guarded.url)
        page.fill("#key", key)
        page.press("#key", "Enter")
        expect(page.locator("#key-form")).to_be_hidden()
        page.click("#as-code")
        expect(page.locator("#start-error")).to_have_text("Write a prompt first.")
        page.fill("#prompt", 'What\'s in "it"?')
        page.click("#as-code")
        shown = page.locator("#code-shown")
        expect(shown).to_contain_text('"prompt": "What\'s in \\"it\\"?"')
        expect(shown).to_contain_text("Bearer $LONGTASK_API_KEY")
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("tab", name="Python")).to_be_focused()
        expect(shown).to_contain_text("background=True")
        page.click(".as-code .primary")
        code = page.evaluate("navigator.clipboard.readText()")
        assert code == shown.text_content()
        assert key not in page.content()
        page.keyboard.press("Escape")
        expect(page.locator("#as-code")).to_be_focused()
        page.click("#submit")
        status(page, "completed")
        choose(page, "asCode")
        expect(shown).to_contain_text("background=True")  # the language that was shown last
        page.get_by_role("tab", name="JavaScript").click()
        expect(shown).to_contain_text("process.env.LONGTASK_API_KEY")
        page.keyboard.press("Escape")

        page.evaluate("localStorage.setItem('longtask.key', 'lt_' + '0'.repeat(43))")
        choose(page, "edit")
        page.fill(".editing textarea", "Edited, and held until there is a key.")
        page.click(".editing .primary")
        page.fill("#key", key)
        page.press("#key", "Enter")
        expect(page.locator("#task-prompt")).to_have_text("Edited, and held until there is a key.")


@pytest.mark.soak
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_is_accessible(
    service: Running, upstream: Upstream, open_page: OpenPage, scheme: str, width: int
) -> None:
    upstream.always = Script([reasoning("Let me see."), *answer("# One\n\n`two`")])
    viewport = {"width": width, "height": 844}
    page = open_page(service.url, viewport=viewport, color_scheme=scheme, has_touch=width == 390)

    def look() -> None:
        assert Axe().run(page).response["violations"] == []
        assert page.evaluate("document.documentElement.scrollWidth") == width
        small = page.evaluate(
            "[...document.querySelectorAll('dialog[open] button, .asked button, .column-head button')]"
            ".map((each) => each.getBoundingClientRect().height)"
            ".filter((height) => height > 0 && height < 40)"
        )
        assert width == 1280 or small == []

    start(page, "Look.")
    status(page, "completed")
    choose(page, "edit")
    look()
    page.keyboard.press("Escape")
    choose(page, "asCode")
    look()
    page.keyboard.press("Escape")
    choose(page, "beside")
    expect(page.locator("dialog.choice li")).to_have_count(3)
    look()
    page.keyboard.type("any-model")
    page.keyboard.press("Enter")
    expect(page.locator("#beside .badge")).to_have_text("done")
    expect(page.locator("#beside .reasoning summary")).to_have_text("Reasoning")
    look()
    page.evaluate("document.getElementById('language').click()")  # in the drawer of a phone
    expect(page.locator("#beside .badge")).to_have_text("已完成")
    look()
