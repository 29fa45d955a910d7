"""Errors and rate limit headers as OpenAI's clients read them, on every path of this face."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from litestar import Request, Response

from application.errors import LimitStatus
from domain.events import TaskErrored

PATH = "/v1"
RETRY_AFTER_LIMIT = 60
"""Seconds. The SDKs do not wait longer, and repeat at once what asks for more."""
NO_RETRY = {"x-should-retry": "false"}
"""The openai SDKs repeat a request after 409, 429 and 5xx, unless this says not to."""
_MAY_PASS = (429, 503)
"""Statuses of errors that repeating the request may mend."""
_INSTEAD = {
    "assistants": "this service has no assistants",
    "audio": "this service does not speak or listen",
    "batches": "this service has no batches: start each response with background=true",
    "completions": "use /v1/chat/completions or /v1/responses",
    "conversations": "use previous_response_id, or send the whole conversation",
    "embeddings": "this service makes no embeddings",
    "files": "this service keeps no files: send them as data within the input",
    "images": "this service makes no images",
    "moderations": "this service moderates nothing",
    "responses/compact": "this service does not shorten conversations",
    "responses/input_tokens": "this service counts tokens only in the usage of a response",
    "threads": "use previous_response_id, or send the whole conversation",
    "uploads": "this service keeps no files: send them as data within the input",
    "vector_stores": "this service keeps no files: send them as data within the input",
}
"""What OpenAI has and this service has not, by the path, and what to do instead."""
_PARAMS = {"previousTaskId": "previous_response_id"}
"""By the names that the native face gives fields: those of this one."""


def speaks_openai(path: str) -> bool:
    return path == PATH or path.startswith(f"{PATH}/")


def error_object(message: str, kind: str, code: str, param: str | None = None) -> dict[str, Any]:
    return {"message": message, "type": kind, "param": param, "code": code}


def task_error(error: TaskErrored) -> dict[str, Any]:
    """Return why a task failed, under its own code."""
    kind = "server_error" if error.retryable else "invalid_request_error"
    return error_object(error.message, kind, error.code)


def error_response(
    request: Request[Any, Any, Any],
    status: int,
    kind: str,
    message: str,
    fields: Sequence[Mapping[str, str]] = (),
    headers: Mapping[str, str] | None = None,
) -> Response[Any]:
    """Return a problem (its kind, and the fields at fault) as an error of OpenAI's API."""
    given = dict(headers or {})
    code = kind.replace("-", "_")
    if kind == "unknown-task":
        message = f"Response with id '{request.path_params.get('response_id', '')}' not found."
        code = "not_found"
    elif status in (404, 405) and (instead := _instead_of(request.scope["path"])):
        message = f"There is nothing at this address: {instead}."
    elif kind == "method-not-allowed" and request.scope["path"].rstrip("/") == f"{PATH}/responses":
        message = "This address takes POST only: responses are not listed."
    elif status == 401:
        code = "invalid_api_key"
    elif status == 429 and kind == "too-many-tokens":
        code = "insufficient_quota"
    param = _PARAMS.get(fields[0]["field"], fields[0]["field"]) if fields else None
    error = error_object(message, _type(status, code), code, param)
    lasting = int(given.get("Retry-After", "0")) > RETRY_AFTER_LIMIT
    if status >= 409 and (status not in _MAY_PASS or lasting):
        given |= NO_RETRY
    return Response({"error": error}, status_code=status, headers=given)


def _instead_of(path: str) -> str | None:
    own = path.removeprefix(f"{PATH}/")
    return _INSTEAD.get(own) or _INSTEAD.get(own.partition("/")[0])


def _type(status: int, code: str) -> str:
    if status == 429:
        return code if code == "insufficient_quota" else "rate_limit_error"
    return "server_error" if status >= 500 else "invalid_request_error"


def openai_rate_limits(limit_statuses: Sequence[LimitStatus]) -> dict[str, str]:
    """Return `x-ratelimit-*` headers: for each thing the account that has least left of it."""
    headers = {}
    for what, name in {"starts": "requests", "tokens": "tokens"}.items():
        of = [each for each in limit_statuses if each.policy.startswith(f"{what}-")]
        if of:
            least = min(of, key=lambda each: each.left)
            headers[f"x-ratelimit-limit-{name}"] = str(least.limit)
            headers[f"x-ratelimit-remaining-{name}"] = str(least.left)
            headers[f"x-ratelimit-reset-{name}"] = f"{math.ceil(least.reset)}s"
    return headers
