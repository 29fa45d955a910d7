"""The page at the root of a local QStash that runs alone, and what only it asks for.

Whatever it shows came from clients. Its policy lets it run its own scripts and call this server,
and nothing else; with Trusted Types no text can become HTML.
"""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from litestar import Controller, Response, get
from litestar.di import NamedDependency
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from entrypoints.local_qstash.account import Account
from entrypoints.local_qstash.filters import Search
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.routes.reading import not_found

PAGE = Path(__file__).parent.parent / "page"
TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            "style-src 'self'",
            "img-src 'self'",
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
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
WAITING = 100
"""Messages that it shows."""
ROW = (
    "messageId",
    "method",
    "url",
    "queueName",
    "flowControlKey",
    "topicName",
    "endpointName",
    "scheduleId",
    "notBefore",
    "maxRetries",
)
CUT, LABELS = 500, 10
"""Characters of a text, and labels, in a row."""
COUNTED = 99
"""Dead letters. Each is read to be counted."""


def page_handlers(users: Mapping[str, str]) -> list[HTTPRouteHandler]:
    """Return what anybody may ask for: the page, its files, and these users with their tokens,
    which are public."""
    responses = {each.name: partial(_response, each.read_bytes(), each.suffix) for each in _files()}

    @get("/")
    async def page() -> Response[bytes]:
        return responses["index.html"]()

    @get("/page/{name:str}")
    async def file(name: FromPath[str]) -> Response[bytes]:
        if name not in responses:
            raise not_found("file")
        return responses[name]()

    @get("/page/users")
    async def show_users() -> list[dict[str, str]]:
        return [{"name": name, "token": token} for name, token in users.items()]

    return [page, file, show_users]


class PageContent(Controller):
    path = "/page"

    @get("/messages")
    async def messages(self, account: NamedDependency[Account]) -> dict[str, Any]:
        """The messages that are not yet delivered, those first that were published first."""
        deliveries = account.deliveries
        shown = [
            {**_brief(each), "delivering": deliveries.is_delivering(each.id)}
            for each in await deliveries.oldest(WAITING)
        ]
        return {"messages": shown, "total": deliveries.waiting}

    @get("/counts")
    async def counts(self, account: NamedDependency[Account]) -> dict[str, int | str]:
        """How many there are, by the names of the page's views."""
        letters, more = await account.deliveries.dead_letters.ids(Search(count=COUNTED))
        return {
            "newest": account.journal.newest,  # which tells whether to look at the log
            "messages": account.deliveries.waiting,
            "dlq": len(letters) if more is None else f"{COUNTED}+",
            "queues": len(account.queues.all()),
            "schedules": len(account.schedules.all()),
            "flow": len(account.flows.all()),
            "groups": len(account.url_groups.all()),
        }


def _brief(message: QueuedMessage) -> dict[str, Any]:
    """What a row shows, of which a client may have made very much."""
    shown = message.as_json()
    row = {name: shown[name] for name in ROW if name in shown}
    row |= {name: text[:CUT] for name, text in row.items() if isinstance(text, str)}
    labels = [each[:CUT] for each in message.labels[:LABELS]]
    return {**row, "labels": labels, "retried": message.retried}


def _files() -> list[Path]:
    return [each for each in PAGE.iterdir() if each.suffix in TYPES]


def _response(content: bytes, suffix: str) -> Response[bytes]:
    return Response(content, media_type=TYPES[suffix], headers=HEADERS)
