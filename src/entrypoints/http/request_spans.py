"""A span for each request to the API, where traces are made."""

from collections.abc import Awaitable
from typing import TYPE_CHECKING

from litestar.datastructures import Headers
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

if TYPE_CHECKING:
    from adapters.opentelemetry import Tracing


class RequestSpans:
    """Stands around the request log, so that its line belongs to the span. A stream has no span: it
    lasts as long as its reader likes, and says nothing about how a task was run."""

    def __init__(self, app: ASGIApp, tracing: "Tracing") -> None:
        self._app = app
        self._tracing = tracing

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == ScopeType.HTTP and _is_traced(scope["path"]):
            return self._traced(scope, receive, send)
        return self._app(scope, receive, send)

    async def _traced(self, scope: HTTPScope, receive: Receive, send: Send) -> None:
        status: int | None = None

        def watched_send(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            return send(message)

        headers = Headers.from_scope(scope)
        with self._tracing.request(scope["method"], scope["path"], headers) as span:
            await self._app(scope, receive, watched_send)
            self._tracing.responded(span, status)


def _is_traced(path: str) -> bool:
    return path.startswith("/api/") and not path.endswith("/stream")
