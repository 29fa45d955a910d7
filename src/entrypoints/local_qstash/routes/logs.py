"""The log."""

from typing import Any

from litestar import Controller, Request, get
from litestar.di import NamedDependency

from entrypoints.local_qstash.account import Account
from entrypoints.local_qstash.bounds import PAGE_BYTES
from entrypoints.local_qstash.filters import EVENTS, LOGS, Kind
from entrypoints.local_qstash.journal import shown
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.routes.reading import page, search_of
from entrypoints.local_qstash.states import State


class Logs(Controller):
    path = "/v2"

    @get("/logs")
    async def logs(
        self, request: Request[Any, Any, Any], account: NamedDependency[Account]
    ) -> dict[str, Any]:
        """The log as the description of QStash's API has it."""
        entries, following = await _entries(request, account, LOGS)
        for each in entries:
            if each["state"] is State.CANCELED:
                each["state"] = "CANCELLED"
        return page("logs", entries, following)

    @get("/events")
    async def events(
        self, request: Request[Any, Any, Any], account: NamedDependency[Account]
    ) -> dict[str, Any]:
        """The log as the SDKs read it."""
        return page("events", *await _entries(request, account, EVENTS))


async def _entries(
    request: Request[Any, Any, Any], account: Account, kind: Kind
) -> tuple[list[dict[str, Any]], str | None]:
    events, following = account.journal.page(await search_of(request, kind))
    messages: dict[str, QueuedMessage] = {}
    size = 0
    for message in (each.noted.message for each in events):
        if message.id not in messages:
            # The log has no body of a message that is not yet delivered.
            whole = message.body or size > PAGE_BYTES
            kept = None if whole else await account.deliveries.message(message.id)
            messages[message.id] = kept or message
            size += len(messages[message.id].body)
    return [shown(each, messages[each.noted.message.id]) for each in events], following
