"""Start a task for a request of OpenAI's API: what responses and chat completions share."""

from typing import Any

from litestar import Request

from application.accounts import Caller
from application.start_task import Started
from entrypoints.http import starting
from entrypoints.http.idempotency_key import key_of
from entrypoints.http.openai.errors import openai_rate_limits
from entrypoints.http.openai.sdk_retries import retry_of
from entrypoints.http.parts import HttpParts


async def start(
    asked: starting.Asked, request: Request[Caller, Any, Any], parts: HttpParts
) -> tuple[Started, dict[str, str]]:
    """Start a task, or join the one that an idempotency key or the retry of an SDK means. Return it
    and the headers of the response. Raises as `starting.start` does, and a problem (400) for a
    malformed key."""
    headers = request.headers
    key = key_of(headers) or retry_of(headers)
    started, named = await starting.start(asked, key, request, parts)
    return started, {**named, **openai_rate_limits(started.limit_statuses)}
