"""What a request passes through before the router of the local QStash."""

from collections.abc import Callable
from urllib.parse import unquote, urlencode

from litestar.enums import ScopeType
from litestar.response.base import ASGIResponse
from litestar.serialization import encode_json
from litestar.types import ASGIApp, Receive, Scope, Send


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
                refusal = {
                    "error": "this QStash does not accept requests at the name in the Host header: "
                    "call it by its address, or start it with --allowed-host NAME"
                }
                response = ASGIResponse(body=encode_json(refusal), status_code=403)
                await response(scope, receive, send)
                return
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
            for prefix, parts in (("/v2/publish/", 0), ("/v2/enqueue/", 1)):
                if path.startswith(prefix):
                    *queue, destination = path[len(prefix) :].split("/", parts)
                    if destination.lower().startswith(("http%3a", "https%3a")):
                        destination = unquote(destination)
                    destination += f"?{query}" if query else ""
                    scope["path"] = "/".join([prefix.rstrip("/"), *queue])
                    scope["raw_path"] = scope["path"].encode()
                    scope["query_string"] = urlencode({"destination": destination}).encode()
        await self._app(scope, receive, send)
