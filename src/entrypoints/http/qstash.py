"""/api/qstash: where the queue delivers tasks, and where it reports deliveries that ran out.

QStash delivers again on anything but 2xx, except on 489 with `Upstash-NonRetryable-Error: true`.
The request is held open until the attempt ends: only so does the queue's retry cover a crash.

A body is read only if its signature is valid. Where it is not read, the connection is closed after
the response.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import structlog
from litestar import Controller, Request, Response, Router, get, post
from litestar.connection import ASGIConnection
from litestar.datastructures import Headers
from litestar.exceptions import MethodNotAllowedException
from litestar.handlers import BaseRouteHandler
from litestar.params import QueryParameter

from adapters.qstash import ForgedDelivery, KeysUnknown, MalformedDelivery, UnreadableDelivery
from application.accounts import Caller
from application.outcome import Ack, Outcome, Overloaded, OverShare, Reject, Retry
from application.ports import Announcement, Delivery, Guard
from entrypoints.http.access import NEEDS_KEY
from entrypoints.http.checks import is_check
from entrypoints.http.delivery_bodies import NoRoom
from entrypoints.http.head_requests import is_head
from entrypoints.http.native.start_body import StartBody
from entrypoints.http.origins import CHANGES
from entrypoints.http.parts import HttpParts, Parts
from entrypoints.http.paths import FAILURE_PATH, WEBHOOK_PATH
from entrypoints.http.problems import documented, problem, retry_after_header
from entrypoints.http.request_counts import COUNTED_AS, Counted
from entrypoints.outside_text import without_password

log = structlog.get_logger(__name__)

CLOSE = {"Connection": "close"}
NON_RETRYABLE = {"Upstash-NonRetryable-Error": "true"}


class QStashController(Controller):
    path = "/"
    tags = ("qstash",)

    @post(
        WEBHOOK_PATH,
        status_code=200,
        opt={COUNTED_AS: Counted.DELIVERY},
        request_max_body_size=None,  # DeliveryBodies has the limit
        responses=documented(401, 413, 429, 489, 503),
        operation_id="deliverTask",
        summary="A delivery, signed by QStash",
    )
    async def webhook(
        self,
        request: Request[Any, Any, Any],
        parts: Parts,
    ) -> Response[Any]:
        message_id = request.headers.get("upstash-message-id")
        with _refusals(request.headers, parts.deliveries.webhook_url):
            delivery = await _read_delivery(request, parts)
        structlog.contextvars.bind_contextvars(task_id=delivery.task_id, message_id=message_id)
        if isinstance(delivery, Guard):
            return _respond(delivery.task_id, await parts.use_cases.end_overdue(delivery))
        if isinstance(delivery, Announcement):
            return _respond(delivery.task_id, await parts.use_cases.send_webhook(delivery))
        with parts.request_counts.open_delivery():
            outcome = await parts.use_cases.run_task(delivery)
        return _respond(delivery.task_id, outcome)

    @post(
        FAILURE_PATH,
        status_code=200,
        opt={COUNTED_AS: Counted.DELIVERY},
        request_max_body_size=None,
        responses=documented(401, 413, 489, 503),
        operation_id="reportExhaustedDeliveries",
        summary="A failure callback, signed by QStash",
    )
    async def failure(
        self,
        request: Request[Any, Any, Any],
        parts: Parts,
    ) -> Response[Any]:
        with _refusals(request.headers, parts.deliveries.failure_url):
            delivery, source = await _read_failure(request, parts)
        structlog.contextvars.bind_contextvars(task_id=delivery.task_id, message_id=source)
        if isinstance(delivery, Guard):
            return _respond(delivery.task_id, await parts.use_cases.end_overdue.exhausted(delivery))
        if isinstance(delivery, Announcement):
            outcome = await parts.use_cases.send_webhook.exhausted(delivery)
            return _respond(delivery.task_id, outcome)
        task = await parts.use_cases.handle_exhausted(delivery, source)
        status = "deleted" if task is None else task.status.value
        body = {"success": True, "taskId": delivery.task_id, "status": status}
        return Response(body, status_code=200)


def _refuse_head(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Raise MethodNotAllowedException for HEAD, which must change nothing."""
    if is_head(connection.scope):
        raise MethodNotAllowedException(headers={"Allow": "GET, OPTIONS, POST"})


class DevelopmentController(Controller):
    """In development only. Elsewhere the address does not support GET."""

    path = "/"
    tags = ("qstash",)
    security = ({"key": []},)
    guards = (_refuse_head,)

    @get(
        WEBHOOK_PATH,
        opt={CHANGES: True, NEEDS_KEY: True},
        responses=documented(401, 403, 404, 429, 489, 503),
        operation_id="runTask",
        summary="Run a task without the queue (development only)",
    )
    async def run(
        self,
        request: Request[Caller, Any, Any],
        parts: Parts,
        prompt: Annotated[str, QueryParameter(name="prompt", description="The prompt.")],
        task_id: Annotated[
            str | None,
            QueryParameter(name="taskId", description="Its id. Without one, an id is made."),
        ] = None,
    ) -> Response[Any]:
        wanted = StartBody(prompt=prompt).request(parts.request_defaults)
        run = await parts.use_cases.run_directly(wanted, request.user, task_id)
        return _respond(run.task_id, run.outcome)


def qstash_router(development: bool) -> Router:
    handlers = [QStashController, DevelopmentController] if development else [QStashController]
    return Router("/", route_handlers=handlers)


# Functions of their own: the body is gone once they return, and the attempt may last for an hour.


async def _read_delivery(
    request: Request[Any, Any, Any], parts: HttpParts
) -> Delivery | Guard | Announcement:
    deliveries, bodies = parts.deliveries, parts.delivery_bodies
    signed = await deliveries.signed_task(request.headers.get("upstash-signature"))
    async with bodies.body(request, bodies.task_limit) as body:
        return deliveries.task(signed, body, request.headers.get("upstash-retried"))


async def _read_failure(
    request: Request[Any, Any, Any], parts: HttpParts
) -> tuple[Delivery | Guard | Announcement, str]:
    deliveries, bodies = parts.deliveries, parts.delivery_bodies
    signed = await deliveries.signed_failure(request.headers.get("upstash-signature"))
    async with bodies.body(request, bodies.failure_limit) as body:
        return deliveries.failure(signed, body)


@contextmanager
def _refusals(headers: Headers, expected_url: str) -> Iterator[None]:
    """Raise what is wrong with a delivery as a problem. Its signature must be for that URL."""
    message_id = headers.get("upstash-message-id")
    try:
        yield
    except ForgedDelivery as error:
        # The message id of a forger is not worth a place in the log.
        if not is_check(headers, 401):
            log.warning(
                "delivery refused",
                wrong=error.wrong,
                reason=str(error),
                expected_url=without_password(expected_url),
            )
        raise problem(401, "bad-signature", "The signature is not valid.", headers=CLOSE) from error
    except MalformedDelivery as error:
        if not is_check(headers, 489):
            log.error("malformed delivery", reason=str(error), message_id=message_id)
        detail = "The delivery is signed but does not hold a task of this service."
        raise problem(489, "malformed-delivery", detail, headers=NON_RETRYABLE) from error
    except UnreadableDelivery as error:
        log.error("unreadable delivery", reason=str(error), message_id=message_id)
        detail = "Another version of this service published this message."
        retry_after = retry_after_header(error.retry_after)
        raise problem(503, "unreadable-delivery", detail, headers=retry_after) from error
    except (KeysUnknown, NoRoom) as error:
        kind, detail = (
            ("no-room", "Too many deliveries are being read at this instance.")
            if isinstance(error, NoRoom)
            else ("keys-unknown", "The queue's signing keys are not known here yet.")
        )
        log.warning("delivery refused for now", reason=detail)
        closing = retry_after_header(error.retry_after) | CLOSE
        raise problem(503, kind, detail, headers=closing) from error


def _respond(task_id: str, outcome: Outcome) -> Response[Any]:
    match outcome:
        case Ack():
            return Response({"success": True, "taskId": task_id}, status_code=200)
        case Retry(retry_after):
            headers = retry_after_header(retry_after)
            raise problem(503, "deliver-again", "The attempt was lost.", headers=headers)
        case Overloaded(retry_after):
            headers = retry_after_header(retry_after)
            raise problem(
                429, "no-room", "Too many tasks are running at this instance.", headers=headers
            )
        case OverShare(retry_after):
            headers = retry_after_header(retry_after)
            raise problem(
                429, "over-share", "Other tasks of its owner use up the share.", headers=headers
            )
        case Reject(code):
            raise problem(489, "task-failed", f"The task failed: {code}.", headers=NON_RETRYABLE)
