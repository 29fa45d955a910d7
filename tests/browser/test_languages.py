"""The page in English and in Chinese."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.page import OpenPage, start, status
from tests.running import Running, running_service, settings_for

pytestmark = pytest.mark.soak


def test_both_languages(open_page: OpenPage) -> None:
    with running_service(settings_for()) as service:
        page = open_page(service.url, locale="zh-CN")
        expect(page.locator("#submit")).to_have_text("启动")
        assert page.evaluate("document.documentElement.lang") == "zh-CN"
        start(page, "你好")
        status(page, "completed")
        expect(page.locator("#status")).to_have_text("已完成")
        page.click("#language")
        expect(page.locator("#submit")).to_have_text("Send")
        expect(page.locator("#status")).to_have_text("done")
        expect(page.locator("#answer figure button")).to_have_text("Copy")
        page.reload()
        expect(page.locator("#submit")).to_have_text("Send")


def test_every_sentence_is_there_in_both_languages(service: Running, open_page: OpenPage) -> None:
    page = open_page(service.url)
    web = Path("src/entrypoints/web")
    names: set[str] = set()
    for file in web.glob("english*.js"):
        other = file.with_name(file.name.replace("english", "chinese"))
        own, its = (re.findall(r"^  (\w+): \"", each.read_text(), re.M) for each in (file, other))
        assert own == its
        assert names.isdisjoint(own)
        names.update(own)
    sources = "".join(file.read_text() for file in web.iterdir() if file.suffix in (".html", ".js"))
    used = set(re.findall(r"\btext\(\"(\w+)\"", sources))
    used |= set(re.findall(r"data-(?:text|label|placeholder)=\"(\w+)\"", sources))
    assert used <= names
    expect(page.locator("#start-error")).to_be_hidden()
