"""Errors as RFC 9457 problem details.

Each fault of the inner layers is translated here, once. Every body also carries `error`, one
sentence, which clients of the older system read. What went wrong inside is logged, never shown.
"""

import math
import re
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any, TypedDict

import msgspec
import structlog
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.datastructures import ResponseSpec
from litestar.plugins.problem_details import (
    ProblemDetailsConfig,
    ProblemDetailsException,
    ProblemDetailsPlugin,
)

from application.errors import (
    FeedClosed,
    IdempotencyConflict,
    LimitStatus,
    OverLimit,
    QueueRefused,
    QueueUnavailable,
    StartUncertain,
    StoreUnavailable,
    TooManyStreams,
    UnknownTask,
    Unreadable,
)
from domain.errors import IllegalTransition, InvalidRequest, MalformedEventId, MalformedTaskId
from entrypoints.http.outcomes import Outcomes

log = structlog.get_logger(__name__)


class FieldFault(TypedDict):
    field: str
    message: str


class ProblemBody(msgspec.Struct, rename={"kind": "type"}):
    """How every error looks (RFC 9457), for the API's description."""

    status: int
    kind: str
    title: str
    detail: str
    error: str
    errors: list[FieldFault] | None = None


_PHRASES = {489: "Do not deliver again (a status of QStash's)"}


def documented(*statuses: int) -> dict[int, ResponseSpec]:
    """Which problems a route may answer with, beside a bad request."""
    return {
        status: ResponseSpec(
            ProblemBody,
            media_type="application/problem+json",
            description=_PHRASES.get(status) or HTTPStatus(status).phrase,
            generate_examples=False,
        )
        for status in (400, *statuses)
    }


def problem(
    status: int,
    kind: str,
    detail: str,
    *,
    errors: Sequence[FieldFault] = (),
    headers: dict[str, str] | None = None,
) -> ProblemDetailsException:
    """`kind` is the machine-readable name of the problem, stable across versions."""
    extra: dict[str, Any] = {"error": detail}
    if errors:
        extra["errors"] = list(errors)
    return ProblemDetailsException(
        status_code=status,
        type_=f"urn:longtask:problem:{kind}",
        title=kind.replace("-", " ").capitalize(),
        detail=detail,
        headers=headers,
        extra=extra,
    )


def bad_field(field: str, message: str) -> ProblemDetailsException:
    return invalid([{"field": field, "message": message}])


def nothing_here(headers: dict[str, str] | None = None) -> ProblemDetailsException:
    return problem(404, "not-found", "There is nothing at this address.", headers=headers)


def retry_after_header(seconds: float | None) -> dict[str, str]:
    """RFC 9110: whole seconds, rounded up so that nobody comes early."""
    return {} if seconds is None else {"Retry-After": str(math.ceil(seconds))}


def invalid(errors: Sequence[FieldFault]) -> ProblemDetailsException:
    detail = "; ".join(f"{each['field']}: {each['message']}" for each in errors)
    return problem(400, "invalid-request", detail, errors=errors)


def _camel(field: str) -> str:
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), field)


def _invalid_request(error: InvalidRequest) -> ProblemDetailsException:
    return invalid(
        [{"field": _camel(each.field), "message": each.message} for each in error.faults]
    )


def rate_limit_headers(limit_statuses: Sequence[LimitStatus]) -> dict[str, str]:
    """draft-ietf-httpapi-ratelimit-headers-10. Places have no window, and no remainder that would
    be true for longer than this answer: only those that are out are told."""
    if not limit_statuses:
        return {}
    policies, now = [], []
    for each in limit_statuses:
        window = "" if each.window is None else f";w={round(each.window)}"
        policies.append(f'"{each.policy}";q={each.limit}{window}')
        now.append(f'"{each.policy}";r={each.left};t={math.ceil(each.reset)}')
    return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(now)}


_LIMITED = {
    "starts": "As many tasks were started as may be in a minute.",
    "running": "As many tasks are waiting or running as may be.",
    "streams": "As many streams are open as may be.",
    "tokens": "As many tokens were used as may be in a day.",
}


def _over_limit(error: OverLimit, outcomes: Outcomes) -> ProblemDetailsException:
    status = error.status
    what, _, whose = status.policy.partition("-per-")
    log.warning("over a limit", policy=status.policy)
    outcomes.over_limit(status.policy)
    return problem(
        429,
        f"too-many-{what}",
        f"{_LIMITED[what]} The limit is {status.limit} for each {whose}.",
        headers={**retry_after_header(status.reset), **rate_limit_headers([status])},
    )


def _illegal(error: IllegalTransition) -> ProblemDetailsException:
    return problem(
        409, "task-has-ended", f"The task is {error.current} and cannot be {error.wanted}."
    )


def wrong_shape(message: str) -> ProblemDetailsException:
    """msgspec's words for a value of another type, a missing or an unknown field, as a problem:
    "Expected `int`, got `str` - at `$.maxTokens`"."""
    message, _, path = message.partition(" - at `$")
    field = path.rstrip("`").lstrip(".")
    if named := re.search(r"(unknown|missing required) field `([^`]+)`", message):
        field = f"{field}.{named[2]}".lstrip(".")
        message = "unknown field" if named[1] == "unknown" else "is required"
    return bad_field(field.removesuffix("[...]") or "body", message.replace("`", ""))


def _validation(error: ValidationException) -> ProblemDetailsException:
    """Litestar's words for what is missing, in the query or altogether."""
    if missing := re.search(r"Missing required query parameter '(\w+)'", error.detail):
        return bad_field(missing[1], "is required")
    for each in error.extra if isinstance(error.extra, list) else ():
        if each.get("key") != "data":
            return bad_field(str(each.get("key", "request")), str(each.get("message", "")))
    return bad_field("body", "is required")


def _http(error: HTTPException) -> ProblemDetailsException:
    status, headers = error.status_code, error.headers
    if status == HTTPStatus.BAD_REQUEST:
        return bad_field("body", error.detail)
    if status == HTTPStatus.NOT_FOUND:
        return nothing_here(headers)
    if status == HTTPStatus.METHOD_NOT_ALLOWED:
        detail = "This address does not take this method."
        return problem(405, "method-not-allowed", detail, headers=headers)
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return problem(
            413,
            "body-too-large",
            "The body is larger than this service takes.",
            errors=[{"field": "body", "message": "too large"}],
        )
    if error.detail == "client disconnected prematurely":  # Litestar's words, and its 500
        return problem(400, "client-gone", "The body broke off.")
    if status >= 500:
        return _unexpected(error)
    return problem(status, "request-refused", error.detail, headers=headers)


def _unexpected(error: Exception) -> ProblemDetailsException:
    log.error("request broke", exc_info=error)
    return problem(500, "internal-error", "The service made an error. It has been logged.")


def _store(error: StoreUnavailable) -> ProblemDetailsException:
    log.error("store unavailable", error=str(error))
    detail = "The store cannot be reached. Try again shortly."
    return problem(503, "store-unavailable", detail, headers=retry_after_header(1))


def _unreadable(error: Unreadable) -> ProblemDetailsException:
    log.error("task unreadable", error=str(error))
    detail = "Another version of this service wrote this task. Try again shortly."
    return problem(503, "unreadable-task", detail, headers=retry_after_header(5))


def _queue(error: QueueUnavailable) -> ProblemDetailsException:
    headers = retry_after_header(error.retry_after or 1)
    detail = "The queue cannot be reached: the task was not started. Try again shortly."
    return problem(503, "queue-unavailable", detail, headers=headers)


def _uncertain(error: StartUncertain) -> ProblemDetailsException:
    detail = (
        "It is not known yet whether the task was started. "
        "Send the same request with the same Idempotency-Key again."
    )
    return problem(
        503, "start-uncertain", detail, headers=retry_after_header(error.retry_after or 1)
    )


def _translations(outcomes: Outcomes) -> dict[type[Any], Callable[[Any], ProblemDetailsException]]:
    return {
        InvalidRequest: _invalid_request,
        MalformedTaskId: lambda error: bad_field("taskId", str(error)),
        MalformedEventId: lambda error: bad_field("lastEventId", str(error)),
        UnknownTask: lambda _: problem(404, "unknown-task", "There is no task with this id."),
        IllegalTransition: _illegal,
        IdempotencyConflict: lambda _: problem(
            422,
            "idempotency-conflict",
            "This Idempotency-Key was used with another request.",
            errors=[{"field": "Idempotency-Key", "message": "used with another request"}],
        ),
        QueueUnavailable: _queue,
        StartUncertain: _uncertain,
        QueueRefused: lambda _: problem(
            502, "queue-refused", "The queue refused the task: it was not started."
        ),
        StoreUnavailable: _store,
        Unreadable: _unreadable,
        FeedClosed: lambda _: problem(
            503, "stopping", "This process is stopping.", headers=retry_after_header(1)
        ),
        OverLimit: lambda error: _over_limit(error, outcomes),
        TooManyStreams: lambda _: problem(
            503,
            "too-many-streams",
            "As many streams are open here as may be. Try again shortly.",
            headers=retry_after_header(5),
        ),
        ValidationException: _validation,
        HTTPException: _http,
        Exception: _unexpected,
    }


def problem_details_plugin(outcomes: Outcomes) -> ProblemDetailsPlugin:
    return ProblemDetailsPlugin(
        ProblemDetailsConfig(exception_to_problem_detail_map=_translations(outcomes))
    )
