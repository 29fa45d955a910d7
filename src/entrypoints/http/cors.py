"""What the pages of other origins may do here (CORS).

The origins that the settings name may use the API as our own page does. `*` lets the page of any
origin read what an unguessable task id or a stream link opens, and nothing else: it may send no key
and change nothing, since no preflight request is allowed for it.
"""

from collections.abc import Awaitable, Sequence

from litestar.config.cors import CORSConfig
from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from entrypoints.http.litestar_internals import handler_options

READABLE_BY_ALL = "readable_by_all"
"""Mark (in a handler's `opt`) of a GET that is public, or opened by an unguessable id or a link."""
EXPOSED = ["Location", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-Id"]
_EXPOSED_TO_NAMED = [
    *EXPOSED,
    "X-Longtask-Task-Id",
    "x-workflow-run-id",
    "x-workflow-stream-tail-index",
    "x-ratelimit-limit-requests",
    "x-ratelimit-limit-tokens",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-remaining-tokens",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
    "x-should-retry",
]
"""What the SDKs of OpenAI and of the AI SDK read, besides."""
_ALLOW_ORIGIN = b"access-control-allow-origin"
_FOR_ALL = (
    (_ALLOW_ORIGIN, b"*"),
    (b"access-control-expose-headers", ", ".join(EXPOSED).encode()),
)


def named_origins(origins: Sequence[str]) -> CORSConfig | None:
    if not origins:
        return None
    return CORSConfig(
        allow_origins=list(origins),
        allow_methods=["DELETE", "GET", "HEAD", "POST"],
        allow_headers=["*"],  # each SDK of OpenAI sends a dozen of its own, and its next one others
        expose_headers=_EXPOSED_TO_NAMED,
    )


class ReadableByAll:
    """Lets every origin read the responses of the routes that are marked so."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != ScopeType.HTTP or scope["method"] != "GET":
            return self._app(scope, receive, send)

        def send_readable(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start" and handler_options(scope).get(
                READABLE_BY_ALL
            ):
                names = {name.lower() for name, _ in message["headers"]}
                if _ALLOW_ORIGIN not in names:  # as a named origin has it
                    message["headers"] = [*message["headers"], *_FOR_ALL]
            return send(message)

        return self._app(scope, receive, send_readable)
