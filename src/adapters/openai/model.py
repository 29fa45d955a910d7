"""LanguageModel through OpenAI's official client.

The client does authentication, connections, timeouts and error responses. `chunks` decodes the
stream, about sixty times as fast as the client's own parser. The client's retries are off: the
queue delivers again, and a hidden retry would only hold the lease.
"""

import asyncio
from collections.abc import AsyncGenerator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import aiohttp
import httpx2
import openai

from adapters.openai.bounded_body import bound_body
from adapters.openai.chunks import ChunkStream
from adapters.openai.errors import classify_broken, classify_error, unreadable
from application.ports import Finished, LanguageModel
from domain.request import TaskRequest

CONNECT_TIMEOUT = 10.0
"""Seconds."""
IDLE_LIMIT = 16 * 1024 * 1024
"""Bytes without a piece of the answer after which the stream counts as unreadable."""
YIELD_LIMIT = 64 * 1024
"""Bytes without a piece after which other asyncio tasks run between two reads."""
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
_UNSUPPORTED = {"unsupported_parameter", "unsupported_value", "unknown_parameter"}


class OpenAIModel(LanguageModel):
    def __init__(self, api_key: str, base_url: str | None, read_timeout: float) -> None:
        """`read_timeout`: seconds for each read from the connection."""
        self._client = openai.AsyncOpenAI(
            api_key=api_key,
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
        self._refused: dict[str, frozenset[str]] = {}

    async def aclose(self) -> None:
        await self._client.close()

    async def stream(self, request: TaskRequest) -> AsyncGenerator[str | Finished, None]:
        while True:
            refused = self._refused.get(request.model, frozenset())
            try:
                async with self._client.chat.completions.with_streaming_response.create(
                    **_parameters(request, refused)
                ) as response:
                    chunks, idle = ChunkStream(request.model), 0
                    async for data in response.iter_bytes():
                        text = chunks.feed(data)
                        if text or chunks.worked:
                            idle = 0
                            yield text
                        elif (idle := idle + len(data)) > YIELD_LIMIT:
                            if idle > IDLE_LIMIT:
                                raise unreadable()
                            await asyncio.sleep(0)
                        if chunks.done:
                            break
                    yield chunks.finished()
                    return
            except openai.BadRequestError as error:
                wanted = error.param
                if (
                    not isinstance(wanted, str)  # the server may send any type
                    or wanted not in _REPLACEMENTS
                    or wanted in refused
                    or str(error.code) not in _UNSUPPORTED
                ):
                    raise classify_error(error, self._api_key) from error
                self._refused[request.model] = refused | {wanted}
            except openai.OpenAIError as error:
                raise classify_error(error, self._api_key) from error
            except (httpx2.HTTPError, httpx2.StreamError, aiohttp.ClientError, ValueError) as error:
                # The client does not wrap aiohttp's errors for a response that is not HTTP, nor
                # Python's ValueError for an invalid address.
                raise classify_broken(error) from error


def _parameters(request: TaskRequest, refused: frozenset[str]) -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "model": request.model,
        "messages": [
            {"role": message.role.value, "content": message.content}
            for message in request.conversation()
        ],
        "stream": True,
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "stream_options": {"include_usage": True},
    }
    parameters = {name: value for name, value in parameters.items() if value is not None}
    for name in refused & parameters.keys():
        value = parameters.pop(name)
        replacement = _REPLACEMENTS[name]
        if replacement is not None:
            parameters[replacement] = value
    return parameters
