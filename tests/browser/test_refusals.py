"""What the service refuses is said in the language of the page."""

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.page import OpenPage, start, status
from tests.running import running_service, settings_for

pytestmark = pytest.mark.soak

IN_CHINESE = """async (messages) => {
    const { faultInChinese } = await import("/web/chinese-problems.js");
    return messages.map(faultInChinese);
}"""
SOURCES = (
    "domain/flow_control.py",
    "domain/media.py",
    "domain/messages.py",
    "domain/options.py",
    "domain/request.py",
    "domain/request_times.py",
    "domain/webhook_url.py",
    "application/model_rules.py",
    "application/webhooks.py",
    "entrypoints/http/idempotency_key.py",
    "entrypoints/http/json_body.py",
    "entrypoints/http/native/shape.py",
    "entrypoints/http/native/start_body.py",
    "entrypoints/http/native/start_request.py",
)
FAULT = re.compile(r"(must|is|use|give|either|a key|a value|needs|unknown|cannot) \S.*\S$")
BUILT = {"must be 7", "each value must be 7", "each value 7"}
"""Messages of which only the frame stands in the source: their words are among `WORDS`."""
WORDS = ("a string", "a number", "a whole number", "true or false", 'one of "a", "b"', "an array")
CHINESE = re.compile(r"[一-鿿]")


def _messages() -> Iterator[str]:
    """Every message about a field of a start, with 7 in the place of each value."""
    for name in SOURCES:
        for each in ast.walk(ast.parse((Path("src") / name).read_text(encoding="utf-8"))):
            text = ""
            if isinstance(each, ast.Constant) and isinstance(each.value, str):
                text = each.value
            elif isinstance(each, ast.JoinedStr):
                parts = (p.value if isinstance(p, ast.Constant) else "7" for p in each.values)
                text = "".join(map(str, parts))
            if FAULT.match(text) and "\n" not in text and text not in BUILT:
                yield text
    yield from (f"must be {words}" for words in WORDS)
    yield "each value must be a string"


def test_every_fault_of_a_start_is_told_in_chinese(quiet_page: Page) -> None:
    messages = sorted(set(_messages()))
    assert len(messages) > 50
    told = quiet_page.evaluate(IN_CHINESE, messages)
    assert [m for m, said in zip(messages, told, strict=True) if not CHINESE.search(said)] == []


def test_every_problem_is_told_in_chinese(quiet_page: Page) -> None:
    table = Path("docs/codes.md").read_text(encoding="utf-8").partition("## `type` of a problem")[2]
    rows = re.findall(r"^\| `([a-z-]+)` \| [^|]+ \| (.*) \|$", table, re.M)
    told = quiet_page.evaluate("async () => (await import('/web/chinese-problems.js')).PROBLEMS")
    assert set(told) == {kind for kind, meaning in rows if not meaning.startswith("to the queue")}


def test_every_code_is_told_in_both_languages(quiet_page: Page) -> None:
    errors, _, _ = Path("docs/codes.md").read_text(encoding="utf-8").partition("## `finishReason`")
    rows = re.findall(r"^\| ((?:`[a-z_]+`(?:, )?)+) \|", errors, re.M)
    codes = {code for row in rows for code in re.findall(r"[a-z_]+", row)} - {"code", "reason"}
    for language in ("english", "chinese"):
        told = quiet_page.evaluate(
            f"async () => (await import('/web/{language}-codes.js')).default"
        )
        assert codes <= set(told)


def test_a_start_that_is_refused_says_why(open_page: OpenPage) -> None:
    with running_service(settings_for(address_limits="starts=2")) as service:
        page = open_page(service.url, locale="zh-CN")
        said = page.locator("#start-error")

        def send(prompt: str, options: str) -> None:
            page.fill("#json", options)
            page.fill("#prompt", prompt)
            page.keyboard.press("Control+Enter")

        page.click("#options-toggle")
        send("你好", json.dumps({"n": 2, "stream": True, "max_tokens": 5}))
        expect(said).to_contain_text("一个任务只有一个回答")
        expect(said).to_contain_text("请使用字段 maxTokens")
        send("你好", "{")
        expect(said).to_contain_text("其他选项必须是 JSON 对象")
        page.fill("#model", "é")
        send("你好", "")
        expect(said).to_contain_text("必须是可打印的 ASCII 字符")
        page.fill("#model", "")
        for _ in range(2):
            start(page, "你好")
            status(page, "completed")
        page.fill("#prompt", "再来")
        page.keyboard.press("Control+Enter")
        expect(said).to_contain_text("一分钟内启动的任务太多。上限为 2。")
        page.click("#language")
        page.keyboard.press("Escape")
        page.focus("#prompt")
        page.keyboard.press("Control+Enter")
        expect(said).to_contain_text("Too many tasks were started within a minute.")
