"""HEAD on every address that GET has.

HEAD is routed as GET, and the server leaves the body out. A handler whose body is long, or is
waited for, asks `is_head` and returns `headers_only`.
"""

from collections.abc import Awaitable, Mapping
from typing import Any

from litestar import Litestar, Request, Response
from litestar.enums import ScopeType
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from entrypoints.http.litestar_internals import UnsizedResponse
from entrypoints.http.paths import WEBHOOK_PATH

_MARK = "longtask.head"


class HeadRequests:
    """Stands directly around the application, so that all others see the method that was sent."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != ScopeType.HTTP:
            return self._app(scope, receive, send)
        routed: Any = scope
        if scope["method"] == "HEAD":
            routed = {**scope, "method": "GET", _MARK: True}

        if scope["path"].rstrip("/") == WEBHOOK_PATH:  # its GET, in development, runs a task
            return self._app(routed, receive, send)

        def send_with_head(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message["headers"] = [_allowing(*each) for each in message["headers"]]
            return send(message)

        return self._app(routed, receive, send_with_head)


def is_head(scope: Scope) -> bool:
    return _MARK in scope


def headers_only(media_type: str, headers: Mapping[str, str] | None = None) -> Response[None]:
    """Return the response to a HEAD whose GET would have a body of a length not known here."""
    return _HeadersOnly(None, media_type=media_type, headers=headers)


class _HeadersOnly(Response[None]):
    def to_asgi_response(
        self, app: Litestar | None, request: Request[Any, Any, Any], **options: Any
    ) -> ASGIResponse:
        return UnsizedResponse(
            headers={**(options.get("headers") or {}), **self.headers}, media_type=self.media_type
        )


def _allowing(name: bytes, value: bytes) -> tuple[bytes, bytes]:
    """The header; with HEAD, if it lists the methods of an address that has GET."""
    if name.lower() != b"allow":
        return name, value
    methods = {each.strip() for each in value.split(b",")}
    return name, b", ".join(sorted(methods | {b"HEAD"})) if b"GET" in methods else value
