"""Start a task for a request of OpenAI's API, and let its client wait for it: what responses and
chat completions share."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Protocol, Self

from litestar import Request, Response

from application.accounts import Caller
from application.follow_task import NothingLeft
from application.start_task import Started
from domain.errors import InvalidRequest
from domain.events import START
from domain.request import TaskRequest
from entrypoints.http.native.parameters import key_faults
from entrypoints.http.openai.errors import TASK_HEADER, openai_rate_limits
from entrypoints.http.openai.held import Held, HeldResponse
from entrypoints.http.openai.on_disconnect import canceller, cancels_on_disconnect
from entrypoints.http.openai.sdk_retries import retry_of
from entrypoints.http.parts import HttpParts
from entrypoints.http.problems import invalid, rate_limit_headers
from entrypoints.http.sse.projected import ProjectedConnection, Projection, S
from entrypoints.http.sse.response import EVENT_STREAM, HEADERS, Events, EventStream
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


class Waiting:
    """A client that waits for a task: it holds the slot of a stream, also before there is a task,
    so that none is started for a client that may not wait for it. Use it as a context: an exception
    that leaves it releases the slot."""

    def __init__(self, request: Request[Caller, Any, Any], parts: HttpParts) -> None:
        """Raises a problem (400) for a header that says wrongly what becomes of the task with the
        connection."""
        self._caller = request.user
        self._parts = parts
        self._cancels = cancels_on_disconnect(request.headers)

    async def __aenter__(self) -> Self:
        """Raises OverLimit or StoreUnavailable."""
        self._slot = await self._parts.use_cases.quotas.stream(self._caller)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            await self._parts.use_cases.quotas.leave(self._slot)

    async def stream(
        self,
        task_id: str,
        projection: Projection[S],
        state: S,
        headers: Mapping[str, str],
        first: bytes = b"",
    ) -> Response[Any]:
        """Follow a task from a state on. `first`: frames that are told before. Raises as FollowTask
        does."""
        use_cases = self._parts.use_cases
        reader = await use_cases.follow_task(task_id, state.position, self._caller.owner)
        if isinstance(reader, NothingLeft):
            await use_cases.quotas.leave(self._slot)
            return Response(first, media_type=EVENT_STREAM, headers={**HEADERS, **headers})
        events = Events(
            reader,
            partial(ProjectedConnection, projection, state, self._parts.steps, reader),
            self._slot,
            self._parts.open_streams,
            resumed=state.position != START,
            first=first,
            hung_up=self._hung_up(task_id),
        )
        return EventStream(events, headers)

    async def hold(
        self,
        task_id: str,
        finish: Callable[[], Awaitable[Response[Any]]],
        headers: Mapping[str, str],
    ) -> Response[Any]:
        """Hold the response until the task has ended. `finish` then makes it. Raises as FollowTask
        does."""
        follow_task = self._parts.use_cases.follow_task
        reader = await follow_task(task_id, START, self._caller.owner)
        assert not isinstance(reader, NothingLeft)  # noqa: S101  (nothing is seen before the start)
        held = Held(
            reader=reader,
            slot=self._slot,
            streams=self._parts.open_streams,
            finish=finish,
            ping_interval=self._parts.ping_interval,
            hung_up=self._hung_up(task_id),
        )
        return HeldResponse(held, headers)

    def _hung_up(self, task_id: str) -> Callable[[], None] | None:
        """Return what is called if the client goes away before the end."""
        if not self._cancels:
            return None
        cancel, streams = self._parts.use_cases.cancel_task, self._parts.open_streams
        return canceller(cancel, streams, task_id, self._caller.owner)
