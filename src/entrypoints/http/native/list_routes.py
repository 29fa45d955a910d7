"""/api/tasks: the caller's tasks, as a list and as a stream of their changes.

Both show tasks to a client that knows no id. So without API keys they exist only where callers are
trusted."""

from typing import Any

from litestar import Controller, Request, Response, get
from litestar.openapi.datastructures import ResponseSpec

from application.accounts import Caller
from entrypoints.http.head_requests import headers_only, is_head
from entrypoints.http.native.change_stream import Changes, ChangeStream
from entrypoints.http.native.list_query import DescribedQuery, cursor_text, read_list_query
from entrypoints.http.native.parameters import LastCursorHeader, LastCursorQuery, cursor_of
from entrypoints.http.native.summary import TaskChange, TaskListBody, summary_of
from entrypoints.http.origins import NAMES_REPEATED
from entrypoints.http.parts import REACHED_BY_NO_OTHER, HttpParts, Parts
from entrypoints.http.paths import TASKS_PATH
from entrypoints.http.problems import documented, problem
from entrypoints.http.sse.response import EVENT_STREAM, HEADERS


class TaskListController(Controller):
    path = TASKS_PATH
    tags = ("tasks",)
    security = ({"key": []},)

    @get(
        "/",
        opt={NAMES_REPEATED: True},
        operation_class=DescribedQuery,
        operation_id="listTasks",
        summary="List the caller's tasks, the newest first",
        description=(
            "A page may have fewer tasks than `limit`, and even none, together with a `next`: only "
            "1,000 of the caller's tasks are looked at for one page. The list ends where `next` is "
            "null."
        ),
        responses={
            200: ResponseSpec(TaskListBody, description="A page.", generate_examples=False),
            **documented(401, 403, 503),
        },
    )
    async def list_tasks(self, request: Request[Caller, Any, Any], parts: Parts) -> Response[Any]:
        _check_trusted(parts)
        asked = read_list_query(request.query_params)
        if is_head(request.scope):
            return headers_only("application/json")
        page = await parts.use_cases.list_tasks(
            request.user.owner, asked.wanted, asked.after, asked.limit
        )
        after = None if page.next is None else cursor_text(page.next)
        return Response(
            TaskListBody([summary_of(each, parts.prices) for each in page.tasks], after)
        )

    @get(
        "/events",
        media_type=EVENT_STREAM,
        opt={NAMES_REPEATED: True},
        operation_id="watchTasks",
        summary="Watch the caller's tasks change",
        description=(
            "Server-Sent Events without an event field, each data line a JSON object with type and "
            "timestamp. First comes every unfinished task, and every task that has ended since the "
            "id of the last event seen (without one: within the last hour); then each task that "
            "changes. A status in between may be left out, a last one never. The stream has no end "
            "of its own."
        ),
        responses={
            200: ResponseSpec(
                TaskChange,  # type: ignore[arg-type]  # a union is a type too
                description="The data of each event.",
                media_type="text/event-stream",
                generate_examples=False,
            ),
            **documented(401, 403, 429, 503),
        },
    )
    async def watch(
        self,
        request: Request[Caller, Any, Any],
        parts: Parts,
        last_event_header: LastCursorHeader = "",
        last_event_query: LastCursorQuery = "",
    ) -> Response[Any]:
        _check_trusted(parts)
        since = cursor_of(request.query_params, last_event_header, last_event_query)
        if is_head(request.scope):
            return headers_only(EVENT_STREAM, HEADERS)
        quotas = parts.use_cases.quotas
        slot = await quotas.stream(request.user)
        try:
            watch = await parts.use_cases.watch_tasks(request.user.owner, since)
        except BaseException:
            await quotas.leave(slot)
            raise
        resumed = since is not None
        return ChangeStream(
            Changes(watch, slot, parts.open_streams, parts.clock, resumed, parts.prices)
        )


def _check_trusted(parts: HttpParts) -> None:
    """Raise a problem (403) where all callers are one owner and not all may be trusted."""
    if not parts.trusts_callers:
        raise problem(
            403,
            "list-closed",
            "Without API keys, every caller could see all tasks. So they are listed and watched "
            f"only while {REACHED_BY_NO_OTHER}: set LONGTASK_API_KEYS, or "
            "LONGTASK_TRUST_ALL_CALLERS=true.",
        )
