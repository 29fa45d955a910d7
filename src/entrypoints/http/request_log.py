"""One log line per request, a request id that every line in between carries, and the headers that
every answer bears, errors too.

Outermost, so that it sees requests that match no route. The query is not logged: it may hold a
prompt.
"""

import re
import time
import uuid
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING

import structlog
from litestar.datastructures import Headers
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from entrypoints.http.paths import STREAM_PATH

if TYPE_CHECKING:
    from adapters.opentelemetry import Tracing

RawHeaders = Iterable[tuple[bytes, bytes]]

log = structlog.get_logger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cache-control", b"no-store"),
)
"""For what says nothing else of itself."""
_HSTS = (b"strict-transport-security", b"max-age=31536000")
_API_PAGE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'unsafe-inline'",  # Litestar writes the page's script into it
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "frame-ancestors 'none'",
    )
)
_API_PAGE_HEADER = (b"content-security-policy", _API_PAGE_POLICY.encode())
_QUIET = {"/healthz", "/readyz", "/metrics"}


class RequestLog:
    def __init__(self, app: ASGIApp, tracing: "Tracing | None" = None) -> None:
        self._app = app
        self._tracing = tracing

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != ScopeType.HTTP:
            return self._app(scope, receive, send)
        path = scope["path"]
        # A stream is as long as its reader likes, and no part of how a task comes about.
        if self._tracing is None or not path.startswith("/api/") or path == STREAM_PATH:
            return self._logged(scope, receive, send)
        return self._traced(scope, receive, send, self._tracing)

    async def _traced(
        self, scope: HTTPScope, receive: Receive, send: Send, tracing: "Tracing"
    ) -> None:
        headers = Headers.from_scope(scope)
        with tracing.request(scope["method"], scope["path"], headers) as span:
            await self._logged(scope, receive, send, partial(tracing.answered, span))

    async def _logged(
        self,
        scope: HTTPScope,
        receive: Receive,
        send: Send,
        answered: Callable[[int | None], None] = lambda _: None,
    ) -> None:
        given = Headers.from_scope(scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        began = time.perf_counter()
        status: int | None = None

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _with_ours(scope, message["headers"], request_id)
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            emit = log.debug if scope["path"] in _QUIET else log.info
            emit(
                "request",
                method=scope["method"],
                path=scope["path"],
                status=status,
                seconds=round(time.perf_counter() - began, 3),
            )
        answered(status)


def _with_ours(scope: HTTPScope, headers: RawHeaders, request_id: str) -> RawHeaders:
    added = [(b"x-request-id", request_id.encode()), *_HEADERS]
    if scope["path"].startswith("/schema"):
        added.insert(0, _API_PAGE_HEADER)
    if scope["scheme"] == "https":
        added.append(_HSTS)
    result = list(headers)
    said = {name.lower() for name, _ in result}
    for header in added:
        if header[0] not in said:
            said.add(header[0])
            result.append(header)
    return result
