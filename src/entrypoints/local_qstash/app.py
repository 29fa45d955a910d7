"""The part of QStash's HTTP API, v2, that a local QStash has. Other paths get 404."""

import hmac
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

import msgspec
from litestar import Controller, Litestar, Request, Response, delete, get, post
from litestar.di import NamedDependency, Provide
from litestar.exceptions import HTTPException
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.types import ASGIApp

from adapters.database import Database
from entrypoints.local_qstash.bounds import BATCH_LIMIT, BODY_LIMIT, MESSAGE_LIMIT, PAGE_LETTERS
from entrypoints.local_qstash.delivery import Deliveries
from entrypoints.local_qstash.message import QueuedMessage, read_message
from entrypoints.local_qstash.middleware import DestinationInQuery, OwnHosts
from entrypoints.local_qstash.refusals import BadMessage, Refused
from entrypoints.local_qstash.slots import Period
from entrypoints.local_qstash.store import Pending

Destination = Annotated[str, QueryParameter(name="destination")]


def create_app(
    token: str,
    current_key: str,
    next_key: str,
    accepts_host: Callable[[str | None], bool],
    message_limit: int = MESSAGE_LIMIT,
    database: Database | None = None,
    stopping: Callable[[], bool] = lambda: False,
    address_of: Callable[[str], str] = str,
    left: Sequence[Pending] = (),
    at_once: int | None = None,
    periods: Sequence[Period] = (),
) -> ASGIApp:
    """A QStash with this token and these signing keys. `accepts_host` is given the Host header of
    each request (None if there is not exactly one) and returns whether to accept it. A message's
    body may have `message_limit` bytes.

    With a database, which has the schema QUEUE and is closed by the caller afterwards, it keeps
    everything there, else in memory. Once `stopping` returns True, no delivery begins, and one that
    fails costs no retry: its message waits for the next start. `address_of` returns where a message
    for a URL is delivered. `left` and `periods`: what is in the database (`messages_left`,
    `periods_left`). `at_once`: as `Deliveries` says."""
    deliveries: list[Deliveries] = []

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        deliveries.append(
            Deliveries(current_key, message_limit, database, stopping, address_of, at_once)
        )
        try:
            deliveries[0].resume(left, periods)
            yield
        finally:
            await deliveries.pop().aclose()

    async def require_token(request: Request[Any, Any, Any]) -> None:
        given = request.headers.get("authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            raise HTTPException("unauthorized", status_code=401)

    @get("/v2/keys")
    async def keys() -> dict[str, str]:
        return {"current": current_key, "next": next_key}

    app = Litestar(
        route_handlers=[Publishing, Messages, DeadLetters, keys],
        dependencies={"deliveries": Provide(lambda: deliveries[0], sync_to_thread=False)},
        before_request=require_token,
        lifespan=[lifespan],
        exception_handlers={HTTPException: _error, Refused: _refused},
        request_max_body_size=BODY_LIMIT,
        openapi_config=None,
        logging_config=None,
    )
    return OwnHosts(DestinationInQuery(app), accepts_host)


def _error(_: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, str]]:
    return Response({"error": error.detail}, status_code=error.status_code)


def _refused(_: Request[Any, Any, Any], error: Refused) -> Response[dict[str, str]]:
    return Response({"error": str(error)}, status_code=error.status)


def _not_found(what: str) -> HTTPException:
    return HTTPException(f"{what} not found", status_code=404)


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


async def _publish(deliveries: Deliveries, message: QueuedMessage) -> Response[dict[str, Any]]:
    message_id, deduplicated = await deliveries.publish(message)
    shown = _shown((message_id, deduplicated))
    return Response(shown, status_code=202 if deduplicated else 201)


async def _json(request: Request[Any, Any, Any]) -> Any:
    try:
        return msgspec.json.decode(await request.body() or b"null")
    except (ValueError, RecursionError):  # also for half of a surrogate pair
        raise BadMessage("the body is not JSON") from None


class Publishing(Controller):
    path = "/v2"

    @post("/publish")
    async def publish(
        self,
        request: Request[Any, Any, Any],
        destination: Destination,
        deliveries: NamedDependency[Deliveries],
    ) -> Response[dict[str, Any]]:
        headers, body = dict(request.headers), await request.body()
        return await _publish(deliveries, _message(request, destination, headers, body))

    @post("/enqueue/{queue:str}")
    async def enqueue(
        self,
        request: Request[Any, Any, Any],
        queue: FromPath[str],
        destination: Destination,
        deliveries: NamedDependency[Deliveries],
    ) -> Response[dict[str, Any]]:
        headers, body = dict(request.headers), await request.body()
        return await _publish(deliveries, _message(request, destination, headers, body, queue))

    @post("/batch", status_code=200)
    async def batch(
        self, request: Request[Any, Any, Any], deliveries: NamedDependency[Deliveries]
    ) -> list[dict[str, Any]]:
        """Returns a result for each message, in order. One that is refused has an `error`, and does
        not keep the others from being published."""
        given = await _json(request)
        if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
            raise BadMessage("a batch is a list of messages")
        if len(given) > BATCH_LIMIT:
            raise BadMessage(f"a batch has at most {BATCH_LIMIT} messages")
        read = [_read_one(request, each) for each in given]
        accepted = [each for each in read if isinstance(each, QueuedMessage)]
        published = iter(await deliveries.publish_all(accepted))
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


class Messages(Controller):
    path = "/v2/messages"

    @get("/{message_id:str}")
    async def show(
        self, message_id: FromPath[str], deliveries: NamedDependency[Deliveries]
    ) -> dict[str, Any]:
        message = await deliveries.message(message_id)
        if message is None:
            raise _not_found("message")
        return message.as_json()

    @delete("/{message_id:str}", status_code=202)
    async def cancel(
        self, message_id: FromPath[str], deliveries: NamedDependency[Deliveries]
    ) -> None:
        if not await deliveries.cancel([message_id]):
            raise _not_found("message")

    @delete("/", status_code=200)
    async def cancel_many(
        self, request: Request[Any, Any, Any], deliveries: NamedDependency[Deliveries]
    ) -> dict[str, int]:
        given = await _json(request)
        if given is None:
            return {"cancelled": await deliveries.cancel(None)}
        return {"cancelled": await deliveries.cancel(_ids(given, "messageIds"))}


class DeadLetters(Controller):
    path = "/v2/dlq"

    @get("/")
    async def search(
        self,
        request: Request[Any, Any, Any],
        deliveries: NamedDependency[Deliveries],
        cursor: FromQuery[str | None] = None,
        count: FromQuery[int] = PAGE_LETTERS,
    ) -> dict[str, Any]:
        letters, following = await deliveries.dead_letters.page(
            dict(request.query_params), cursor, count
        )
        page: dict[str, Any] = {"messages": [each.as_json() for each in letters]}
        return page if following is None else {**page, "cursor": following}

    @get("/{dlq_id:str}")
    async def show(
        self, dlq_id: FromPath[str], deliveries: NamedDependency[Deliveries]
    ) -> dict[str, Any]:
        letter = await deliveries.dead_letters.get(dlq_id)
        if letter is None:
            raise _not_found("message")
        return letter.as_json()

    @delete("/{dlq_id:str}", status_code=200)
    async def discard(self, dlq_id: FromPath[str], deliveries: NamedDependency[Deliveries]) -> None:
        if not await deliveries.dead_letters.delete([dlq_id]):
            raise _not_found("message")

    @delete("/", status_code=200)
    async def discard_many(
        self, request: Request[Any, Any, Any], deliveries: NamedDependency[Deliveries]
    ) -> dict[str, int]:
        ids = _ids(await _json(request), "dlqIds")
        return {"deleted": await deliveries.dead_letters.delete(ids)}


def _ids(given: Any, name: str) -> list[str]:
    ids = given.get(name) if isinstance(given, dict) else None
    if not isinstance(ids, list):
        raise BadMessage(f"{name} must be a list")
    return [str(each) for each in ids]
