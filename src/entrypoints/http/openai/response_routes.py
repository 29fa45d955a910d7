"""/v1/responses: create, retrieve, follow, cancel and forget a response."""

from contextlib import suppress
from typing import Annotated, Any

from litestar import Controller, Request, Response, delete, get, post, route
from litestar.enums import HttpMethod
from litestar.params import PathParameter, QueryParameter

from application.accounts import Caller
from application.errors import UnknownTask
from domain.errors import IllegalTransition
from entrypoints.http.head_requests import headers_only, is_head
from entrypoints.http.json_body import read_json_object
from entrypoints.http.openai.ids import task_of_response
from entrypoints.http.openai.input_items import input_items_of, page_of
from entrypoints.http.openai.input_messages import references_of
from entrypoints.http.openai.references import resolve_references
from entrypoints.http.openai.response_request import ResponseRequest, read_response_request
from entrypoints.http.openai.response_state import ResponseState
from entrypoints.http.openai.starting import start
from entrypoints.http.openai.views import ResponseView
from entrypoints.http.parts import HttpParts, Parts
from entrypoints.http.problems import bad_field, problem
from entrypoints.http.request_counts import COUNTED_AS, Counted
from entrypoints.http.sse.response import EVENT_STREAM
from entrypoints.http.start_bodies import hold_start_body
from entrypoints.http.waiting import Waiting

_DIGITS = 18
ResponseId = Annotated[str, PathParameter(name="response_id")]
StartingAfter = Annotated[str | None, QueryParameter(name="starting_after")]
AsStream = Annotated[str, QueryParameter(name="stream")]


class ResponseController(Controller):
    path = "/responses"
    include_in_schema = False  # OpenAI describes it

    @post(
        "",
        status_code=200,
        opt={COUNTED_AS: Counted.START},
        middleware=[hold_start_body],
    )
    async def create(self, request: Request[Caller, Any, Any], parts: Parts) -> Response[Any]:
        waiting = Waiting(request, parts)
        asked = await _read(request, parts)
        if asked.background and not asked.stream:
            started, headers = await start(asked, request, parts)
            view = parts.response_views.of_started(started.task, asked.request)
            return Response(view.response.at(await view.now()), headers=headers)
        async with waiting:
            started, headers = await start(asked, request, parts)
            task_id = started.task.id
            view = parts.response_views.of_started(started.task, asked.request)
            if asked.stream:
                if asked.background:
                    begin = view.projection.begin()
                    return await waiting.stream(task_id, view.projection, begin, headers)
                first, begin = b"", view.append_only.begin()
                if started.joined:
                    first, begin = await view.last_attempt()
                return await waiting.stream(task_id, view.append_only, begin, headers, first)

            async def finish() -> Response[Any]:
                return _final(view, await view.now())

            return await waiting.hold(task_id, finish, headers)

    @route("/{response_id:str}", http_method=[HttpMethod.OPTIONS])
    async def allowed_at_response(self) -> Response[None]:
        # As in native.routes: Litestar would name only the first method.
        return Response(None, status_code=204, headers={"Allow": "DELETE, GET, OPTIONS"})

    @get("/{response_id:str}")
    async def retrieve(
        self,
        response_id: ResponseId,
        request: Request[Caller, Any, Any],
        parts: Parts,
        stream: AsStream = "",
        starting_after: StartingAfter = None,
    ) -> Response[Any]:
        task_id, caller = _task_of(response_id), request.user
        streamed = _is_true(stream)
        number = _number(starting_after)
        if is_head(request.scope):
            await parts.use_cases.get_task.record(task_id, caller.owner)
            return headers_only(EVENT_STREAM if streamed else "application/json")
        view = await parts.response_views.of(task_id, caller.owner)
        if not streamed:
            return Response(view.response.at(await view.now()))
        first, state = b"", view.projection.begin()
        if number is not None:
            first, state = await view.behind(number)
        async with Waiting(request, parts) as waiting:
            return await waiting.stream(task_id, view.projection, state, {}, first)

    @post(
        "/{response_id:str}/cancel",
        status_code=200,
        opt={COUNTED_AS: Counted.CANCEL},
    )
    async def cancel(
        self, response_id: ResponseId, request: Request[Caller, Any, Any], parts: Parts
    ) -> Response[Any]:
        task_id, owner = _task_of(response_id), request.user.owner
        with suppress(IllegalTransition):
            await parts.use_cases.cancel_task(task_id, owner)
        view = await parts.response_views.of(task_id, owner)
        return Response(view.response.at(await view.now()))

    @delete("/{response_id:str}", status_code=200)
    async def forget(
        self, response_id: ResponseId, request: Request[Caller, Any, Any], parts: Parts
    ) -> dict[str, Any]:
        task_id = _task_of(response_id)
        await parts.use_cases.delete_task(task_id, request.user.owner)
        parts.response_views.forget(task_id)
        parts.ui_views.forget(task_id)
        return {"id": response_id, "object": "response", "deleted": True}

    @get("/{response_id:str}/input_items")
    async def input_items(
        self, response_id: ResponseId, request: Request[Caller, Any, Any], parts: Parts
    ) -> Response[Any]:
        task_id = _task_of(response_id)
        get_task = parts.use_cases.get_task
        task, asked = await get_task.with_request(task_id, request.user.owner)
        items = [] if asked is None else input_items_of(task.id, asked)
        query = request.query_params
        return Response(page_of(items, query.get("limit"), query.get("order"), query.get("after")))


async def _read(request: Request[Caller, Any, Any], parts: HttpParts) -> ResponseRequest:
    body = await read_json_object(request)
    bounds, views = parts.request_bounds, parts.response_views
    resolved = await resolve_references(
        references_of(body), views, request.user.owner, bounds.max_bytes
    )
    return read_response_request(body, parts.request_defaults, resolved, bounds)


def _task_of(response_id: str) -> str:
    """Raises UnknownTask."""
    if (task_id := task_of_response(response_id)) is None:
        raise UnknownTask(response_id)
    return task_id


def _is_true(text: str) -> bool:
    """Read a query parameter. Raises a problem (400)."""
    if text not in ("", "true", "false"):
        raise bad_field("stream", "must be true or false")
    return text == "true"


def _number(text: str | None) -> int | None:
    """Read a query parameter. Raises a problem (400)."""
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= _DIGITS):
        raise bad_field("starting_after", "must be a sequence_number")
    return int(text)


def _final(view: ResponseView, fold: ResponseState) -> Response[Any]:
    """Return a response whose client waited for its end. Raises a problem (400) for one that was
    cancelled: clients would take the part for the whole."""
    response = view.response.at(fold)
    if response["status"] == "cancelled":
        raise problem(400, "cancelled", "The response was cancelled.")
    if response["status"] == "failed":  # half of a JSON could not be parsed
        response["output"] = []
    return Response(response)
