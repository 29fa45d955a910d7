"""Serves files of the package: compressed once, and again only to a browser that has other ones.

Every response has an ETag, and a browser that sends it gets an empty 304. A file that is asked for
by the version of its content (`?v=`, see `versioned`) may be kept for a year without asking; at any
other version, which another instance may have named during an upgrade, it is served as it is here.
"""

import gzip
import hashlib
import mimetypes
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from litestar import Request, Response, Router, get
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath

from entrypoints.http.problems import nothing_here

REVALIDATE = "no-cache"
"""A browser keeps the file but asks whether it has changed: after an upgrade no old script runs in
a new page."""
IMMUTABLE = "public, max-age=31536000, immutable"
_VERSION = "v"
_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
"""Not as the machine has them: a browser runs no script of another type."""
_COMPRESSED = {".woff2", ".png", ".webp", ".gif", ".jpg"}


class StaticContent:
    """Some bytes that are served, with what is computed from them once."""

    def __init__(self, plain: bytes, suffix: str) -> None:
        self.plain = plain
        self.zipped = plain if suffix in _COMPRESSED else gzip.compress(plain, mtime=0)
        self.version = hashlib.sha256(plain).hexdigest()[:20]
        known = _TYPES.get(suffix) or mimetypes.types_map.get(suffix)
        self.media_type = known or "application/octet-stream"  # Litestar adds the charset of texts

    def response(self, request: Request[Any, Any, Any]) -> Response[bytes]:
        """Return what the request gets: the bytes, compressed if it accepts that and they become
        fewer, or that what it has is right."""
        is_named = request.query_params.get(_VERSION) == self.version
        tag = f'W/"{self.version}"'  # weak: one for both forms
        headers = {
            "Cache-Control": IMMUTABLE if is_named else REVALIDATE,
            "ETag": tag,
            "Vary": "Accept-Encoding",
        }
        if _holds(request.headers.getall("if-none-match", []), tag):
            return Response(b"", status_code=304, headers=headers)
        body = self.plain
        if len(self.zipped) < len(body) and _accepts_gzip(request):
            body = self.zipped
            headers["Content-Encoding"] = "gzip"
        return Response(body, headers=headers, media_type=self.media_type)


def static_files(path: str, directory: Path, **options: Any) -> Router:
    """Serve the files of a directory, and no other path: the file system raises errors for some (a
    NUL, a file in the place of a directory, a name that is too long)."""
    there = {f"/{each.relative_to(directory).as_posix()}" for each in directory.rglob("*")}

    async def only_these(
        connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler
    ) -> None:
        if str(connection.path_params["file_path"]) not in there:
            raise nothing_here()

    @get("/{file_path:path}", include_in_schema=False, sync_to_thread=True, guards=[only_these])
    def file(file_path: FromPath[Path], request: Request[Any, Any, Any]) -> Response[bytes]:
        named = directory / file_path.as_posix().lstrip("/")
        if not named.is_file():
            raise nothing_here()
        return static_content(named).response(request)

    return Router(path, route_handlers=[file], **options)


def static_content(file: Path) -> StaticContent:
    """Return the content of a file, as it is now. Raises OSError."""
    return _content(file, file.stat().st_mtime_ns)


def versioned(address: str, file: Path) -> str:
    """Return the address of a file by which a browser may keep it."""
    return f"{address}?{_VERSION}={static_content(file).version}"


@lru_cache(maxsize=512)
def _content(file: Path, _: int) -> StaticContent:
    return StaticContent(file.read_bytes(), file.suffix)


def _holds(sent: Sequence[str], tag: str) -> bool:
    known = [each.strip() for line in sent for each in line.split(",")]
    return "*" in known or any(each.removeprefix("W/") == tag.removeprefix("W/") for each in known)


def _accepts_gzip(request: Request[Any, Any, Any]) -> bool:
    for each in ",".join(request.headers.getall("accept-encoding", [])).split(","):
        name, _, quality = each.replace(" ", "").lower().partition(";q=")
        if name in ("gzip", "*"):
            return quality.strip("0.") != "" or quality == ""
    return False
