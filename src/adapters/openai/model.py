"""LanguageModel on OpenAI's chat completions, through the official client."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any

import httpx2
import openai

from adapters.openai.chunks import ChunkStream
from adapters.openai.client import BROKEN, CONNECT_TIMEOUT, READ_SIZE, list_models, open_client
from adapters.openai.errors import classify_broken, classify_error, unreadable
from adapters.openai.known_models import KnownModels
from adapters.openai.prefill import SERVERS, can_continue, go_on
from adapters.openai.silence import SilenceLimit
from application.ports import (
    Item,
    LanguageModel,
    OfferedModel,
    Resumption,
)
from domain.answer import Answer, Piece
from domain.request import TaskRequest

IDLE_LIMIT = 16 * 1024 * 1024
"""Bytes without a piece of the answer after which the stream counts as unreadable."""
LINGER = 2.0
"""Seconds for what follows the reason why the model stopped. The answer is whole without it."""

# Parameters that some models or servers refuse, and what to send instead (None: nothing). OpenAI's
# newer models require max_completion_tokens and refuse temperature; older servers do not know
# stream_options.
_REPLACEMENTS: dict[str, str | None] = {
    "max_tokens": "max_completion_tokens",
    "temperature": None,
    "stream_options": None,
}


class OpenAIModel(LanguageModel):
    def __init__(
        self,
        api_key: str,
        base_url: str | None,
        read_timeout: float,
        prefill: str | None = None,
        *,
        prefill_unasked: bool = True,
        environment: bool = True,
    ) -> None:
        """`api_key`: empty for a server that needs none. `read_timeout`: seconds for each read from
        the connection. `prefill`: the kind of server, one of `prefill.SERVERS`, if it goes on from
        the beginning of an answer. `prefill_unasked`: also for requests that do not say whether it
        may. `environment`: as `open_client` takes it."""
        self._client = open_client(api_key, base_url, read_timeout, environment=environment)
        self._api_key = api_key
        self._read_timeout = read_timeout
        self._known = KnownModels(_REPLACEMENTS)
        self._prefill = None if prefill is None else SERVERS[prefill]
        self._prefill_unasked = prefill_unasked

    async def aclose(self) -> None:
        await self._client.close()

    def goes_on(self, request: TaskRequest, said: Answer) -> bool:
        wanted = self._prefill_unasked if request.prefill is None else request.prefill
        return self._prefill is not None and wanted and can_continue(request, said)

    def stream(
        self, request: TaskRequest, resumption: Resumption | None = None
    ) -> AsyncGenerator[Item, None]:
        if resumption is None or resumption.said == Answer():
            return self._answer(request)
        return go_on(self._prefill, request, resumption.said, self._answer)

    async def _answer(self, request: TaskRequest) -> AsyncGenerator[Item, None]:
        while True:
            refused = self._known.refused(request.model)
            try:
                # The client puts `extra_body` into the JSON body as it is. As keywords of its own,
                # options could change the headers, the URL or the timeout, and messages would be
                # rebuilt.
                async with (
                    SilenceLimit(self._read_timeout) as silence,
                    self._client.chat.completions.with_streaming_response.create(
                        model=request.model,
                        messages=(),
                        stream=True,
                        extra_body=_body(request, refused),
                        timeout=httpx2.Timeout(None, connect=CONNECT_TIMEOUT),
                    ) as response,
                ):
                    chunks, idle, said = ChunkStream(request.model, self._api_key), 0, False
                    arriving = response.iter_bytes()
                    async for data in arriving:
                        silence.pause()
                        pieces = chunks.feed(data)
                        if pieces or chunks.worked:
                            idle, said = 0, True
                            yield pieces
                        elif (idle := idle + len(data)) >= READ_SIZE:
                            if idle > IDLE_LIMIT:
                                raise unreadable()
                            await asyncio.sleep(0)
                        if chunks.complete:
                            break
                        silence.wait()
                    silence.pause()
                    while not chunks.done:
                        if pieces := await _last_pieces(arriving, chunks):
                            said = True
                            yield pieces
                    self._known.tell_left_out(request.model, chunks.left_out)
                    # A server may have to begin a stream before it knows that it refuses.
                    if not said and self._learns_refusal(request, refused, chunks.reported):
                        continue
                    yield chunks.finished()
                    return
            except (openai.BadRequestError, openai.UnprocessableEntityError) as error:
                if not self._learns_refusal(request, refused, error.body):
                    raise classify_error(error, self._api_key) from error
            except openai.OpenAIError as error:
                raise classify_error(error, self._api_key) from error
            except (*BROKEN, TimeoutError) as error:
                raise classify_broken(error) from error

    async def models(self) -> Sequence[OfferedModel]:
        return await list_models(self._client, self._api_key)

    def _learns_refusal(self, request: TaskRequest, refused: frozenset[str], body: object) -> bool:
        sent = _body(request, refused)
        return self._known.learn_refusal(request.model, sent, refused, body)


async def _last_pieces(arriving: AsyncIterator[bytes], chunks: ChunkStream) -> tuple[Piece, ...]:
    """Return the next pieces of an answer that is complete or whose bytes have ended. A server that
    then keeps the connection open, or breaks it, costs nothing but the usage."""
    with contextlib.suppress(TimeoutError, *BROKEN):
        async with asyncio.timeout(LINGER):
            async for data in arriving:
                pieces = chunks.feed(data)
                if pieces or chunks.done:
                    return pieces
                await asyncio.sleep(0)  # comments without end must not keep the timeout from firing
    return chunks.end()


def _body(request: TaskRequest, refused: frozenset[str]) -> dict[str, Any]:
    """Return the JSON body of a call. What is ours stands before an option of the same name."""
    parameters: dict[str, Any] = {
        "model": request.model,
        "messages": request.conversation(),
        "stream": True,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "stream_options": {"include_usage": True},
    }
    for name in refused:
        value, replacement = parameters.pop(name), _REPLACEMENTS[name]
        if replacement is not None:
            parameters[replacement] = value
    given = {name: value for name, value in parameters.items() if value is not None}
    return {**request.options, **given}
