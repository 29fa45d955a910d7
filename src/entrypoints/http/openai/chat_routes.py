"""/v1/chat/completions: a task that is started and followed by one request."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from litestar import Controller, Request, Response, post

from application.accounts import Caller
from application.follow_task import NothingLeft
from application.start_task import Started
from domain.errors import Fault, InvalidRequest
from domain.events import START, Position, begins_anew
from domain.task import Task
from entrypoints.http.json_body import read_json_object
from entrypoints.http.native.parameters import key_faults
from entrypoints.http.openai.chat_object import chat_completion
from entrypoints.http.openai.chat_projection import ChatProjection
from entrypoints.http.openai.chat_request import ChatRequest, read_chat_request
from entrypoints.http.openai.errors import TASK_HEADER, openai_rate_limits
from entrypoints.http.openai.held import Held, HeldResponse
from entrypoints.http.openai.on_disconnect import canceller, cancels_on_disconnect
from entrypoints.http.parts import HttpParts, Parts
from entrypoints.http.problems import invalid, rate_limit_headers
from entrypoints.http.request_counts import COUNTED_AS, Counted
from entrypoints.http.sse.projected import ProjectedConnection
from entrypoints.http.sse.response import Events, EventStream
from entrypoints.http.start_bodies import hold_start_body, release_start_body


class ChatController(Controller):
    path = "/chat/completions"

    @post(
        "/",
        status_code=200,
        opt={COUNTED_AS: Counted.START},
        middleware=[hold_start_body],
        include_in_schema=False,
    )
    async def create(self, request: Request[Caller, Any, Any], parts: Parts) -> Response[Any]:
        cancels = cancels_on_disconnect(request.headers)
        asked = read_chat_request(
            await read_json_object(request), parts.request_defaults, parts.request_bounds
        )
        started = await _start(asked, request, parts)
        release_start_body(request.scope)
        task, caller, limits = started.task, request.user, started.limit_statuses
        headers = {
            TASK_HEADER: task.id,
            **rate_limit_headers(limits),
            **openai_rate_limits(limits),
        }
        cancel = partial(canceller, parts.use_cases.cancel_task, parts.open_streams)
        hung_up = cancel(task.id, caller.owner) if cancels else None
        if not asked.stream:
            return await _held(task, caller, parts, headers, hung_up)
        start = await _last_attempt(task, parts)
        projection = ChatProjection(task, include_usage=asked.include_usage, start=start)
        return await _streamed(projection, task, caller, parts, headers, hung_up)


# SEAM for the lead: the helpers "requests" (faults by `asked.param_of`) and "retries" (`retry_of`).
async def _start(
    asked: ChatRequest, request: Request[Caller, Any, Any], parts: HttpParts
) -> Started:
    key = request.headers.get("idempotency-key")
    if faults := key_faults(key):
        raise invalid(faults)
    try:
        return await parts.use_cases.start_task(asked.request, request.user, key)
    except InvalidRequest as refusal:
        named = [Fault(asked.param_of(each.field), each.message) for each in refusal.faults]
        raise InvalidRequest(named) from None


async def _last_attempt(task: Task, parts: HttpParts) -> Position:
    """Return the position before the last attempt that has begun anew: of a task that was started
    before, what was lost is not told again."""
    position = START
    if task.attempt > 1:
        async for batch in parts.use_cases.get_task.log(task.id):
            for offset, event in enumerate(batch.events):
                if begins_anew(event):
                    within = Position(batch.end.epoch, batch.after.offset + offset)
                    position = within if offset else batch.after
    return position


async def _streamed(
    projection: ChatProjection,
    task: Task,
    caller: Caller,
    parts: HttpParts,
    headers: Mapping[str, str],
    hung_up: Callable[[], None] | None,
) -> Response[Any]:
    state, use_cases = projection.begin(), parts.use_cases
    reader = await use_cases.follow_task(task.id, state.position, caller.owner)
    assert not isinstance(reader, NothingLeft)  # noqa: S101  # an attempt is never the end
    try:
        slot = await use_cases.quotas.stream(caller)
    except BaseException:
        reader.close()
        raise
    connect = partial(ProjectedConnection, projection, state, parts.steps, reader)
    events = Events(reader, connect, slot, parts.open_streams, resumed=False, hung_up=hung_up)
    return EventStream(events, headers)


async def _held(
    task: Task,
    caller: Caller,
    parts: HttpParts,
    headers: Mapping[str, str],
    hung_up: Callable[[], None] | None,
) -> Response[Any]:
    use_cases = parts.use_cases

    async def finish() -> Response[Any]:
        log = use_cases.get_task.log(task.id)
        return Response(await chat_completion(task, log, headers), status_code=200, headers=headers)

    reader = await use_cases.follow_task(task.id, START, caller.owner)
    assert not isinstance(reader, NothingLeft)  # noqa: S101  # nothing is seen before the start
    try:
        slot = await use_cases.quotas.stream(caller)
    except BaseException:
        reader.close()
        raise
    held = Held(
        reader=reader,
        slot=slot,
        streams=parts.open_streams,
        finish=finish,
        ping_interval=parts.ping_interval,
        hung_up=hung_up,
    )
    return HeldResponse(held, headers)
