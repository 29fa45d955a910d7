"""The dead-letter queue."""

from typing import Any

from litestar import Controller, Request, delete, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery

from entrypoints.local_qstash.account import Account
from entrypoints.local_qstash.bounds import PAGE_LETTERS
from entrypoints.local_qstash.routes.reading import ids_in, json_of, not_found


class DeadLetters(Controller):
    path = "/v2/dlq"

    @get("/")
    async def search(
        self,
        request: Request[Any, Any, Any],
        account: NamedDependency[Account],
        cursor: FromQuery[str | None] = None,
        count: FromQuery[int] = PAGE_LETTERS,
    ) -> dict[str, Any]:
        letters, following = await account.deliveries.dead_letters.page(
            dict(request.query_params), cursor, count
        )
        page: dict[str, Any] = {"messages": [each.as_json() for each in letters]}
        return page if following is None else {**page, "cursor": following}

    @get("/{dlq_id:str}")
    async def show(
        self, dlq_id: FromPath[str], account: NamedDependency[Account]
    ) -> dict[str, Any]:
        letter = await account.deliveries.dead_letters.get(dlq_id)
        if letter is None:
            raise not_found("message")
        return letter.as_json()

    @delete("/{dlq_id:str}", status_code=200)
    async def discard(self, dlq_id: FromPath[str], account: NamedDependency[Account]) -> None:
        if not await account.deliveries.dead_letters.delete([dlq_id]):
            raise not_found("message")

    @delete("/", status_code=200)
    async def discard_many(
        self, request: Request[Any, Any, Any], account: NamedDependency[Account]
    ) -> dict[str, int]:
        ids = ids_in(await json_of(request), "dlqIds")
        return {"deleted": await account.deliveries.dead_letters.delete(ids)}
