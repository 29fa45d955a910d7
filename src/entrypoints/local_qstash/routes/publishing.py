"""Publishing messages: one, one into a queue, or many."""

import time
from collections.abc import Sequence
from itertools import islice
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath, QueryParameter

from entrypoints.local_qstash.account import Account
from entrypoints.local_qstash.addressing import messages_of
from entrypoints.local_qstash.beginnings import Portions
from entrypoints.local_qstash.bounds import BATCH_LIMIT, FANNED_OUT
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.refusals import BadMessage, Refused
from entrypoints.local_qstash.routes.reading import headers_of, json_of
from entrypoints.local_qstash.sendable import Headers

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
        headers, body = headers_of(request), await request.body()
        return await _publish(account, _read(request, account, destination, headers, body))

    @post("/enqueue/{queue:str}")
    async def enqueue(
        self,
        request: Request[Any, Any, Any],
        queue: FromPath[str],
        destination: Destination,
        account: NamedDependency[Account],
    ) -> Response[dict[str, Any]]:
        headers, body = headers_of(request), await request.body()
        return await _publish(account, _read(request, account, destination, headers, body, queue))

    @post("/batch", status_code=200)
    async def batch(
        self, request: Request[Any, Any, Any], account: NamedDependency[Account]
    ) -> list[Any]:
        """Returns a result for each message, in order: a list for one that is published to a URL
        group. One that is refused has an `error`, and does not keep the others from being
        published."""
        given = await json_of(request)
        if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
            raise BadMessage("a batch is a list of messages")
        if len(given) > BATCH_LIMIT:
            raise BadMessage(f"a batch has at most {BATCH_LIMIT} messages")
        portions = Portions()  # 10,000 messages take more than a second to be read
        for each in given:
            _check_fields(each)
        read: list[list[QueuedMessage] | Refused] = []
        messages: list[QueuedMessage] = []
        for each in given:
            read.append(found := _read_one(request, account, each))
            messages += [] if isinstance(found, Refused) else found
            if len(messages) > FANNED_OUT:
                raise BadMessage(f"a batch comes to at most {FANNED_OUT} messages")
            await portions.step()
        published = iter(await account.workflow_runs.publish_all(messages))
        results: list[Any] = []
        for found in read:
            try:
                if isinstance(found, Refused):
                    raise found
                results.append(_shown(found, list(islice(published, len(found)))))
            except Refused as error:
                results.append({"error": str(error)})
        return results


def _check_fields(given: dict[str, Any]) -> None:
    """Raise BadMessage for a message of a batch whose fields cannot be read."""
    if not isinstance(given.get("destination"), str):
        raise BadMessage("each message of a batch needs a destination, a text")
    if not isinstance(given.get("queue"), str | None):
        raise BadMessage("the queue of a message must be a text")
    headers = {} if given.get("headers") is None else given["headers"]
    values = headers.values() if isinstance(headers, dict) else [None]
    several = [each for value in values for each in (value if type(value) is list else [value])]
    if not all(type(each) in (str, int, float) for each in several):
        raise BadMessage("the headers of a message must be an object of texts or lists of texts")


def _read_one(
    request: Request[Any, Any, Any], account: Account, given: dict[str, Any]
) -> list[QueuedMessage] | Refused:
    """Read a message of a batch, or return why it is refused."""
    queue = given.get("queue")
    headers = {
        name: [str(each) for each in value] if isinstance(value, list) else str(value)
        for name, value in (given.get("headers") or {}).items()
    }
    body = _body_in(given.get("body"))
    try:
        return _read(request, account, given["destination"], headers, body, queue)
    except Refused as error:
        return error


def _body_in(given: Any) -> bytes:
    """Return the body of a message of a batch. Clients send JSON as a text, or as it is."""
    if given is None:
        return b""
    return given.encode() if isinstance(given, str) else msgspec.json.encode(given)


def _read(
    request: Request[Any, Any, Any],
    account: Account,
    destination: str,
    headers: Headers,
    body: bytes,
    queue: str | None = None,
) -> list[QueuedMessage]:
    return messages_of(
        account.url_groups,
        destination,
        headers,
        body,
        now=time.time(),
        queue=queue,
        caller_ip=request.client.host if request.client else None,
    )


async def _publish(account: Account, messages: list[QueuedMessage]) -> Response[Any]:
    results = await account.workflow_runs.publish_all(messages)
    shown = _shown(messages, results)
    return Response(shown, status_code=202 if "deduplicated" in shown else 201)


def _shown(messages: list[QueuedMessage], results: Sequence[tuple[str, bool] | Refused]) -> Any:
    """Return the response to the publish of these messages: an object, or a list of objects if it
    was to a URL group. Raises the first refusal."""
    shown: list[dict[str, Any]] = []
    for message, result in zip(messages, results, strict=True):
        if isinstance(result, Refused):
            raise result
        message_id, deduplicated = result
        shown.append({"messageId": message_id})
        if deduplicated:
            shown[-1]["deduplicated"] = True
        if message.url_group is not None:
            shown[-1]["url"] = message.url
    return shown if messages[0].url_group is not None else shown[0]
