"""LanguageModel on OpenAI's Responses API, in background mode.

The server keeps an answer and goes on with it, with or without listeners. A later attempt reads the
same stream on behind the last event of which everything is in the log. Where a server no longer
streams the answer (OpenAI: after five minutes), it is read as a whole once it has ended.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any

import openai

from adapters.openai.client import BROKEN, READ_SIZE, list_models, open_client
from adapters.openai.errors import classify_broken, classify_error, unreadable
from adapters.openai.known_models import KnownModels
from adapters.openai.responses.events import EVENT_LIMIT, WHOLE, Place, ResponseEvents
from adapters.openai.responses.request import REPLACEABLE, body_of, is_kept
from adapters.openai.responses.snapshot import RUNNING, beyond, decode, end_of, id_of
from application.errors import ContinuationLost, ModelUnavailable
from application.ports import (
    Finished,
    Item,
    Kept,
    LanguageModel,
    Numbered,
    OfferedModel,
    Resumption,
)
from application.ports.language_model import NOTHING
from domain.answer import Answer, JsonObject
from domain.continuation import Continuation
from domain.request import TaskRequest

IDLE_LIMIT = EVENT_LIMIT
"""Bytes without a sign of work after which a stream counts as unreadable."""
POLL_PAUSE = 2.0
"""Seconds between two looks at an answer that is not streamed any more."""
POLL_RETRIES = 5
"""How many looks in a row may fail: an answer may be looked at a thousand times."""
RELEASE_TIMEOUT = 10.0
"""Seconds for each call that tells a server that its answer is not needed."""

_FORGOTTEN = (404, 410)
_ENDED = (400, 409, *_FORGOTTEN)
"""What a server responds that has nothing to cancel or delete."""
_NOT_ABOUT_THE_STREAM = (401, 403, 407, 408, 429)
"""Statuses below 500 that say nothing about whether the server can stream an answer."""

_MAY_HAVE_BEGUN = (408, 409, 425)
"""Statuses below 500 with which a server may refuse to begin an answer a second time."""

_BROKEN_OFF = ("connection_lost", "model_timeout")
_CUT_BY_PROXY = (504, 524)
"""What a proxy responds in place of a stream that has sent nothing for long."""

Opened = AbstractAsyncContextManager[Any]


class ResponsesModel(LanguageModel):
    def __init__(
        self,
        api_key: str,
        base_url: str | None,
        read_timeout: float,
        *,
        delete: bool = False,
        environment: bool = True,
        poll_pause: float = POLL_PAUSE,
    ) -> None:
        """`api_key`: empty for a server that needs none. `read_timeout`: seconds for each read from
        the connection. `delete`: whether answers are deleted at the server when their tasks have
        ended. `environment`: as `open_client` takes it."""
        self._client = open_client(api_key, base_url, read_timeout, environment=environment)
        self._responses = self._client.responses.with_streaming_response
        self._api_key = api_key
        self._delete = delete
        # A pause is no silence of the model, which would be lost after read_timeout.
        self._poll_pause = min(poll_pause, read_timeout / 3)
        self._known = KnownModels(REPLACEABLE)
        address = str(self._client.base_url).encode()
        self._name = f"responses-{hashlib.sha256(address).hexdigest()[:16]}"

    async def aclose(self) -> None:
        await self._client.close()

    def keeper(self, model: str) -> str | None:
        return self._name

    async def models(self) -> Sequence[OfferedModel]:
        return await list_models(self._client, self._api_key)

    def stream(
        self, request: TaskRequest, resumption: Resumption | None = None
    ) -> AsyncGenerator[Item, None]:
        if resumption is None:
            return self._begin(request, None)
        before = resumption.continuation
        if before is not None and before.response_id is not None:
            return self._go_on(request, resumption.said, before.response_id, before.cursor)
        return self._begin(request, resumption.key, resumption.said)

    async def release(self, continuation: Continuation, *, completed: bool) -> None:
        response_id = continuation.response_id
        if response_id is None or continuation.upstream != self._name:
            return
        if not completed:
            await self._tell(self._responses.cancel(response_id))
        if self._delete:
            await self._tell(self._responses.delete(response_id))

    async def _begin(
        self, request: TaskRequest, key: str | None, said: Answer = NOTHING
    ) -> AsyncGenerator[Item, None]:
        if said != NOTHING:
            # The server was asked not to keep it, or did not say how it calls it.
            raise ContinuationLost("continuation_lost", "The answer was not kept.")
        headers = {} if key is None else {"Idempotency-Key": key}
        while True:
            refused = self._known.refused(request.model)
            body = body_of(request, refused)
            events = ResponseEvents(request.model, self._api_key)
            # The client puts `extra_body` into the JSON body as it is.
            opened = self._responses.create(stream=True, extra_body=body, extra_headers=headers)
            try:
                async with aclosing(self._read(opened, events, is_kept(request))) as items:
                    async for item in items:
                        yield item
                break
            except openai.APIStatusError as error:
                learns = error.status_code in (400, 422) and self._known.learn_refusal(
                    request.model, body, refused, error.body
                )
                if not learns:
                    fault = classify_error(error, self._api_key)
                    # Otherwise it may have begun: the next attempt asks with the same key.
                    status = error.status_code
                    fault.answer_ended = status < 500 and status not in _MAY_HAVE_BEGUN
                    raise fault from error
        if events.whole is None:
            yield self._finished(request, events)
            return
        async with aclosing(self._read_whole(request, NOTHING, events.whole)) as items:
            async for item in items:
                yield item

    async def _go_on(
        self, request: TaskRequest, said: Answer, response_id: str, cursor: int | None
    ) -> AsyncGenerator[Item, None]:
        """Read an answer on by its stream, or as a whole where that cannot be. A stream that breaks
        before it says anything costs no attempt if the server still works on the answer: proxies
        cut streams that are silent for long."""
        whole: JsonObject | None = None
        streams = cursor != WHOLE and (cursor is not None or said == NOTHING)
        while streams:
            place = Place(response_id, cursor)
            events, began = ResponseEvents(request.model, self._api_key, said, place), False
            after = openai.omit if cursor is None else cursor
            opened = self._responses.retrieve(response_id, stream=True, starting_after=after)
            try:
                async with aclosing(self._read(opened, events, kept=True)) as items:
                    async for item in items:
                        if events.begun and cursor is not None:
                            # The server knows no such event, or counts otherwise.
                            if began:
                                raise unreadable()
                            break
                        began = began or item != ()
                        yield item
            except openai.APIStatusError as error:
                if error.status_code not in _CUT_BY_PROXY:
                    self._check(error)
                    break
            except ModelUnavailable as fault:
                if began or fault.code not in _BROKEN_OFF:
                    raise
            else:
                if began or (events.done and not (events.begun and cursor is not None)):
                    yield self._finished(request, events)
                    return
            whole = await self._retrieve(response_id)
            streams = whole.get("status") in RUNNING and not (events.begun and cursor is not None)
            if streams:
                yield ()
                await asyncio.sleep(self._poll_pause)
        if whole is None:
            whole = await self._retrieve(response_id)
        async with aclosing(self._read_whole(request, said, whole)) as items:
            async for item in items:
                yield item

    async def _read(
        self, opened: Opened, events: ResponseEvents, kept: bool
    ) -> AsyncGenerator[Item, None]:
        """Yield what a stream says, up to its end. Raises APIStatusError if there is none."""
        told, idle, ended = events.response_id, 0, False
        try:
            async with opened as response:
                arriving = response.iter_bytes()
                while not (ended or events.done):
                    data = await anext(arriving, None)
                    ended = data is None
                    pieces = events.end() if data is None else events.feed(data)
                    if events.response_id != told and kept:
                        told = events.response_id
                        assert told is not None  # noqa: S101
                        yield Kept(told)
                    if pieces:
                        idle = 0
                        yield Numbered(pieces, events.cursor) if kept else pieces
                    elif events.worked:
                        idle = 0
                        yield ()
                    elif data is not None and (idle := idle + len(data)) >= READ_SIZE:
                        if idle > IDLE_LIMIT:
                            raise unreadable()
                        await asyncio.sleep(0)
        except openai.APIStatusError:
            raise
        except openai.OpenAIError as error:
            raise classify_error(error, self._api_key) from error
        except BROKEN as error:
            raise classify_broken(error) from error

    async def _read_whole(
        self, request: TaskRequest, said: Answer, response: JsonObject
    ) -> AsyncGenerator[Item, None]:
        """Wait until an answer has ended, and yield what it has beyond what was said."""
        response_id, failures = id_of(response), 0
        while response.get("status") in RUNNING:
            yield ()  # the server said that it works on it
            await asyncio.sleep(self._poll_pause)
            try:
                response, failures = await self._retrieve(response_id), 0
            except ModelUnavailable as fault:
                if (failures := failures + 1) > POLL_RETRIES or fault.code == "invalid_response":
                    raise
        finished = end_of(response, request.model, self._api_key, calls=False)
        pieces = beyond(response, said)
        if pieces is None:
            words = "The answer does not begin with what was read of it."
            raise ContinuationLost("continuation_lost", words, resumes_at=(response_id, WHOLE))
        if pieces:
            yield Numbered(pieces, WHOLE) if is_kept(request) else pieces
        yield finished

    def _finished(self, request: TaskRequest, events: ResponseEvents) -> Finished:
        self._known.tell_left_out(request.model, events.left_out)
        return events.finished()

    async def _retrieve(self, response_id: str) -> JsonObject:
        """Return a response as it is now. Raises ContinuationLost if there is none, and
        ModelUnavailable if the server gives another one."""
        body = bytearray()
        try:
            async with self._responses.retrieve(response_id) as response:
                async for data in response.iter_bytes():
                    body += data
                    if len(body) > EVENT_LIMIT:
                        raise unreadable()
        except openai.APIStatusError as error:
            self._check(error)
            raise classify_error(error, self._api_key) from error
        except openai.OpenAIError as error:
            raise classify_error(error, self._api_key) from error
        except BROKEN as error:
            raise classify_broken(error) from error
        whole = decode(bytes(body))
        if id_of(whole) != response_id:
            raise unreadable()
        return whole

    def _check(self, error: openai.APIStatusError) -> None:
        """Return if a server has an answer and does not stream it."""
        status = error.status_code
        if status in _FORGOTTEN:
            words = "The model's server has forgotten the answer."
            raise ContinuationLost("continuation_lost", words) from error
        if status >= 500 or status in _NOT_ABOUT_THE_STREAM:
            raise classify_error(error, self._api_key) from error

    async def _tell(self, call: Opened) -> None:
        """Send a call, and pass over it that the server does not know the answer any more, or that
        it has ended."""
        try:
            async with asyncio.timeout(RELEASE_TIMEOUT), call:
                pass
        except openai.APIStatusError as error:
            if error.status_code not in _ENDED:
                raise classify_error(error, self._api_key) from error
        except openai.OpenAIError as error:
            raise classify_error(error, self._api_key) from error
        except (*BROKEN, TimeoutError) as error:
            raise classify_broken(error) from error
