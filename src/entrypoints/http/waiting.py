"""A client that waits for a task: for its stream, or for its end."""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Self

from litestar import Request, Response

from application.accounts import Caller
from application.follow_task import NothingLeft
from domain.position import START
from entrypoints.http.held import Held, HeldResponse
from entrypoints.http.on_disconnect import canceller, cancels_on_disconnect
from entrypoints.http.parts import HttpParts
from entrypoints.http.sse.projected import ProjectedConnection, Projection, S
from entrypoints.http.sse.response import EVENT_STREAM, HEADERS, Events, EventStream


class Waiting:
    """A client that waits for a task: it holds the slot of a stream, also before there is a task,
    so that none is started for a client that may not wait for it. Use it as a context: an exception
    that leaves it releases the slot."""

    def __init__(
        self, request: Request[Caller, Any, Any], parts: HttpParts, *, may_cancel: bool = True
    ) -> None:
        """`may_cancel`: whether a header may say that the task is cancelled with the connection.
        Raises a problem (400) for one that says it wrongly."""
        self._caller = request.user
        self._parts = parts
        self._cancels = may_cancel and cancels_on_disconnect(request.headers)

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
        """Return the stream of a task from a state on. `first`: frames to send before it. Raises as
        FollowTask does."""
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
        wait: float | None = None,
    ) -> Response[Any]:
        """Hold the response until the task has ended. `finish` then makes it. With `wait`, it makes
        the response after so many seconds at the latest. Raises as FollowTask and `finish` do."""
        use_cases = self._parts.use_cases
        # Only the end is waited for: what is in the log already need not be read.
        position = START if wait is None else await use_cases.get_task.end(task_id)
        reader = await use_cases.follow_task(task_id, position, self._caller.owner)
        if isinstance(reader, NothingLeft):  # it has ended in the meantime
            response = await finish()
            await use_cases.quotas.leave(self._slot)
            return response
        held = Held(
            reader=reader,
            slot=self._slot,
            streams=self._parts.open_streams,
            finish=finish,
            ping_interval=self._parts.ping_interval,
            wait=wait,
            hung_up=self._hung_up(task_id),
        )
        return HeldResponse(held, headers)

    def _hung_up(self, task_id: str) -> Callable[[], None] | None:
        """Return what is called if the client goes away before the end."""
        if not self._cancels:
            return None
        cancel, streams = self._parts.use_cases.cancel_task, self._parts.open_streams
        return canceller(cancel, streams, task_id, self._caller.owner)
