"""The messages that are known, and their cancellation."""

from dataclasses import replace
from typing import Any

from litestar import Controller, Request, delete, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from entrypoints.local_qstash.account import Account
from entrypoints.local_qstash.filters import MESSAGES, Search
from entrypoints.local_qstash.routes.reading import not_found, search_of

ALWAYS_SENT = 100
"""The count that the JavaScript SDK sends with each bulk cancel, and of which it says that the
server ignores it. Other counts bound the call, as the description of the API says."""


class Messages(Controller):
    path = "/v2/messages"

    @get("/{message_id:str}")
    async def show(
        self, message_id: FromPath[str], account: NamedDependency[Account]
    ) -> dict[str, Any]:
        message = await account.deliveries.message(message_id)
        if message is None:
            raise not_found("message")
        return message.as_json()

    @delete("/{message_id:str}", status_code=200)
    async def cancel(
        self, message_id: FromPath[str], account: NamedDependency[Account]
    ) -> dict[str, int]:
        if not await account.deliveries.cancel(Search.of(message_id)):
            raise not_found("message")
        return {"cancelled": 1}

    @delete("/", status_code=200)
    async def cancel_many(
        self, request: Request[Any, Any, Any], account: NamedDependency[Account]
    ) -> dict[str, int]:
        search = await search_of(request, MESSAGES)
        if search.count == ALWAYS_SENT:
            search = replace(search, count=None)
        return {"cancelled": await account.deliveries.cancel(search)}
