"""/api/tasks: start, look at, follow and cancel a task."""

from collections.abc import AsyncGenerator
from typing import Annotated, Any

import msgspec
from litestar import Controller, Request, Response, get, post, route
from litestar.enums import HttpMethod
from litestar.openapi.datastructures import ResponseSpec
from litestar.openapi.spec import Schema
from litestar.params import HeaderParameter, JSONBody, PathParameter, QueryParameter

from application.admission import Caller
from application.follow_task import NothingLeft
from domain.errors import IllegalTransition, MalformedEventId
from domain.events import START, Position, TaskStatus
from domain.task import check_task_id
from entrypoints.http.access import BY_LINK
from entrypoints.http.bodies import StartBody, StartedBody, StatusBody, TaskBody
from entrypoints.http.open_stream import OpenStream
from entrypoints.http.outcomes import COUNTED_AS, Counted
from entrypoints.http.parts import HttpParts, Parts
from entrypoints.http.paths import TASKS_PATH
from entrypoints.http.problems import (
    bad_field,
    documented,
    problem,
    rate_limit_headers,
    wrong_shape,
)
from entrypoints.http.record import record_response
from entrypoints.http.sse.response import Events, EventStream
from entrypoints.http.start_bodies import SHORT, StartBodies

BODY_LIMIT = 1024 * 1024
IDEMPOTENCY_KEY_LIMIT = 255

_ID = {"pattern": r"^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$"}
_EVENT_ID = {
    "any_of": [Schema(max_length=0), Schema(pattern=r"^[A-Za-z0-9]{1,64}-[0-9]{1,18}$")],
}
TaskIdPath = Annotated[str, PathParameter(name="taskId", description="The task.", schema_extra=_ID)]
TaskIdQuery = Annotated[
    str, QueryParameter(name="taskId", description="The task.", schema_extra=_ID)
]

_decode_start = msgspec.json.Decoder(StartBody).decode


class StartRequest(Request[Any, Any, Any]):
    """Reads the body of a start. Litestar alone would read leniently: "10" for 10.

    A form or plain text is refused: a page of another origin can send those without asking, and
    must not start a task.
    """

    def stream(self) -> AsyncGenerator[bytes, None]:
        if 0 < (self.content_length or 0) <= SHORT:
            return super().stream()
        bodies: StartBodies = self.app.state.start_bodies
        return bodies.counted(super().stream())

    async def json(self) -> StartBody:
        media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            raise problem(
                415,
                "unsupported-media-type",
                "The body must be application/json.",
                errors=[{"field": "Content-Type", "message": "must be application/json"}],
            )
        try:
            return _decode_start(await self.body())
        except msgspec.ValidationError as error:
            raise wrong_shape(str(error)) from None
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise bad_field("body", "is not valid JSON") from None


class TaskController(Controller):
    path = TASKS_PATH
    tags = ("tasks",)
    security = ({"key": []},)

    @post(
        "/start",
        status_code=202,
        opt={COUNTED_AS: Counted.START},
        request_class=StartRequest,
        request_max_body_size=BODY_LIMIT,
        summary="Start a task",
        description="Answers at once with the id of the task, which runs behind the queue.",
        responses=documented(401, 413, 415, 422, 429, 502, 503),
    )
    async def start(
        self,
        data: JSONBody[StartBody],
        request: Request[Caller, Any, Any],
        parts: Parts,
        idempotency_key: Annotated[
            str | None,
            HeaderParameter(
                name="Idempotency-Key",
                description=(
                    "The same key and body within 24 hours give the same task, unless that has "
                    "failed."
                ),
                schema_extra={
                    "max_length": IDEMPOTENCY_KEY_LIMIT,
                    "pattern": "^[!-~]([ -~]*[!-~])?$",
                },
            ),
        ] = None,
    ) -> Response[StartedBody]:
        if idempotency_key is not None and not (
            0 < len(idempotency_key) <= IDEMPOTENCY_KEY_LIMIT
            and idempotency_key.isascii()
            and idempotency_key.isprintable()
        ):
            raise bad_field(
                "Idempotency-Key", f"must be 1 to {IDEMPOTENCY_KEY_LIMIT} printable characters"
            )
        wanted = data.request(parts.default_model)
        started = await parts.use_cases.start_task(wanted, request.user, idempotency_key)
        task = started.task
        body = StartedBody(
            True,
            task.id,
            task.message_id,
            "Task queued successfully",
            task.status.value,
            parts.access.stream_url(task.id, request.user.owner),
        )
        location = {"Location": f"{TASKS_PATH}/{task.id}"}
        headers = {**location, **rate_limit_headers(started.limit_statuses)}
        return Response(body, status_code=202, headers=headers)

    @route("/start", http_method=[HttpMethod.OPTIONS], include_in_schema=False)
    async def options(self) -> Response[None]:
        # Litestar's own names but the first method of an address that has two.
        return Response(None, status_code=204, headers={"Allow": "GET, OPTIONS, POST"})

    @get(
        "/start",
        summary="Status of a task, as the older system answers it",
        responses=documented(401, 404, 503),
    )
    async def status(
        self,
        task_id: TaskIdQuery,
        request: Request[Caller, Any, Any],
        parts: Parts,
    ) -> StatusBody:
        get_task = parts.use_cases.get_task
        task = await get_task.record(check_task_id(task_id), request.user.owner)
        error = None if task.failure is None else task.failure.message
        return StatusBody(task.id, task.status.value, error)

    @get(
        "/stream",
        media_type="text/event-stream",
        opt={BY_LINK: True},
        security=[{"key": []}, {"link": []}],
        summary="Follow a task live",
        description=(
            "Server-Sent Events without an event field, each data line a JSON object with type, "
            "taskId and timestamp. With the id of the last event seen, the next event is the very "
            "next one. 204 once there is nothing left to see."
        ),
        responses={
            204: ResponseSpec(None, description="The client has the last event."),
            **documented(401, 404, 429, 503),
        },
    )
    async def stream(
        self,
        task_id: TaskIdQuery,
        request: Request[Caller, Any, Any],
        parts: Parts,
        last_event_header: Annotated[
            str,
            HeaderParameter(
                name="Last-Event-ID", description="Resume behind it.", schema_extra=_EVENT_ID
            ),
        ] = "",
        last_event_query: Annotated[
            str,
            QueryParameter(
                name="lastEventId", description="The same, in the query.", schema_extra=_EVENT_ID
            ),
        ] = "",
    ) -> Response[Any]:
        # The header is what a browser sends by itself when it reconnects: it is the newer one.
        field = "Last-Event-ID" if last_event_header else "lastEventId"
        seen = _position(field, last_event_header or last_event_query)
        admission = parts.use_cases.admission
        reader = await parts.use_cases.follow_task(check_task_id(task_id), seen, request.user.owner)
        if isinstance(reader, NothingLeft):
            return Response(None, status_code=204)
        try:
            slot = await admission.stream(request.user)
        except BaseException:
            reader.close()
            raise
        opened = OpenStream(admission, slot, parts.outcomes, resumed=seen != START)
        return EventStream(Events(reader, parts.sse_encoder, parts.clock, opened))

    @get(
        "/{taskId:str}",
        summary="The whole record of a task, with the text so far",
        responses=documented(401, 404, 503),
    )
    async def record(
        self,
        task_id: TaskIdPath,
        request: Request[Caller, Any, Any],
        parts: Parts,
    ) -> Response[TaskBody]:
        return await _record(check_task_id(task_id), request.user, parts)

    @post(
        "/{taskId:str}/cancel",
        status_code=202,
        opt={COUNTED_AS: Counted.CANCEL},
        summary="Cancel a task, keeping the text so far",
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


async def _record(
    task_id: str, caller: Caller, parts: HttpParts, status: int = 200
) -> Response[TaskBody]:
    found = await parts.use_cases.get_task.with_text(task_id, caller.owner)
    stream_url = parts.access.stream_url(task_id, caller.owner)
    return record_response(found, stream_url, status)


def _position(field: str, text: str) -> Position:
    if not text:
        return START
    try:
        return Position.parse(text)
    except MalformedEventId as error:
        raise bad_field(field, str(error)) from None
