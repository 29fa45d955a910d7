"""LanguageModel through OpenAI's official client.

The client does authentication, connections, timeouts and error responses. `chunks` decodes the
stream, about sixty times as fast as the client's own parser. The client's retries are off: the
queue delivers again, and a hidden retry would only hold the lease.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import aiohttp
import httpx2
import openai
import structlog

from adapters.openai.bounded_body import bound_body
from adapters.openai.chunks import ChunkStream
from adapters.openai.client_internals import read_at_once
from adapters.openai.errors import classify_broken, classify_error, unreadable
from adapters.openai.model_list import MODELS_TIMEOUT, read_models
from adapters.openai.oddities import NAMES_LIMIT
from adapters.openai.prefill import SERVERS, can_continue, go_on
from adapters.openai.reports import read_report
from application.ports import (
    Item,
    LanguageModel,
    OfferedModel,
    Resumption,
)
from domain.answer import Answer, Piece
from domain.request import TaskRequest

log = structlog.get_logger(__name__)

CONNECT_TIMEOUT = 10.0
"""Seconds."""
IDLE_LIMIT = 16 * 1024 * 1024
"""Bytes without a piece of the answer after which the stream counts as unreadable."""
READ_SIZE = 64 * 1024
"""Bytes that are read in one step at most, of those that have arrived: what is read in one step is
appended in one. Also the bytes without a piece after which other asyncio tasks run between two
reads."""
LINGER = 2.0
"""Seconds for what follows the reason why the model stopped. The answer is whole without it."""
MODELS_REMEMBERED = 1_000
"""Models of which it is remembered what they refuse, and what of their answers is not carried. The
first one is forgotten for another."""
CONNECTIONS = 100_000
"""No limit in practice: the number of concurrent deliveries bounds the connections."""

# Parameters that some models or servers refuse, and what to send instead (None: nothing). OpenAI's
# newer models require max_completion_tokens and refuse temperature; older servers do not know
# stream_options.
_REPLACEMENTS: dict[str, str | None] = {
    "max_tokens": "max_completion_tokens",
    "temperature": None,
    "stream_options": None,
}
_BROKEN = (httpx2.HTTPError, httpx2.StreamError, aiohttp.ClientError, ValueError)
"""The client does not wrap aiohttp's errors for a response that is not HTTP, nor Python's
ValueError for an invalid address."""


class OpenAIModel(LanguageModel):
    def __init__(
        self,
        api_key: str,
        base_url: str | None,
        read_timeout: float,
        prefill: str | None = None,
        *,
        prefill_unasked: bool = True,
    ) -> None:
        """`api_key`: empty for a server that needs none. `read_timeout`: seconds for each read from
        the connection. `prefill`: the kind of server, one of `prefill.SERVERS`, if it goes on from
        the beginning of an answer. `prefill_unasked`: also for requests that do not say whether it
        may."""
        read_at_once(READ_SIZE)
        self._client = openai.AsyncOpenAI(
            api_key=api_key or "none",  # the client requires one
            base_url=base_url,
            max_retries=0,
            timeout=httpx2.Timeout(read_timeout, connect=CONNECT_TIMEOUT),
            default_headers={"Accept-Encoding": "identity"},
            # Needs a third of the CPU time of the client's default transport for each read.
            http_client=openai.DefaultAioHttpClient(
                limits=httpx2.Limits(max_connections=CONNECTIONS),
                # A prompt is sent only to the server that the settings name.
                follow_redirects=False,
                event_hooks={"response": [bound_body]},
                # No cookies: the client would keep every one that it ever receives.
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            ),
        )
        self._api_key = api_key
        self._prefill = None if prefill is None else SERVERS[prefill]
        self._prefill_unasked = prefill_unasked
        self._refused: dict[str, frozenset[str]] = {}
        self._left_out: dict[str, frozenset[str]] = {}

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
            refused = self._refused.get(request.model, frozenset())
            try:
                # The client puts `extra_body` into the JSON body as it is. As keywords of its own,
                # options could change the headers, the URL or the timeout, and messages would be
                # rebuilt.
                async with self._client.chat.completions.with_streaming_response.create(
                    model=request.model,
                    messages=(),
                    stream=True,
                    extra_body=_body(request, refused),
                ) as response:
                    chunks, idle, said = ChunkStream(request.model, self._api_key), 0, False
                    arriving = response.iter_bytes()
                    async for data in arriving:
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
                    while not chunks.done:
                        if pieces := await _last_pieces(arriving, chunks):
                            said = True
                            yield pieces
                    self._tell_left_out(request.model, chunks.left_out)
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
            except _BROKEN as error:
                raise classify_broken(error) from error

    async def models(self) -> Sequence[OfferedModel]:
        try:
            async with (
                asyncio.timeout(MODELS_TIMEOUT),
                self._client.models.with_streaming_response.list() as response,
            ):
                return await read_models(response.iter_bytes())
        except openai.OpenAIError as error:
            raise classify_error(error, self._api_key) from error
        except (*_BROKEN, TimeoutError) as error:
            raise classify_broken(error) from error

    def _learns_refusal(self, request: TaskRequest, refused: frozenset[str], body: object) -> bool:
        """Whether the body of an error refuses parameters that can be left out or replaced. They
        are remembered for the model."""
        ours = _body(request, refused).keys() & _REPLACEMENTS.keys()
        wanted = read_report(body).refused(ours)
        # Other calls may have learnt more since this one began: what is known only grows, so that a
        # call is repeated at most once for each parameter.
        if wanted and (new := _remember(self._refused, request.model, refused | wanted)):
            log.warning("parameters refused", model=request.model, parameters=sorted(new))
        return bool(wanted)

    def _tell_left_out(self, model: str, names: set[str]) -> None:
        """Log, once per model, what its answers hold that is not carried."""
        many = len(self._left_out.get(model, ())) >= NAMES_LIMIT  # a server may make up any number
        if names and not many and (new := _remember(self._left_out, model, frozenset(names))):
            log.warning("parts of answers are not carried", model=model, fields=sorted(new))


def _remember(
    known: dict[str, frozenset[str]], model: str, names: frozenset[str]
) -> frozenset[str]:
    """Add names to those that are known of a model. Return the new ones."""
    before = known.pop(model, frozenset())
    if len(known) >= MODELS_REMEMBERED:  # clients may name any number of models
        del known[next(iter(known))]
    known[model] = before | names
    return names - before


async def _last_pieces(arriving: AsyncIterator[bytes], chunks: ChunkStream) -> tuple[Piece, ...]:
    """Return the next pieces of an answer that is complete or whose bytes have ended. A server that
    then keeps the connection open, or breaks it, costs nothing but the usage."""
    with contextlib.suppress(TimeoutError, *_BROKEN):
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
