"""The part of QStash's HTTP API, v2, that a local QStash has. Other paths get 404."""

import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Annotated, Any

from litestar import Controller, Litestar, Request, Response, delete, get, post
from litestar.di import NamedDependency, Provide
from litestar.exceptions import HTTPException
from litestar.params import FromPath, FromQuery, QueryParameter
from litestar.types import ASGIApp

from adapters.database import Database
from entrypoints.local_qstash.bounds import BATCH_LIMIT, BODY_LIMIT, MESSAGE_LIMIT
from entrypoints.local_qstash.dead_letters import DeadLetter
from entrypoints.local_qstash.delivery import Deliveries
from entrypoints.local_qstash.message import read_message
from entrypoints.local_qstash.middleware import DestinationInQuery, OwnHosts
from entrypoints.local_qstash.refusals import BadMessage, Refused

DLQ_PAGE = 100

Destination = Annotated[str, QueryParameter(name="destination")]


def create_app(
    token: str,
    current_key: str,
    next_key: str,
    accepts_host: Callable[[str | None], bool],
    message_limit: int = MESSAGE_LIMIT,
    database: Database | None = None,
    stopping: Callable[[], bool] = lambda: False,
) -> ASGIApp:
    """A QStash with this token and these signing keys. `accepts_host` is given the Host header of
    each request (None if there is not exactly one) and returns whether to accept it. A message's
    body may have `message_limit` bytes.

    With a database, which has the schema QUEUE and is closed by the caller afterwards, it keeps
    everything there, else in memory. Once `stopping` returns True, no delivery begins, and one that
    fails costs no retry: its message waits for the next start."""
    deliveries: list[Deliveries] = []

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        deliveries.append(Deliveries(current_key, message_limit, database, stopping))
        try:
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


def _publish(
    deliveries: Deliveries,
    request: Request[Any, Any, Any],
    destination: str,
    headers: dict[str, str],
    body: bytes,
    queue: str | None = None,
) -> dict[str, Any]:
    message = read_message(
        destination,
        headers,
        body,
        now=time.time(),
        queue=queue,
        caller_ip=request.client.host if request.client else None,
    )
    message_id, deduplicated = deliveries.publish(message)
    return (
        {"messageId": message_id, "deduplicated": True}
        if deduplicated
        else {"messageId": message_id}
    )


def _response(published: dict[str, Any]) -> Response[dict[str, Any]]:
    return Response(published, status_code=202 if published.get("deduplicated") else 201)


async def _json(request: Request[Any, Any, Any]) -> Any:
    try:
        return json.loads(await request.body() or b"null")
    except (ValueError, RecursionError):
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
        return _response(_publish(deliveries, request, destination, headers, body))

    @post("/enqueue/{queue:str}")
    async def enqueue(
        self,
        request: Request[Any, Any, Any],
        queue: FromPath[str],
        destination: Destination,
        deliveries: NamedDependency[Deliveries],
    ) -> Response[dict[str, Any]]:
        headers, body = dict(request.headers), await request.body()
        return _response(_publish(deliveries, request, destination, headers, body, queue))

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
        results: list[dict[str, Any]] = []
        for each in given:
            headers = {str(name): str(value) for name, value in (each.get("headers") or {}).items()}
            body = str(each.get("body") or "").encode()
            destination = str(each.get("destination", ""))
            queue = None if each.get("queue") is None else str(each["queue"])
            try:
                results.append(_publish(deliveries, request, destination, headers, body, queue))
            except Refused as error:
                results.append({"error": str(error)})
        return results


class Messages(Controller):
    path = "/v2/messages"

    @get("/{message_id:str}")
    async def show(
        self, message_id: FromPath[str], deliveries: NamedDependency[Deliveries]
    ) -> dict[str, Any]:
        message = deliveries.message(message_id)
        if message is None:
            raise _not_found("message")
        return message.as_json()

    @delete("/{message_id:str}", status_code=202)
    async def cancel(
        self, message_id: FromPath[str], deliveries: NamedDependency[Deliveries]
    ) -> None:
        if not deliveries.cancel([message_id]):
            raise _not_found("message")

    @delete("/", status_code=200)
    async def cancel_many(
        self, request: Request[Any, Any, Any], deliveries: NamedDependency[Deliveries]
    ) -> dict[str, int]:
        given = await _json(request)
        if given is None:
            return {"cancelled": deliveries.cancel(None)}
        return {"cancelled": deliveries.cancel(_ids(given, "messageIds"))}


class DeadLetters(Controller):
    path = "/v2/dlq"

    @get("/")
    async def search(
        self,
        request: Request[Any, Any, Any],
        deliveries: NamedDependency[Deliveries],
        cursor: FromQuery[str | None] = None,
        count: FromQuery[int] = DLQ_PAGE,
    ) -> dict[str, Any]:
        wanted, letters = dict(request.query_params), deliveries.dead_letters.newest_first()
        matching = [each for each in letters if _matches(each, wanted)]
        begin = next((at for at, each in enumerate(matching) if each.id == cursor), 0)
        end = begin + max(1, min(count, DLQ_PAGE))
        page: dict[str, Any] = {"messages": [each.as_json() for each in matching[begin:end]]}
        if end < len(matching):
            page["cursor"] = matching[end].id
        return page

    @get("/{dlq_id:str}")
    async def show(
        self, dlq_id: FromPath[str], deliveries: NamedDependency[Deliveries]
    ) -> dict[str, Any]:
        letter = deliveries.dead_letters.get(dlq_id)
        if letter is None:
            raise _not_found("message")
        return letter.as_json()

    @delete("/{dlq_id:str}", status_code=200)
    async def discard(self, dlq_id: FromPath[str], deliveries: NamedDependency[Deliveries]) -> None:
        if not deliveries.dead_letters.delete([dlq_id]):
            raise _not_found("message")

    @delete("/", status_code=200)
    async def discard_many(
        self, request: Request[Any, Any, Any], deliveries: NamedDependency[Deliveries]
    ) -> dict[str, int]:
        return {"deleted": deliveries.dead_letters.delete(_ids(await _json(request), "dlqIds"))}


def _ids(given: Any, name: str) -> list[str]:
    ids = given.get(name) if isinstance(given, dict) else None
    if not isinstance(ids, list):
        raise BadMessage(f"{name} must be a list")
    return [str(each) for each in ids]


def _matches(letter: DeadLetter, wanted: dict[str, str]) -> bool:
    message = letter.message
    facts = {
        "messageId": message.id,
        "url": message.url,
        "queueName": message.queue,
        "label": message.label,
        "callerIp": message.caller_ip,
        "responseStatus": str(letter.response.status),
    }
    return (
        all(facts[name] == value for name, value in wanted.items() if name in facts)
        and int(wanted.get("fromDate", 0)) <= letter.at
        and letter.at <= int(wanted.get("toDate", letter.at))
    )
