"""/api/chat: the AI SDK's transports send messages, follow the answer, and stop it.

Sources: the npm packages ai (DefaultChatTransport, "UI message stream protocol") and
@ai-sdk/workflow (WorkflowChatTransport).
"""

from contextlib import suppress
from typing import Annotated, Any

from litestar import Controller, Request, Response, get, post
from litestar.params import PathParameter, QueryParameter

from application.accounts import Caller
from application.start_in_chat import Turn
from domain.errors import Fault, IllegalTransition
from domain.task import Task
from entrypoints.http.access import BY_CHAT_TOKEN
from entrypoints.http.ai_sdk.chat_body import read_chat
from entrypoints.http.ai_sdk.chunks import NOTHING_TO_FOLLOW
from entrypoints.http.ai_sdk.ids import is_task_id
from entrypoints.http.ai_sdk.permission import check_chat, check_task
from entrypoints.http.ai_sdk.token_request import read_token_request
from entrypoints.http.fields import Fields, raise_for
from entrypoints.http.head_requests import headers_only, is_head
from entrypoints.http.idempotency_key import key_of
from entrypoints.http.json_body import read_json_object
from entrypoints.http.parts import HttpParts, Parts
from entrypoints.http.paths import CHAT_PATH
from entrypoints.http.problems import bad_field, problem
from entrypoints.http.request_counts import COUNTED_AS, Counted
from entrypoints.http.sse.response import EVENT_STREAM, HEADERS
from entrypoints.http.start_bodies import hold_start_body
from entrypoints.http.starting import start
from entrypoints.http.waiting import Waiting

_STREAM = {"x-vercel-ai-ui-message-stream": "v1"}
_TAIL = "x-workflow-stream-tail-index"
_DIGITS = 9
"""Of an index, at most."""
ChatId = Annotated[str, PathParameter(name="chat_id")]
StartIndex = Annotated[str | None, QueryParameter(name="startIndex")]


class UiChatController(Controller):
    path = CHAT_PATH
    include_in_schema = False  # the AI SDK describes it

    @post(
        "/",
        status_code=200,
        opt={COUNTED_AS: Counted.START, BY_CHAT_TOKEN: "send"},
        middleware=[hold_start_body],
    )
    async def send(self, request: Request[Caller, Any, Any], parts: Parts) -> Response[Any]:
        key = key_of(request.headers)
        body = await read_json_object(request, plain_text=True)
        asked = read_chat(body, parts.request_defaults, parts.request_bounds)
        turn = None
        if asked.chat_id is not None:
            check_chat(asked.chat_id, request, parts)
            turn = Turn(
                chat_id=asked.chat_id,
                trigger=asked.trigger,
                key=key,
                reject=parts.rejects_in_running_chats,
            )
        elif request.auth is not None:
            raise bad_field("id", "is required: the token is for one chat")
        async with Waiting(request, parts) as waiting:
            started, headers = await start(asked, turn or key, request, parts)
            view = parts.ui_views.of_started(started.task, asked.request)
            projection = view.projection(by_chat=False)
            named = _named(started.task.id)
            return await waiting.stream(
                started.task.id, projection, projection.begin(), {**headers, **named}
            )

    @get("/{chat_id:str}/stream", opt={BY_CHAT_TOKEN: "follow"})
    async def follow(
        self,
        chat_id: ChatId,
        request: Request[Caller, Any, Any],
        parts: Parts,
        start_index: StartIndex = None,
    ) -> Response[Any]:
        index = _index(start_index)
        by_chat = not is_task_id(chat_id)
        newest = await _newest(chat_id, request, parts) if by_chat else None
        if by_chat and newest is None:
            return _nothing_to_follow(asked_for_place=index is not None)
        task_id = chat_id if newest is None else newest.id
        view = await parts.ui_views.of(task_id, request.user.owner)
        check_task(view.chat_id, task_id, request)
        headers = _named(task_id)
        if index is not None and index < 0:
            # The client counts on from this index. It gets the whole stream, since the message's
            # id is in the first chunk.
            headers[_TAIL] = str(-index - 1)
        if is_head(request.scope):
            return headers_only(EVENT_STREAM, headers)
        if newest is not None:
            await parts.use_cases.start_task.complete_in_chat(newest, chat_id)
        found = await view.behind(max(0, index or 0), by_chat=by_chat)
        if found is None:
            raise problem(404, "unknown-chunk", "The stream has no chunk with this index.")
        first, state = found
        async with Waiting(request, parts) as waiting:
            projection = view.projection(by_chat=by_chat)
            return await waiting.stream(task_id, projection, state, headers, first)

    @post(
        "/{chat_id:str}/stop",
        status_code=200,
        opt={COUNTED_AS: Counted.CANCEL, BY_CHAT_TOKEN: "stop"},
        middleware=[hold_start_body],
    )
    async def stop(
        self, chat_id: ChatId, request: Request[Caller, Any, Any], parts: Parts
    ) -> dict[str, Any]:
        active = await _active_stream(request)
        owner = request.user.owner
        if is_task_id(chat_id):
            task_id: str | None = chat_id
            view = await parts.ui_views.of(chat_id, owner)
            check_task(view.chat_id, chat_id, request)
        else:
            newest = await _newest(chat_id, request, parts)
            task_id = None if newest is None else newest.id
        if task_id is not None and active in (None, task_id):
            with suppress(IllegalTransition):  # it has ended
                await parts.use_cases.cancel_task(task_id, owner)
        return {"success": True}

    @post("/{chat_id:str}/token", status_code=200)
    async def token(
        self, chat_id: ChatId, request: Request[Caller, Any, Any], parts: Parts
    ) -> Response[Any]:
        check_chat(chat_id, request, parts)
        owner = request.user.owner
        if owner is None:
            raise problem(
                409, "no-api-keys", "This service has no API keys: a page needs no token."
            )
        asked = await read_token_request(request, parts.access.chat_token_ttl)
        token, expiry = parts.access.chat_token(owner, chat_id, asked.ttl, asked.may)
        body = {"token": token, "expiresAt": expiry * 1000, "chatId": chat_id, "may": asked.may}
        return Response(body, headers={"Cache-Control": "no-store"})


async def _newest(
    chat_id: ChatId, request: Request[Caller, Any, Any], parts: HttpParts
) -> Task | None:
    """Return the newest task of a chat. Raises a problem, as `check_chat` does."""
    check_chat(chat_id, request, parts)
    return await parts.use_cases.chats.newest(chat_id, request.user.owner)


async def _active_stream(request: Request[Any, Any, Any]) -> str | None:
    """Return the task that a stop means, if its body names one. Raises a problem."""
    faults: list[Fault] = []
    fields = Fields(await read_json_object(request, optional=True), "", faults)
    active = fields.text("activeStreamId")
    fields.inner("assistantMessage")  # what the page has so far: the log has it too
    fields.refuse_unread()
    raise_for(faults)
    return active


def _named(task_id: str) -> dict[str, str]:
    return {**_STREAM, "x-workflow-run-id": task_id}


def _nothing_to_follow(*, asked_for_place: bool) -> Response[Any]:
    """Return the response for a chat without a task. WorkflowChatTransport, which names a place,
    takes 204 for an error."""
    if not asked_for_place:
        return Response(None, status_code=204)
    return Response(NOTHING_TO_FOLLOW, media_type=EVENT_STREAM, headers={**HEADERS, **_STREAM})


def _index(text: str | None) -> int | None:
    """Read a query parameter. Raises a problem (400)."""
    if text is None:
        return None
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= _DIGITS):
        raise bad_field("startIndex", "must be a whole number")
    return int(text)
