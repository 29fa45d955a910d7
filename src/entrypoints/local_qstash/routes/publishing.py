"""Publishing messages: one, one into a queue, or many."""

import time
from typing import Annotated, Any

from litestar import Controller, Request, Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from entrypoints.local_qstash.account import Account
from entrypoints.local_qstash.bounds import BATCH_LIMIT
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.publish_headers import read_message
from entrypoints.local_qstash.refusals import BadMessage, Refused
from entrypoints.local_qstash.routes.reading import json_of

Destination = Annotated[str, QueryParameter(name="destination")]


class Publishing(Controller):
    path = "/v2"

    @post("/publish")
    async def publish(
        self,
        request: Request[Any, Any, Any],
        destination: Destination,
        account: NamedDependency[Account],
    ) -> Response[dict[str, Any]]:
        headers, body = dict(request.headers), await request.body()
        return await _publish(account, _message(request, destination, headers, body))

    @post("/enqueue/{queue:str}")
    async def enqueue(
        self,
        request: Request[Any, Any, Any],
        queue: FromPath[str],
        destination: Destination,
        account: NamedDependency[Account],
    ) -> Response[dict[str, Any]]:
        headers, body = dict(request.headers), await request.body()
        return await _publish(account, _message(request, destination, headers, body, queue))

    @post("/batch", status_code=200)
    async def batch(
        self, request: Request[Any, Any, Any], account: NamedDependency[Account]
    ) -> list[dict[str, Any]]:
        """Returns a result for each message, in order. One that is refused has an `error`, and does
        not keep the others from being published."""
        given = await json_of(request)
        if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
            raise BadMessage("a batch is a list of messages")
        if len(given) > BATCH_LIMIT:
            raise BadMessage(f"a batch has at most {BATCH_LIMIT} messages")
        read = [_read_one(request, each) for each in given]
        accepted = [each for each in read if isinstance(each, QueuedMessage)]
        published = iter(await account.deliveries.publish_all(accepted))
        results = (next(published) if isinstance(each, QueuedMessage) else each for each in read)
        return [
            {"error": str(each)} if isinstance(each, Refused) else _shown(each) for each in results
        ]


def _read_one(request: Request[Any, Any, Any], given: dict[str, Any]) -> QueuedMessage | Refused:
    """Read a message of a batch, or return why it is refused."""
    headers = {str(name): str(value) for name, value in (given.get("headers") or {}).items()}
    queue = None if given.get("queue") is None else str(given["queue"])
    body = str(given.get("body") or "").encode()
    try:
        return _message(request, str(given.get("destination", "")), headers, body, queue)
    except Refused as error:
        return error


def _message(
    request: Request[Any, Any, Any],
    destination: str,
    headers: dict[str, str],
    body: bytes,
    queue: str | None = None,
) -> QueuedMessage:
    return read_message(
        destination,
        headers,
        body,
        now=time.time(),
        queue=queue,
        caller_ip=request.client.host if request.client else None,
    )


def _shown(published: tuple[str, bool]) -> dict[str, Any]:
    message_id, deduplicated = published
    return {"messageId": message_id, **({"deduplicated": True} if deduplicated else {})}


async def _publish(account: Account, message: QueuedMessage) -> Response[dict[str, Any]]:
    message_id, deduplicated = await account.deliveries.publish(message)
    shown = _shown((message_id, deduplicated))
    return Response(shown, status_code=202 if deduplicated else 201)
