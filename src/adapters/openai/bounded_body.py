"""Bounds on the body of a response of the model's server, whatever that sends.

The client reads the whole body of a response that is not a success before it raises. Here such a
body is cut to its beginning first, by size (decoded) and by
time. The body of a success is a stream: where the server encoded it although we asked for
`identity`, it is decoded in small steps.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import aclosing

import httpx2

ERROR_BODY_LIMIT = 64 * 1024
"""Decoded bytes of the body of a response that is not a success."""
ERROR_BODY_TIMEOUT = 5.0
"""Seconds for that body: what has come by then is all of it."""
STEP = 64 * 1024
"""Decoded bytes of an encoded stream that are handed on in one step."""

_PLAIN = {"", "identity"}
_DECODABLE = {"gzip", "deflate"}
"""One coding (RFC 9110, 8.4.1) that httpx2 decodes in pieces of at most 1 MiB. Several around one
another, and all others, are not needed: we asked for none."""


async def bound_body(response: httpx2.Response) -> None:
    """A response hook of httpx2's client. Raises httpx2.DecodingError for a success in a coding
    that is not decoded here. Closes the connection of a response that is not a success."""
    coding = response.headers.get("content-encoding", "").strip().lower()
    if response.is_success and coding in _PLAIN:
        return  # nothing in the way of a token
    whole = httpx2.Response(response.status_code, headers=response.headers, stream=response.stream)
    if response.is_success:
        if coding not in _DECODABLE:
            raise httpx2.DecodingError("an unknown content coding")
        response.stream = _Decoded(whole)
    else:
        wanted = coding in _PLAIN | _DECODABLE and not response.has_redirect_location
        body = await _beginning(whole) if wanted else b""
        await whole.aclose()
        response.stream = httpx2.ByteStream(body)
        response.headers["content-type"] = "application/json"  # and so no charset of theirs
    response.headers.pop("content-encoding", None)


class _Decoded(httpx2.AsyncByteStream):
    def __init__(self, encoded: httpx2.Response) -> None:
        self._encoded = encoded

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async with aclosing(self._encoded.aiter_bytes()) as pieces:
            async for piece in pieces:
                for begin in range(0, len(piece), STEP):
                    yield piece[begin : begin + STEP]
                    # A packet may hold a thousand times its size: others get their turn between.
                    await asyncio.sleep(0)

    async def aclose(self) -> None:
        await self._encoded.aclose()


async def _beginning(response: httpx2.Response) -> bytes:
    """What came of a body within its bounds, or until it broke: its status says more than it."""
    body = bytearray()
    with contextlib.suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(ERROR_BODY_TIMEOUT), aclosing(response.aiter_bytes()) as pieces:
            async for piece in pieces:
                body += piece[: ERROR_BODY_LIMIT - len(body)]
                if len(body) == ERROR_BODY_LIMIT:
                    break
    return bytes(body)
