"""The page with what hosted tools did."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.native_stream import Stream
from tests.browser.page import OpenPage
from tests.doubles.native import TASK, end, item, status_of
from tests.running import running_service, settings_for

PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
"""A PNG of one pixel."""


@pytest.mark.soak
def test_what_hosted_tools_did_is_a_line_each_and_a_picture_is_shown(open_page: OpenPage) -> None:
    url = "https://example.org/<b>"
    log = [
        item("web_search_call", id="ws_1", status="failed", action={"queries": ["a", "<b>b</b>"]}),
        item("web_search_call", id="ws_2", action={"type": "open_page", "url": url}),
        item("code_interpreter_call", id="ci_1", code="print(1)"),
        item("image_generation_call", id="ig_1", result=PICTURE),
        item("image_generation_call", id="ig_2", result='" onerror="alert(1)'),
        item("mcp_call", id="mcp_1", server_label="maps", name="find", error="no"),
        item("later", id=7, action=None),
    ]
    with running_service(settings_for()) as service:
        page = open_page(service.url)
        stream = Stream(page, {"prompt": "What is new?"})
        stream.then(status_of("pending", 0), status_of("running", 1), *log[:2])
        page.evaluate("(id) => { location.hash = id; }", TASK)
        lines, picture = page.locator("#items li"), page.locator("#items img")
        expect(lines).to_have_count(2)
        expect(page.locator("#waiting")).to_be_hidden()
        stream.then(*log[2:])
        expect(lines).to_have_text(
            [
                *("Web search: a, <b>b</b> failed", f"Web page: {url}"),
                *("Code interpreter: print(1)", "Picture", "Picture"),
                *("Tool of maps: find failed", "Other item: later"),
            ]
        )
        expect(page.locator("#items a")).to_have_attribute("href", "https://example.org/%3Cb%3E")
        assert picture.evaluate("(image) => image.decode().then(() => image.naturalWidth)") == 1
        picture.evaluate("(image) => { image.mine = true; }")
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            assert Axe().run(page).response["violations"] == []
        stream.then(status_of("completed", 1), end("", items=[each["data"] for each in log]))
        expect(page.locator("#status")).to_have_text("done")
        assert picture.evaluate("(image) => image.mine"), "it is not loaded again at the end"
        expect(page.locator("#ended")).to_be_hidden()
        page.click("#language")
        expect(lines.first).to_contain_text("网页搜索")
