"""The headers that every response carries unless it says otherwise: nothing of it is run, framed,
cached or sent on as a referrer."""

from collections.abc import Awaitable, Sequence

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

RawHeaders = Sequence[tuple[bytes, bytes]]

_POLICY = b"default-src 'none'; frame-ancestors 'none'"
_API_PAGE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self' 'unsafe-inline'",  # Litestar writes the page's script into it
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "frame-ancestors 'none'",
    )
).encode()
_HSTS = (b"strict-transport-security", b"max-age=31536000")
_DEFAULTS = {
    (api_page, https): (
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"content-security-policy", _API_PAGE_POLICY if api_page else _POLICY),
        (b"cache-control", b"no-store"),
        *((_HSTS,) if https else ()),
    )
    for api_page in (False, True)
    for https in (False, True)
}
"""By whether it is the API page, and whether the connection is encrypted."""


class SecurityHeaders:
    """Stands around the application, so that errors carry them too."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != ScopeType.HTTP:
            return self._app(scope, receive, send)
        defaults = _DEFAULTS[scope["path"].startswith("/schema"), scope["scheme"] == "https"]

        def send_with_defaults(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message["headers"] = _completed(list(message["headers"]), defaults)
            return send(message)

        return self._app(scope, receive, send_with_defaults)


def _completed(headers: RawHeaders, defaults: RawHeaders) -> RawHeaders:
    """The headers, and the defaults of those names that they do not have."""
    names = {name.lower() for name, _ in headers}
    return [*headers, *[each for each in defaults if each[0] not in names]]
