"""Each fault of the inner layers, and each of Litestar's, as a problem: translated here and nowhere
else. What went wrong inside is logged, never shown."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import structlog
from litestar.exceptions import HTTPException, ValidationException
from litestar.plugins.problem_details import (
    ProblemDetailsConfig,
    ProblemDetailsException,
    ProblemDetailsPlugin,
)

from application.errors import (
    ChatBusy,
    FeedClosed,
    IdempotencyConflict,
    ModelNotAllowed,
    NotRetryable,
    OperatorsOnly,
    OverLimit,
    PreviousUnusable,
    QueueRefused,
    QueueUnavailable,
    StartUncertain,
    StoreUnavailable,
    TooManyStreams,
    UnknownTask,
    Unreadable,
)
from domain.errors import IllegalTransition, InvalidRequest, MalformedEventId, MalformedTaskId
from entrypoints.http.litestar_internals import is_client_gone, missing_parameter
from entrypoints.http.problems import (
    FieldFault,
    bad_field,
    camel,
    invalid,
    nothing_here,
    problem,
    rate_limit_headers,
    retry_after_header,
)
from entrypoints.http.request_counts import RequestCounts

log = structlog.get_logger(__name__)


def _invalid_request(error: InvalidRequest) -> ProblemDetailsException:
    return invalid([{"field": camel(each.field), "message": each.message} for each in error.faults])


_LIMITED = {
    "starts": "Too many tasks were started within a minute.",
    "running": "Too many tasks are waiting or running.",
    "delayed": "Too many tasks that were delayed are waiting or running.",
    "streams": "Too many streams are open.",
    "tokens": "Too many tokens were used within a day.",
}


def _over_limit(error: OverLimit, request_counts: RequestCounts) -> ProblemDetailsException:
    status = error.status
    what, _, whose = status.policy.partition("-per-")
    request_counts.over_limit(status.policy)
    refused = problem(
        429,
        f"too-many-{what}",
        f"{_LIMITED[what]} The limit is {status.limit} for this {whose}.",
        headers={**retry_after_header(status.reset), **rate_limit_headers([status])},
    )
    refused.limit_statuses = (status,)
    return refused


def _model_not_allowed(error: ModelNotAllowed) -> ProblemDetailsException:
    detail = f"You may not use the model {error.model}. You may use {error.allowed}."
    errors: list[FieldFault] = [{"field": "model", "message": detail}]
    return problem(403, "model-not-allowed", detail, errors=errors)


_PREVIOUS_STATUSES = {"previous_unknown": 400, "previous_too_long": 413}


def _previous(error: PreviousUnusable) -> ProblemDetailsException:
    return problem(
        _PREVIOUS_STATUSES.get(error.code, 409),
        error.code.replace("_", "-"),
        error.message,
        errors=[{"field": "previousTaskId", "message": error.message}],
    )


def _not_retryable(error: NotRetryable) -> ProblemDetailsException:
    status = 410 if error.code == "input_lost" else 409
    return problem(status, error.code.replace("_", "-"), error.message)


def _illegal(error: IllegalTransition) -> ProblemDetailsException:
    return problem(
        409, "task-has-ended", f"The task is {error.current} and cannot be {error.wanted}."
    )


def _validation(error: ValidationException) -> ProblemDetailsException:
    if missing := missing_parameter(error):
        return bad_field(missing, "is required")
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
        detail = "This address does not support this method."
        return problem(405, "method-not-allowed", detail, headers=headers)
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return problem(
            413,
            "body-too-large",
            "The body is larger than this service accepts.",
            errors=[{"field": "body", "message": "too large"}],
            headers={"Connection": "close"},  # the rest of the body is not waited for
        )
    if is_client_gone(error):
        return problem(400, "client-gone", "The body ended before it was complete.")
    if status >= 500:
        return _unexpected(error)
    return problem(status, "request-refused", error.detail, headers=headers)


def _unexpected(error: Exception) -> ProblemDetailsException:
    log.error("request failed", exc_info=error)
    return problem(
        500, "internal-error", "The service failed unexpectedly. The error has been logged."
    )


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
        "Send the same request again, with its Idempotency-Key if it has one."
    )
    return problem(
        503, "start-uncertain", detail, headers=retry_after_header(error.retry_after or 1)
    )


def _translations(
    request_counts: RequestCounts,
) -> dict[type[Any], Callable[[Any], ProblemDetailsException]]:
    return {
        InvalidRequest: _invalid_request,
        MalformedTaskId: lambda error: bad_field("taskId", str(error)),
        MalformedEventId: lambda error: bad_field("lastEventId", str(error)),
        UnknownTask: lambda _: problem(404, "unknown-task", "There is no task with this id."),
        IllegalTransition: _illegal,
        ModelNotAllowed: _model_not_allowed,
        PreviousUnusable: _previous,
        NotRetryable: _not_retryable,
        IdempotencyConflict: lambda _: problem(
            422,
            "idempotency-conflict",
            "This Idempotency-Key was used with another request.",
            errors=[{"field": "Idempotency-Key", "message": "used with another request"}],
        ),
        OperatorsOnly: lambda _: problem(
            403, "operators-only", "The usage of others is shown to operators only."
        ),
        ChatBusy: lambda _: problem(
            409, "chat-busy", "A task of this chat has not ended. Stop it, or wait for its end."
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
        OverLimit: lambda error: _over_limit(error, request_counts),
        TooManyStreams: lambda _: problem(
            503,
            "too-many-streams",
            "Too many streams are open at this instance. Try again shortly.",
            headers=retry_after_header(5),
        ),
        ValidationException: _validation,
        HTTPException: _http,
        Exception: _unexpected,
    }


def problem_details_plugin(request_counts: RequestCounts) -> ProblemDetailsPlugin:
    return ProblemDetailsPlugin(
        ProblemDetailsConfig(exception_to_problem_detail_map=_translations(request_counts))
    )
