"""/api/tasks: look at, follow, wait for, cancel and delete a task."""

from functools import partial
from typing import Any

from litestar import Controller, Request, Response, delete, get, post, route
from litestar.enums import HttpMethod
from litestar.openapi.datastructures import ResponseSpec

from application.accounts import Caller
from application.follow_task import NothingLeft
from domain.errors import IllegalTransition
from domain.events import TaskStatus
from domain.position import START
from domain.task_id import check_task_id
from entrypoints.http.access import BY_LINK
from entrypoints.http.cors import READABLE_BY_ALL
from entrypoints.http.head_requests import headers_only, is_head
from entrypoints.http.native.bodies import TaskBody
from entrypoints.http.native.event_bodies import StreamEvent
from entrypoints.http.native.parameters import (
    DEFAULT_WAIT,
    LastEventHeader,
    LastEventQuery,
    TaskIdPath,
    TaskIdQuery,
    Wait,
    position_of,
    seconds_of,
)
from entrypoints.http.native.record import record_response
from entrypoints.http.parts import HttpParts, Parts
from entrypoints.http.paths import TASKS_PATH
from entrypoints.http.problems import documented
from entrypoints.http.request_counts import COUNTED_AS, Counted
from entrypoints.http.sse.encoder import connected_frame
from entrypoints.http.sse.response import (
    EVENT_STREAM,
    HEADERS,
    Events,
    EventStream,
    NativeConnection,
)
from entrypoints.http.waiting import Waiting

_FOLLOWING: dict[str, Any] = {
    "media_type": EVENT_STREAM,
    "opt": {BY_LINK: True, READABLE_BY_ALL: True},
    "security": [{"key": []}, {"link": []}],
    "description": (
        "Server-Sent Events without an event field, each data line a JSON object with type, taskId "
        "and timestamp. With the id of the last event seen, the stream goes on right behind that "
        "event. 204 once the client has seen the last event. A cancelled task ends with an end "
        "whose finishReason is cancelled. docs/codes.md lists the values of code, reason and "
        "finishReason."
    ),
    "responses": {
        200: ResponseSpec(
            StreamEvent,  # type: ignore[arg-type]  # a union is a type too
            description="The data of each event.",
            media_type="text/event-stream",
            generate_examples=False,
        ),
        204: ResponseSpec(None, description="The client has the last event."),
        **documented(401, 404, 429, 503),
    },
}
"""What the two routes of a stream share."""


class TaskController(Controller):
    path = TASKS_PATH
    tags = ("tasks",)
    security = ({"key": []},)

    # Litestar would name only the first method of an address that has two. It adds handlers in the
    # order of their names, and these must come first.

    @route("/{taskId:str}", http_method=[HttpMethod.OPTIONS], include_in_schema=False)
    async def allowed_at_task(self) -> Response[None]:
        return Response(None, status_code=204, headers={"Allow": "DELETE, GET, OPTIONS"})

    @get("/stream", operation_id="followTask", summary="Follow a task live", **_FOLLOWING)
    async def stream(
        self,
        task_id: TaskIdQuery,
        request: Request[Caller, Any, Any],
        parts: Parts,
        last_event_header: LastEventHeader = "",
        last_event_query: LastEventQuery = "",
    ) -> Response[Any]:
        return await _follow(task_id, last_event_header, last_event_query, request, parts)

    @get(
        "/{taskId:str}/stream",
        operation_id="followTaskByPath",
        summary="The same, with the task in the path",
        **_FOLLOWING,
    )
    async def stream_by_path(
        self,
        task_id: TaskIdPath,
        request: Request[Caller, Any, Any],
        parts: Parts,
        last_event_header: LastEventHeader = "",
        last_event_query: LastEventQuery = "",
    ) -> Response[Any]:
        return await _follow(task_id, last_event_header, last_event_query, request, parts)

    @get(
        "/{taskId:str}",
        opt={READABLE_BY_ALL: True},
        summary="The whole record of a task, with the answer so far",
        operation_id="getTask",
        responses={
            200: ResponseSpec(TaskBody, description="The record.", generate_examples=False),
            **documented(401, 404, 503),
        },
    )
    async def record(
        self,
        task_id: TaskIdPath,
        request: Request[Caller, Any, Any],
        parts: Parts,
    ) -> Response[Any]:
        if is_head(request.scope):
            await parts.use_cases.get_task.record(check_task_id(task_id), request.user.owner)
            return headers_only("application/json")
        return await _record(check_task_id(task_id), request.user, parts)

    @get(
        "/{taskId:str}/result",
        opt={READABLE_BY_ALL: True},
        summary="Wait for the end of a task, and get its whole record",
        description=(
            "The record once the task has ended, or as it then stands: after `wait` seconds, or "
            "when the service stops. While it is held, the response begins with white space, which "
            "JSON allows. A connection that breaks holds no record: ask again."
        ),
        operation_id="awaitTask",
        responses={
            200: ResponseSpec(TaskBody, description="The record.", generate_examples=False),
            **documented(401, 404, 429, 503),
        },
    )
    async def result(
        self,
        task_id: TaskIdPath,
        request: Request[Caller, Any, Any],
        parts: Parts,
        wait: Wait = str(DEFAULT_WAIT),
    ) -> Response[Any]:
        seconds, caller = seconds_of(task_id, wait), request.user
        task = await parts.use_cases.get_task.record(task_id, caller.owner)
        if is_head(request.scope):
            return headers_only("application/json")
        if seconds == 0 or task.status.terminal:
            return await _record(task_id, caller, parts)
        async with Waiting(request, parts, may_cancel=False) as waiting:
            finish = partial(_record, task_id, caller, parts)
            return await waiting.hold(task_id, finish, {}, wait=seconds)

    @post(
        "/{taskId:str}/cancel",
        status_code=202,
        opt={COUNTED_AS: Counted.CANCEL},
        operation_id="cancelTask",
        summary="Cancel a task, keeping the answer so far",
        description="409 once the task has completed or failed; 200 if it is cancelled already.",
        responses={
            200: ResponseSpec(TaskBody, description="It is cancelled already."),
            **documented(401, 404, 409, 503),
        },
    )
    async def cancel(
        self,
        task_id: TaskIdPath,
        request: Request[Caller, Any, Any],
        parts: Parts,
    ) -> Response[TaskBody]:
        status = 202
        try:
            await parts.use_cases.cancel_task(check_task_id(task_id), request.user.owner)
        except IllegalTransition as refusal:
            if refusal.current is not TaskStatus.CANCELLED:
                raise
            status = 200
        return await _record(task_id, request.user, parts, status)

    @delete(
        "/{taskId:str}",
        status_code=204,
        operation_id="deleteTask",
        summary="Delete a task with all that it was asked and said",
        description=(
            "A task that has not ended is cancelled first: its readers get the end. From then on "
            "its id is unknown."
        ),
        responses=documented(401, 404, 503),
    )
    async def delete(
        self,
        task_id: TaskIdPath,
        request: Request[Caller, Any, Any],
        parts: Parts,
    ) -> None:
        await parts.use_cases.delete_task(check_task_id(task_id), request.user.owner)
        parts.response_views.forget(task_id)
        parts.ui_views.forget(task_id)


async def _follow(
    task_id: str,
    last_event_header: str,
    last_event_query: str,
    request: Request[Caller, Any, Any],
    parts: HttpParts,
) -> Response[Any]:
    seen = position_of(task_id, last_event_header, last_event_query)
    if is_head(request.scope):
        await parts.use_cases.get_task.record(task_id, request.user.owner)
        return headers_only(EVENT_STREAM, HEADERS)
    quotas = parts.use_cases.quotas
    reader = await parts.use_cases.follow_task(task_id, seen, request.user.owner)
    if isinstance(reader, NothingLeft):
        return Response(None, status_code=204)
    try:
        slot = await quotas.stream(request.user)
    except BaseException:
        reader.close()
        raise
    resumed = seen != START
    held = parts.held_streams
    hold = held.holder(request.headers, request.user.address, resumed=resumed)
    events = Events(
        reader,
        partial(NativeConnection, task_id, parts.sse_encoder, hold),
        slot,
        parts.open_streams,
        resumed,
        connected_frame(reader, parts.clock.now()),
    )
    return EventStream(events)


async def _record(
    task_id: str, caller: Caller, parts: HttpParts, status: int = 200
) -> Response[TaskBody]:
    found = await parts.use_cases.get_task.with_answer(task_id, caller.owner)
    stream_url = parts.access.stream_url(task_id, caller.owner)
    return record_response(found, stream_url, parts.prices, status)
