"""Start a task for a request of OpenAI's API, and let its client wait for it: what responses and
chat completions share."""

from typing import Any, Protocol

from litestar import Request

from application.accounts import Caller
from application.start_task import Started
from domain.errors import InvalidRequest
from domain.request import TaskRequest
from entrypoints.http.idempotency_key import key_faults
from entrypoints.http.openai.errors import TASK_HEADER, openai_rate_limits
from entrypoints.http.openai.sdk_retries import retry_of
from entrypoints.http.parts import HttpParts
from entrypoints.http.problems import invalid, rate_limit_headers
from entrypoints.http.start_bodies import release_start_body


class Asked(Protocol):
    """What a client asks for with a body."""

    @property
    def request(self) -> TaskRequest: ...

    def param_of(self, field: str) -> str:
        """Return what the client wrote for a field of the request."""
        ...


async def start(
    asked: Asked, request: Request[Caller, Any, Any], parts: HttpParts
) -> tuple[Started, dict[str, str]]:
    """Start a task, or join the one that an idempotency key or the retry of an SDK means. Return it
    and the headers of the response. Raises as StartTask does, and a problem (400) in which every
    fault has the name that the client gave it."""
    key = request.headers.get("idempotency-key")
    if faults := key_faults(key):
        raise invalid(faults)
    try:
        started = await parts.use_cases.start_task(
            asked.request, request.user, key or retry_of(request.headers)
        )
    except InvalidRequest as refusal:
        named = [(asked.param_of(fault.field), fault.message) for fault in refusal.faults]
        raise invalid([{"field": name, "message": message} for name, message in named]) from None
    release_start_body(request.scope)
    limits = started.limit_statuses
    named_task = {TASK_HEADER: started.task.id}
    return started, {**named_task, **rate_limit_headers(limits), **openai_rate_limits(limits)}
