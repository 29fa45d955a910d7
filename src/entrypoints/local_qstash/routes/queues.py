"""Queues: created or changed, shown, paused, resumed and deleted."""

from typing import Any

from litestar import Controller, Request, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from entrypoints.local_qstash.account import Account
from entrypoints.local_qstash.filters import Search
from entrypoints.local_qstash.names import checked_name
from entrypoints.local_qstash.refusals import BadMessage
from entrypoints.local_qstash.routes.reading import json_of, not_found
from entrypoints.local_qstash.whole_numbers import whole_number_in_json


class QueueRoutes(Controller):
    path = "/v2/queues"

    @post("/", status_code=200)
    async def upsert(
        self, request: Request[Any, Any, Any], account: NamedDependency[Account]
    ) -> None:
        given = await json_of(request)
        if not isinstance(given, dict):
            raise BadMessage("a queue is an object with queueName and parallelism")
        name, parallelism = given.get("queueName"), whole_number_in_json(given.get("parallelism"))
        paused = given.get("paused")
        if not isinstance(name, str):
            raise BadMessage("queueName must be a string")
        if not parallelism:
            raise BadMessage("parallelism must be a whole number above 0")
        if paused is not None and not isinstance(paused, bool):
            raise BadMessage("paused must be true or false")
        await account.queues.set(name, parallelism, paused=paused)

    @get("/")
    async def show_all(self, account: NamedDependency[Account]) -> list[dict[str, Any]]:
        return account.queues.all()

    @get("/{queue:str}")
    async def show(self, queue: FromPath[str], account: NamedDependency[Account]) -> dict[str, Any]:
        shown = account.queues.get(checked_name(queue, "queue name"))
        if shown is None:
            raise not_found("queue")
        return shown

    @delete("/{queue:str}", status_code=200)
    async def remove(self, queue: FromPath[str], account: NamedDependency[Account]) -> None:
        """Cancels the messages of the queue, too."""
        ids = account.deliveries.turns.in_queue(checked_name(queue, "queue name"))
        await account.deliveries.cancel(Search.of(*ids))
        await account.queues.delete(queue)

    @post("/{queue:str}/pause", status_code=200)
    async def pause(self, queue: FromPath[str], account: NamedDependency[Account]) -> None:
        await account.queues.pause(queue)

    @post("/{queue:str}/resume", status_code=200)
    async def resume(self, queue: FromPath[str], account: NamedDependency[Account]) -> None:
        await account.queues.resume(queue)
