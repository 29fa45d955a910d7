"""What a request passes through before the router of the local QStash."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import unquote, unquote_to_bytes, urlencode

from litestar import Request
from litestar.enums import ScopeType
from litestar.response.base import ASGIResponse
from litestar.serialization import encode_json
from litestar.types import ASGIApp, Receive, Scope, Send

SCHEDULES = "/v2/schedules/"
_ACTION = re.compile(r"(/v2/flowControl/)(.+)(/(?:pause|resume|pin|unpin|resetRate))")
_NAME = re.compile(
    r"(/v2/(?:flowControl|wait|waiters|workflows/runs)/|/v2/notify/(?:wfr_[^/]+/)?)(.+)()"
)
"""What is before a name that may have any characters, the name, and what is behind it. The SDK
begins the id of each run with `wfr_`."""


class OwnHosts:
    """Refuses requests whose Host header is not one of the server's names, before it reads anything
    else. The token of `longtask local-qstash` is public, so a page whose own name resolves to this
    machine (DNS rebinding) could otherwise publish messages to any address."""

    def __init__(self, app: ASGIApp, accepts_host: Callable[[str | None], bool]) -> None:
        self._app = app
        self._accepts_host = accepts_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            hosts = [value for name, value in scope["headers"] if name == b"host"]
            host = hosts[0].decode("latin-1") if len(hosts) == 1 else None
            if not self._accepts_host(host):
                refused = _forbid(
                    "this QStash does not accept requests at the name in the Host header: "
                    "call it by its address, or start it with --allowed-host NAME"
                )
                await refused(scope, receive, send)
                return
        await self._app(scope, receive, send)


class TokenInQuery:
    """Moves the token of `?qstash_token=` into the Authorization header, and so out of the query of
    a destination.

    Not for a web page: the token of `longtask local-qstash` is public, and a page of any site could
    publish by a form. A browser says in Origin or Sec-Fetch-Site that a page has sent a request; to
    send an Authorization header across origins, it would have to be allowed by this server."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP and b"qstash_token=" in scope["query_string"]:
            parts = scope["query_string"].split(b"&")
            tokens = [each for each in parts if each.startswith(b"qstash_token=")]
            scope["query_string"] = b"&".join(each for each in parts if each not in tokens)
            names = {name for name, _ in scope["headers"]}
            if tokens and b"authorization" not in names:
                if not names.isdisjoint((b"origin", b"sec-fetch-site")):
                    refused = _forbid("a web page must send its token in the Authorization header")
                    await refused(scope, receive, send)
                    return
                token = unquote_to_bytes(tokens[0].partition(b"=")[2])
                scope["headers"] = [*scope["headers"], (b"authorization", b"Bearer " + token)]
        await self._app(scope, receive, send)


class DestinationInQuery:
    """Moves the destination of `/v2/publish/https://host/path?query` into the query: a router
    would treat its slashes and its query as the request's own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            path = scope["raw_path"].decode("latin-1")
            query = scope["query_string"].decode("latin-1")
            for prefix, parts in (("/v2/publish/", 0), ("/v2/enqueue/", 1), (SCHEDULES, 0)):
                if path.startswith(prefix) and not _names_schedule(scope["method"], path):
                    *queue, destination = path[len(prefix) :].split("/", parts)
                    if destination.lower().startswith(("http%3a", "https%3a")):
                        destination = unquote(destination)
                    destination += f"?{query}" if query else ""
                    scope["path"] = "/".join([prefix.rstrip("/"), *queue])
                    scope["raw_path"] = scope["path"].encode()
                    scope["query_string"] = urlencode({"destination": destination}).encode()
        await self._app(scope, receive, send)


class NamesInPath:
    """Gives the router the path as it was sent, for which a `%2F` separates nothing. The official
    SDKs encode no name, so a slash that is sent as it is belongs to the name, too. `decode_names`
    must follow."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP:
            path = scope["raw_path"].decode("latin-1")
            shape = _ACTION if scope["method"] == "POST" else _NAME
            if (found := shape.fullmatch(path) or _NAME.fullmatch(path)) is not None:
                before, name, behind = found.groups()
                path = before + name.replace("/", "%2F") + behind
            scope = scope.copy()  # the log of the server shows the other
            scope["path"] = path
        await self._app(scope, receive, send)


def decode_names(request: Request[Any, Any, Any]) -> None:
    """Decode the names that the router has found in the path."""
    names = request.path_params
    request.scope["path_params"] = {each: unquote(name) for each, name in names.items()}


def _forbid(why: str) -> ASGIResponse:
    return ASGIResponse(body=encode_json({"error": why}), status_code=403)


def _names_schedule(method: str, path: str) -> bool:
    """Whether the path has the id of a schedule, not the destination of a new one."""
    if not path.startswith(SCHEDULES):
        return False
    behind_id = path[len(SCHEDULES) :].partition("/")[2]
    return method != "POST" or behind_id in ("pause", "resume")
