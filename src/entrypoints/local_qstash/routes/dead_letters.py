"""The dead-letter queue."""

import time
from typing import Any

from litestar import Controller, Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from entrypoints.local_qstash.account import Account
from entrypoints.local_qstash.filters import LETTERS, Search
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.refusals import NotThere
from entrypoints.local_qstash.retrying import message_again
from entrypoints.local_qstash.routes.reading import headers_of, not_found, page, search_of


class DeadLetters(Controller):
    path = "/v2/dlq"

    @get("/")
    async def search(
        self, request: Request[Any, Any, Any], account: NamedDependency[Account]
    ) -> dict[str, Any]:
        search = await search_of(request, LETTERS)
        letters, following = await account.deliveries.dead_letters.page(search)
        return page("messages", [each.as_json() for each in letters], following)

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
    ) -> dict[str, Any]:
        letters = account.deliveries.dead_letters
        ids, following = await letters.ids(await search_of(request, LETTERS))
        return page("deleted", await letters.delete(ids), following)

    @post("/retry/{dlq_id:str}", status_code=201)
    async def retry(
        self,
        request: Request[Any, Any, Any],
        dlq_id: FromPath[str],
        account: NamedDependency[Account],
    ) -> dict[str, str]:
        responses, _ = await _retry(request, account, Search.of(dlq_id))
        return responses[0]

    @post("/retry", status_code=201)
    async def retry_many(
        self, request: Request[Any, Any, Any], account: NamedDependency[Account]
    ) -> dict[str, Any]:
        return page("responses", *await _retry(request, account, await search_of(request, LETTERS)))


async def _retry(
    request: Request[Any, Any, Any], account: Account, search: Search
) -> tuple[list[dict[str, str]], str | None]:
    """Return a response for each letter, in the order in which the search names them, else newest
    first, and the cursor of the next page. If one that it names is not there, none is retried."""
    headers, now = headers_of(request), time.time()

    def again(message: QueuedMessage) -> QueuedMessage:
        return message_again(account.workflow_runs.with_steps(message), headers, now)

    letters, following = await account.deliveries.dead_letters.page(search)
    if search.ids is not None:
        there = {each.id: each for each in letters}
        if missing := search.ids - there.keys():
            raise NotThere(f"message {', '.join(sorted(missing))} not found")
        letters = [there[each] for each in search.ids]
    published = await account.deliveries.retry(letters, again)
    return [{"messageId": each} for each in published], following
