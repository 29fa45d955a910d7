"""OpenAI's official client, as both ways of asking a model use it.

The client does authentication, connections, timeouts and error responses. The streams are decoded
here, about sixty times as fast as by the client's own parser. The client's retries are off: the
queue delivers again, and a hidden retry would only hold the lease.
"""

import asyncio
from collections.abc import Sequence
from http.cookiejar import CookieJar, DefaultCookiePolicy

import aiohttp
import httpx2
import openai

from adapters.openai.bounded_body import bound_body
from adapters.openai.client_internals import HEADERS, forget_environment, read_at_once
from adapters.openai.errors import classify_broken, classify_error
from adapters.openai.model_list import MODELS_TIMEOUT, read_models
from application.ports import OfferedModel

CONNECT_TIMEOUT = 10.0
"""Seconds."""
READ_SIZE = 64 * 1024
"""Bytes that are read in one step at most, of those that have arrived: what is read in one step is
appended in one. Also the bytes without a piece after which other asyncio tasks run between two
reads."""
CONNECTIONS = 100_000
"""No limit in practice: the number of concurrent deliveries bounds the connections."""
BROKEN = (httpx2.HTTPError, httpx2.StreamError, aiohttp.ClientError, ValueError)
"""What a broken connection raises. The client does not wrap aiohttp's errors for a response that is
not HTTP, nor Python's ValueError for an invalid address."""


def open_client(
    api_key: str, base_url: str | None, read_timeout: float, *, environment: bool = True
) -> openai.AsyncOpenAI:
    """`api_key`: empty for a server that needs none. `read_timeout`: seconds for each read from the
    connection. `environment`: whether the server is the one for which the variables of OpenAI's
    client are set (`forget_environment`)."""
    read_at_once(READ_SIZE)
    client = openai.AsyncOpenAI(
        api_key=api_key or "none",  # the client requires one
        base_url=base_url,
        max_retries=0,
        timeout=httpx2.Timeout(read_timeout, connect=CONNECT_TIMEOUT),
        default_headers=HEADERS,
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
    if not environment:
        forget_environment(client)
    return client


async def list_models(client: openai.AsyncOpenAI, api_key: str) -> Sequence[OfferedModel]:
    """Return the models that the server offers. Raises ModelUnavailable or ModelRefused."""
    try:
        async with (
            asyncio.timeout(MODELS_TIMEOUT),
            client.models.with_streaming_response.list() as response,
        ):
            return await read_models(response.iter_bytes())
    except openai.OpenAIError as error:
        raise classify_error(error, api_key) from error
    except (*BROKEN, TimeoutError) as error:
        raise classify_broken(error) from error
