"""The messages that are known, and their cancellation."""

from typing import Any

from litestar import Controller, Request, delete, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from entrypoints.local_qstash.account import Account
from entrypoints.local_qstash.routes.reading import ids_in, json_of, not_found


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

    @delete("/{message_id:str}", status_code=202)
    async def cancel(self, message_id: FromPath[str], account: NamedDependency[Account]) -> None:
        if not await account.deliveries.cancel([message_id]):
            raise not_found("message")

    @delete("/", status_code=200)
    async def cancel_many(
        self, request: Request[Any, Any, Any], account: NamedDependency[Account]
    ) -> dict[str, int]:
        given = await json_of(request)
        if given is None:
            return {"cancelled": await account.deliveries.cancel(None)}
        return {"cancelled": await account.deliveries.cancel(ids_in(given, "messageIds"))}
