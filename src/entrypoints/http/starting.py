"""Start a task for a request in the form of another protocol."""

from typing import Any, Protocol

from litestar import Request

from application.accounts import Caller
from application.start_in_chat import Turn
from application.start_task import Started, Try
from domain.errors import InvalidRequest
from domain.request import TaskRequest
from entrypoints.http.parts import HttpParts
from entrypoints.http.problems import invalid, rate_limit_headers
from entrypoints.http.start_bodies import release_start_body

TASK_HEADER = "X-Longtask-Task-Id"
"""Names the task of a response, for the native face."""


class Asked(Protocol):
    """What a client asks for with a body."""

    @property
    def request(self) -> TaskRequest: ...

    def param_of(self, field: str) -> str:
        """Return what the client wrote for a field of the request."""
        ...


async def start(
    asked: Asked,
    key: str | Try | Turn | None,
    request: Request[Caller, Any, Any],
    parts: HttpParts,
) -> tuple[Started, dict[str, str]]:
    """Start a task, or join the one that the key means. Return it and the headers of the response.
    Raises as StartTask does, and a problem (400) in which every fault has the name that the client
    gave it."""
    try:
        started = await parts.use_cases.start_task(asked.request, request.user, key)
    except InvalidRequest as refusal:
        named = [(asked.param_of(fault.field), fault.message) for fault in refusal.faults]
        raise invalid([{"field": name, "message": message} for name, message in named]) from None
    release_start_body(request.scope)
    return started, {
        TASK_HEADER: started.task.id,
        **rate_limit_headers(started.limit_statuses),
    }
