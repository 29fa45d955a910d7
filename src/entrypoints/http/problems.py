"""Errors as RFC 9457 problem details. Every body also carries `error`, one sentence, which clients
of the older system read."""

import math
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, TypedDict

import msgspec
from litestar import Request, Response
from litestar.openapi.datastructures import ResponseSpec
from litestar.plugins.problem_details import ProblemDetailsException

from application.errors import LimitStatus
from entrypoints.http.openai.errors import (
    error_response,
    openai_rate_limits,
    speaks_openai,
)


class Problem(ProblemDetailsException):
    """A problem, which is told as each face tells errors."""

    limit_statuses: Sequence[LimitStatus] = ()
    """The limits that the caller is over."""

    def to_response(self, request: Request[Any, Any, Any]) -> Response[dict[str, Any]]:
        if not speaks_openai(request.scope["path"]):
            return super().to_response(request)
        kind = (self.type_ or "").rpartition(":")[2]
        fields = self.extra.get("errors", ()) if isinstance(self.extra, dict) else ()
        headers = {**(self.headers or {}), **openai_rate_limits(self.limit_statuses)}
        return error_response(request, self.status_code, kind, self.detail, fields, headers)


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
    """Return the problems that a route may respond with, in addition to a bad request."""
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
) -> Problem:
    """`kind` is the machine-readable name of the problem, stable across versions."""
    extra: dict[str, Any] = {"error": detail}
    if errors:
        extra["errors"] = list(errors)
    return Problem(
        status_code=status,
        type_=f"urn:longtask:problem:{kind}",
        title=kind.replace("-", " ").capitalize(),
        detail=detail,
        headers=headers,
        extra=extra,
    )


def camel(field: str) -> str:
    """The path of a field in JSON, by the one in Python: `max_tokens` is `maxTokens`. What is
    within a field has the names that the client gave it (`messages[0].tool_call_id`)."""
    own = re.split(r"[.\[]", field, maxsplit=1)[0]
    return re.sub(r"_([a-z])", lambda match: match[1].upper(), own) + field[len(own) :]


def bad_field(field: str, message: str) -> ProblemDetailsException:
    return invalid([{"field": field, "message": message}])


def nothing_here(headers: dict[str, str] | None = None) -> ProblemDetailsException:
    return problem(404, "not-found", "There is nothing at this address.", headers=headers)


def retry_after_header(seconds: float | None) -> dict[str, str]:
    """RFC 9110: whole seconds, rounded up so that no client comes back too early."""
    return {} if seconds is None else {"Retry-After": str(math.ceil(seconds))}


def invalid(errors: Sequence[FieldFault]) -> ProblemDetailsException:
    detail = "; ".join(f"{each['field']}: {each['message']}" for each in errors)
    return problem(400, "invalid-request", detail, errors=errors)


def rate_limit_headers(limit_statuses: Sequence[LimitStatus]) -> dict[str, str]:
    """draft-ietf-httpapi-ratelimit-headers-10. Slots have no window, and no remainder that stays
    true after this response: they are named only when none is left."""
    if not limit_statuses:
        return {}
    policies, now = [], []
    for each in limit_statuses:
        window = "" if each.window is None else f";w={round(each.window)}"
        policies.append(f'"{each.policy}";q={each.limit}{window}')
        now.append(f'"{each.policy}";r={each.left};t={math.ceil(each.reset)}')
    return {"RateLimit-Policy": ", ".join(policies), "RateLimit": ", ".join(now)}
