"""Bounds on the response bodies of the model's server.

Before the client raises for an error response, it reads the whole body. Here the body is truncated
first, by decoded size and by time. The body of a success is a stream. If the server encoded it
although the request asked for `identity`, it is decoded in small steps.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import aclosing

import httpx2

ERROR_BODY_LIMIT = 64 * 1024
"""Decoded bytes of the body of an error response. The rest is not read."""
ERROR_BODY_TIMEOUT = 5.0
"""Seconds for the body of an error response. What arrives later is not read."""
STEP = 64 * 1024
"""Decoded bytes of an encoded stream that are yielded at once."""

_PLAIN = {"", "identity"}
_DECODABLE = {"gzip", "deflate"}
"""The content codings (RFC 9110, 8.4.1) that httpx2 decodes in pieces of at most 1 MiB. Others, and
several codings at once, are refused: the request asked for none."""


async def bound_body(response: httpx2.Response) -> None:
    """Bound the body of a response, as a hook of httpx2's client. Raises httpx2.DecodingError for a
    success with a content coding that is not decoded here. Closes the connection of an error
    response."""
    coding = response.headers.get("content-encoding", "").strip().lower()
    if response.is_success and coding in _PLAIN:
        return  # the usual case: nothing is added per token
    whole = httpx2.Response(response.status_code, headers=response.headers, stream=response.stream)
    if response.is_success:
        if coding not in _DECODABLE:
            raise httpx2.DecodingError("unsupported content coding")
        response.stream = _Decoded(whole)
    else:
        wanted = coding in _PLAIN | _DECODABLE and not response.has_redirect_location
        body = await _truncated(whole) if wanted else b""
        await whole.aclose()
        response.stream = httpx2.ByteStream(body)
        response.headers["content-type"] = "application/json"  # without the charset of the server
    response.headers.pop("content-encoding", None)


class _Decoded(httpx2.AsyncByteStream):
    def __init__(self, encoded: httpx2.Response) -> None:
        self._encoded = encoded

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async with aclosing(self._encoded.aiter_bytes()) as pieces:
            async for piece in pieces:
                for begin in range(0, len(piece), STEP):
                    yield piece[begin : begin + STEP]
                    # A packet may decode to a thousand times its size: let other tasks run between.
                    await asyncio.sleep(0)

    async def aclose(self) -> None:
        await self._encoded.aclose()


async def _truncated(response: httpx2.Response) -> bytes:
    """Return what arrives of a body within its bounds, or before the connection breaks: the status
    matters more than the body."""
    body = bytearray()
    with contextlib.suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(ERROR_BODY_TIMEOUT), aclosing(response.aiter_bytes()) as pieces:
            async for piece in pieces:
                body += piece[: ERROR_BODY_LIMIT - len(body)]
                if len(body) == ERROR_BODY_LIMIT:
                    break
    return bytes(body)
