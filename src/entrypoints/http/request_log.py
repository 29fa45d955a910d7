"""One log line per request, and a request id that the response and every line in between carry.

The query is not logged: it may hold a prompt.
"""

import re
import time
import uuid
from collections.abc import Awaitable, Callable

import structlog
from litestar.datastructures import Headers
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

log = structlog.get_logger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_QUIET = {"/healthz", "/readyz", "/metrics"}


class RequestLog:
    """Stands around the application, so that it sees requests that match no route."""

    def __init__(self, app: ASGIApp, responded: Callable[[HTTPScope, int], None]) -> None:
        """`responded` is told the status of each response when it begins."""
        self._app = app
        self._responded = responded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        given = Headers.from_scope(scope).get("x-request-id", "")
        request_id = given if _REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        began = time.perf_counter()
        status: int | None = None

        def send_with_id(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._responded(scope, status)
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            return send(message)

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
