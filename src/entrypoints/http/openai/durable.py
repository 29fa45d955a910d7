"""Start a task for a request of OpenAI's API, and let its client wait for it: what responses and
chat completions share."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Protocol

from litestar import Request, Response

from application.accounts import Caller
from application.follow_task import NothingLeft
from application.quotas import StreamSlot
from application.reader import Reader
from application.start_task import Started
from domain.errors import InvalidRequest
from domain.events import START, Position
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
    """A client that waits for a task."""

    def __init__(self, task_id: str, request: Request[Caller, Any, Any], parts: HttpParts) -> None:
        """Raises a problem (400) for a header that says neither what becomes of the task with the
        connection."""
        self._task_id = task_id
        self._caller = request.user
        self._parts = parts
        self._hung_up: Callable[[], None] | None = None
        if cancels_on_disconnect(request.headers):
            cancel, streams = parts.use_cases.cancel_task, parts.open_streams
            self._hung_up = canceller(cancel, streams, task_id, self._caller.owner)

    async def stream(
        self,
        projection: Projection[S],
        state: S,
        headers: Mapping[str, str],
        first: bytes = b"",
    ) -> Response[Any]:
        """Follow a task from a state on. `first`: frames that are told before. Raises as FollowTask
        does, and OverLimit."""
        opened = await self._open(state.position)
        if opened is None:
            return Response(first, media_type=EVENT_STREAM, headers={**HEADERS, **headers})
        reader, slot = opened
        events = Events(
            reader,
            partial(ProjectedConnection, projection, state, self._parts.steps, reader),
            slot,
            self._parts.open_streams,
            resumed=state.position != START,
            first=first,
            hung_up=self._hung_up,
        )
        return EventStream(events, headers)

    async def hold(
        self, finish: Callable[[], Awaitable[Response[Any]]], headers: Mapping[str, str]
    ) -> Response[Any]:
        """Hold the response until the task has ended. `finish` then makes it."""
        opened = await self._open(START)
        assert opened is not None  # noqa: S101  (nothing is seen before the start)
        reader, slot = opened
        held = Held(
            reader=reader,
            slot=slot,
            streams=self._parts.open_streams,
            finish=finish,
            ping_interval=self._parts.ping_interval,
            hung_up=self._hung_up,
        )
        return HeldResponse(held, headers)

    async def _open(self, position: Position) -> tuple[Reader, StreamSlot] | None:
        """Return a reader and its slot, or None if nothing is left to read."""
        use_cases = self._parts.use_cases
        reader = await use_cases.follow_task(self._task_id, position, self._caller.owner)
        if isinstance(reader, NothingLeft):
            return None
        try:
            return reader, await use_cases.quotas.stream(self._caller)
        except BaseException:
            reader.close()
            raise
