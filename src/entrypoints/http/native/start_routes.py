"""/api/tasks: start a task, or retry one, which starts its request anew."""

from typing import Any

from litestar import Controller, Request, Response, get, post, route
from litestar.enums import HttpMethod
from litestar.params import JSONBody

from application.accounts import Caller
from application.start_task import Started
from domain.task_id import check_task_id
from entrypoints.http.cors import READABLE_BY_ALL
from entrypoints.http.idempotency_key import key_faults
from entrypoints.http.native.bodies import StartedBody, StatusBody
from entrypoints.http.native.parameters import (
    IdempotencyKey,
    TaskIdPath,
    TaskIdQuery,
    task_id_faults,
)
from entrypoints.http.native.start_body import StartBody
from entrypoints.http.native.start_request import StartRequest
from entrypoints.http.parts import HttpParts, Parts
from entrypoints.http.paths import TASKS_PATH
from entrypoints.http.problems import documented, invalid, rate_limit_headers
from entrypoints.http.request_counts import COUNTED_AS, Counted
from entrypoints.http.start_bodies import hold_start_body


class StartController(Controller):
    path = TASKS_PATH
    tags = ("tasks",)
    security = ({"key": []},)

    @post(
        "/start",
        status_code=202,
        opt={COUNTED_AS: Counted.START},
        request_class=StartRequest,
        middleware=[hold_start_body],
        operation_id="startTask",
        summary="Start a task",
        description="Returns the id of the task at once. The queue runs the task.",
        responses=documented(401, 413, 415, 422, 429, 502, 503),
    )
    async def start(
        self,
        data: JSONBody[StartBody],
        request: Request[Caller, Any, Any],
        parts: Parts,
        idempotency_key: IdempotencyKey = None,
    ) -> Response[StartedBody]:
        wanted = data.request(parts.request_defaults)
        started = await parts.use_cases.start_task(wanted, request.user, idempotency_key)
        return _started(started, request.user, parts)

    # Litestar would name only the first method of an address that has two. It adds handlers in the
    # order of their names, and these must come first.

    @route("/start", http_method=[HttpMethod.OPTIONS], include_in_schema=False)
    async def allowed_at_start(self) -> Response[None]:
        return Response(None, status_code=204, headers={"Allow": "GET, OPTIONS, POST"})

    @get(
        "/start",
        opt={READABLE_BY_ALL: True},
        summary="Status of a task, in the form of the older system",
        operation_id="getTaskStatus",
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

    @post(
        "/{taskId:str}/retry",
        status_code=202,
        opt={COUNTED_AS: Counted.START},
        operation_id="retryTask",
        summary="Start the request of a task that failed or was cancelled anew",
        description=(
            "Returns the id of a new task at once, which names the old one in retryOf. 409 if the "
            "task has not ended or has completed; 410 if the store has lost its request."
        ),
        responses=documented(401, 404, 409, 410, 422, 429, 502, 503),
    )
    async def retry(
        self,
        task_id: TaskIdPath,
        request: Request[Caller, Any, Any],
        parts: Parts,
        idempotency_key: IdempotencyKey = None,
    ) -> Response[StartedBody]:
        faults = task_id_faults(task_id) + key_faults(idempotency_key)
        if faults:
            raise invalid(faults)
        retried = await parts.use_cases.retry_task(task_id, request.user, idempotency_key)
        return _started(retried, request.user, parts)


def _started(started: Started, caller: Caller, parts: HttpParts) -> Response[StartedBody]:
    task = started.task
    body = StartedBody(
        True,
        task.id,
        task.message_id,
        "Task queued successfully",
        task.status.value,
        parts.access.stream_url(task.id, caller.owner),
        task.retry_of,
        task.not_before,
        task.deadline,
    )
    location = {"Location": f"{parts.prefix}{TASKS_PATH}/{task.id}"}
    headers = {**location, **rate_limit_headers(started.limit_statuses)}
    return Response(body, status_code=202, headers=headers)
