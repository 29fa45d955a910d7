"""The page's files, as they are served. (What the page does is tested in a browser.)"""

import re
from pathlib import Path

from entrypoints.http.page_bundle import SCRIPT
from tests.running import Running

WEB = Path("src/entrypoints/web")


def test_the_page_may_run_its_own_scripts_and_nothing_else(shared_service: Running) -> None:
    for path, kind in (("/", "html"), ("/web/page.js", "javascript"), ("/web/page.css", "css")):
        answer = shared_service.client.http.get(path)
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == f"text/{kind}; charset=utf-8"
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        assert "require-trusted-types-for 'script'" in policy
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Frame-Options"] == "DENY"
        assert answer.headers["Cache-Control"] == "no-cache"
        assert answer.headers["ETag"]


def test_nothing_in_it_comes_from_elsewhere_or_is_inline(shared_service: Running) -> None:
    page = shared_service.client.http.get("/").text
    assert not re.search(r"<script(?![^>]*\ssrc=)|<style|\sstyle=|\son\w+=", page)
    named = re.findall(r"(?:src|href)=\"([^\"#]+)\"", page)
    for address in named:
        assert address.startswith("/")
        assert shared_service.client.http.get(address).status_code == 200
    for file in sorted({*WEB.glob("*.js")} - {WEB / SCRIPT}):  # a bundle may be of other sources
        for module in re.findall(r"from \"\./([^\"]+)\"", file.read_text()):
            assert (WEB / module).exists()
        assert "innerHTML" not in file.read_text()


def test_no_other_file_is_served(shared_service: Running) -> None:
    for path in ("/web/", "/web/../server.py", "/web/%2e%2e/server.py", "/web/nothing.js"):
        answer = shared_service.client.http.get(path)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_file_is_compressed_and_sent_once(shared_service: Running) -> None:
    get = shared_service.client.http.get
    for path in ("/", "/web/page.css", "/web/longtask.js"):
        plain = get(path, headers={"Accept-Encoding": "gzip;q=0, br"})
        zipped = get(path, headers={"Accept-Encoding": "br, GZip; q=0.5"})
        assert "Content-Encoding" not in plain.headers
        assert zipped.headers["Content-Encoding"] == "gzip"
        assert zipped.headers["Vary"] == "Accept-Encoding"
        assert int(zipped.headers["Content-Length"]) < len(plain.content) / 2
        assert zipped.content == plain.content
        for sent in (plain.headers["ETag"], f'"other", {plain.headers["ETag"]}', "*"):
            again = get(path, headers={"If-None-Match": sent})
            assert again.status_code == 304
            assert again.content == b""
            for name in ("ETag", "Cache-Control", "Content-Security-Policy", "Vary"):
                assert again.headers[name] == zipped.headers[name]
        assert get(path, headers={"If-None-Match": '"other"'}).status_code == 200


def test_what_is_named_by_its_version_is_kept(shared_service: Running) -> None:
    get = shared_service.client.http.get
    version = get("/web/page.css").headers["ETag"].split('"')[1]
    assert "immutable" in get(f"/web/page.css?v={version}").headers["Cache-Control"]
    of_another_instance = get("/web/page.css?v=other")
    assert of_another_instance.status_code == 200
    assert of_another_instance.headers["Cache-Control"] == "no-cache"
