"""The web page at /, its files under /web, and the headers that bound what it may do.

The page is plain files without a build step. Libraries that highlight code and typeset formulas lie
beside it where `make vendor` or the build of a package has put them. Its policy lets it run its
own scripts and call this service, and nothing else; with Trusted Types no text can become HTML,
whatever a model answers.
"""

import hashlib
import re
from html import escape
from pathlib import Path
from typing import Any

from litestar import MediaType, Response, Router, get
from litestar.connection import ASGIConnection
from litestar.datastructures import CacheControlHeader, ETag
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.static_files import create_static_files_router

from entrypoints.http.cors import READABLE_BY_ALL
from entrypoints.http.problems import nothing_here

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
REVALIDATE = CacheControlHeader(no_cache=True)
"""A browser keeps the files but asks whether they changed: after an upgrade no old script runs in a
new page."""


def _with_headers(response: Response[Any]) -> Response[Any]:
    for name, value in HEADERS.items():
        response.headers[name] = value
    return response


def page_handlers(prefix: str) -> list[HTTPRouteHandler | Router]:
    """The addresses in the page begin with `prefix`. Its scripts find the service by their own."""
    options: dict[str, Any] = {"after_request": _with_headers, "cache_control": REVALIDATE}
    text = _under(prefix, (WEB / "index.html").read_text(encoding="utf-8"))
    if (WEB / "vendor" / "versions.json").is_file():
        text = text.replace("<html ", "<html data-vendored ", 1)
    etag = ETag(value=hashlib.sha256(text.encode()).hexdigest())

    @get("/", include_in_schema=False, media_type=MediaType.HTML, etag=etag, **options)
    async def page() -> str:
        return text

    files = static_files("/web", WEB, opt={READABLE_BY_ALL: True}, **options)
    return [page, files]


def _under(prefix: str, html: str) -> str:
    """The page, the addresses in it with a prefix. All of them are in attributes."""
    return re.sub(r'((?:src|href)=")/', lambda found: f"{found[1]}{escape(prefix)}/", html)


def static_files(path: str, directory: Path, **options: Any) -> Router:
    """Serve the files of a directory, and no other path: the file system raises errors for some (a
    NUL, a file in the place of a directory, a name that is too long)."""
    there = {f"/{each.relative_to(directory).as_posix()}" for each in directory.rglob("*")}

    async def only_these(
        connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler
    ) -> None:
        if str(connection.path_params["file_path"]) not in there:
            raise nothing_here()

    return create_static_files_router(
        path, [directory], include_in_schema=False, guards=[only_these], **options
    )
