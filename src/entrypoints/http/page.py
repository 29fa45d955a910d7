"""The web page at /, its files under /web, and the headers that bound what it may do.

The page is plain files without a build step. `make vendor`, and the build of a package, put beside
it the libraries that highlight code and typeset formulas, and a bundle of its files. Its policy
lets it run its own scripts and call this service, and nothing else; with Trusted Types no text can
become HTML, whatever a model answers.
"""

import re
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Any

from litestar import Request, Response, Router, get
from litestar.handlers import HTTPRouteHandler

from entrypoints.http.cors import READABLE_BY_ALL
from entrypoints.http.page_bundle import SCRIPT, STYLE, is_bundled, with_bundle
from entrypoints.http.static_files import StaticContent, static_files, versioned

WEB = Path(__file__).parent.parent / "web"
HEADERS = {
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "font-src 'self'",  # of formulas
            "img-src 'self' data:",  # images of a prompt or of a hosted tool
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def _with_headers(response: Response[Any]) -> Response[Any]:
    for name, value in HEADERS.items():
        response.headers[name] = value
    return response


def page_handlers(prefix: str) -> list[HTTPRouteHandler | Router]:
    """The addresses in the page begin with `prefix`. Its scripts find the service by their own."""

    @get("/", include_in_schema=False, sync_to_thread=True, after_request=_with_headers)
    def page(request: Request[Any, Any, Any]) -> Response[bytes]:
        newest = max(each.stat().st_mtime_ns for each in WEB.iterdir())
        return _page(prefix, newest).response(request)

    files = static_files("/web", WEB, opt={READABLE_BY_ALL: True}, after_request=_with_headers)
    return [page, files]


@lru_cache(maxsize=4)
def _page(prefix: str, _: int) -> StaticContent:
    """The page of the files that are there now."""
    html = (WEB / "index.html").read_text(encoding="utf-8")
    if (WEB / "vendor" / "versions.json").is_file():
        html = html.replace("<html ", "<html data-vendored ", 1)
    if is_bundled(WEB):
        html = with_bundle(html)
        for name in (SCRIPT, STYLE):
            html = html.replace(f'/web/{name}"', f'{versioned(f"/web/{name}", WEB / name)}"')
    return StaticContent(_under(prefix, html).encode(), ".html")


def _under(prefix: str, html: str) -> str:
    """The page, the addresses in it with a prefix. All of them are in attributes."""
    return re.sub(r'((?:src|href)=")/', lambda found: f"{found[1]}{escape(prefix)}/", html)
