"""/v1/chat/completions: a task that is started and followed by one request."""

from typing import Any

from litestar import Controller, Request, Response, post

from application.accounts import Caller
from domain.events import begins_anew
from domain.position import START, Position
from domain.task import Task
from entrypoints.http.json_body import read_json_object
from entrypoints.http.openai.chat_object import chat_completion
from entrypoints.http.openai.chat_projection import ChatProjection
from entrypoints.http.openai.chat_request import read_chat_request
from entrypoints.http.openai.starting import start
from entrypoints.http.parts import HttpParts, Parts
from entrypoints.http.request_counts import COUNTED_AS, Counted
from entrypoints.http.start_bodies import hold_start_body
from entrypoints.http.waiting import Waiting


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
        async with Waiting(request, parts) as waiting:
            asked = read_chat_request(
                await read_json_object(request), parts.request_defaults, parts.request_bounds
            )
            started, headers = await start(asked, request, parts)
            task = started.task
            if asked.stream:
                begin = await _last_attempt(task, parts)
                projection = ChatProjection(task, include_usage=asked.include_usage, start=begin)
                return await waiting.stream(task.id, projection, projection.begin(), headers)

            async def finish() -> Response[Any]:
                log = parts.use_cases.get_task.log(task.id)
                return Response(await chat_completion(task, log, headers))

            return await waiting.hold(task.id, finish, headers)


async def _last_attempt(task: Task, parts: HttpParts) -> Position:
    """Return the position before the last attempt that has begun anew: of a task that was started
    before, what was lost is not told again."""
    position = START
    if task.attempt > 1:
        async for batch in parts.use_cases.get_task.log(task.id):
            for single in batch.singles():
                if begins_anew(single.events[0]):
                    position = single.after
    return position
