"""What is checked of each response of QStash before the SDK reads it."""

from collections.abc import AsyncIterator

import httpx

from adapters.qstash.clock import QueueClock
from application.errors import QueueUnavailable

RESPONSE_LIMIT = 1024 * 1024
"""Bytes of a response's body. The largest, to a batch of 32 messages, has a few hundred bytes for
each."""


class UnreadableResponse(QueueUnavailable):
    """Raised for a response that is not of QStash's API: no JSON, another shape, too large. The
    request may have been carried out."""


_BEGAN = "longtask.began"

_NOTHING = httpx.ByteStream(b"")


def watch_responses(client: httpx.AsyncClient, clock: QueueClock) -> None:
    """Have `clock` compared with what `client` receives, and UnreadableResponse raised for a body
    of more than RESPONSE_LIMIT bytes, and for a compressed one, whose true size is not known before
    it is unpacked."""

    async def begin(request: httpx.Request) -> None:
        request.extensions[_BEGAN] = clock.begin()

    async def compare(response: httpx.Response) -> None:
        # Of QStash itself, not of what stands in front of it, and made just now.
        if response.is_success and "Age" not in response.headers:
            clock.compare(response.headers.get("Date", ""), response.request.extensions[_BEGAN])

    client.headers["Accept-Encoding"] = "identity"
    client.event_hooks = {"request": [begin], "response": [compare, _bound]}


async def _bound(response: httpx.Response) -> None:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise UnreadableResponse("the queue's response is compressed, which was not asked for")
    assert isinstance(response.stream, httpx.AsyncByteStream)  # noqa: S101  (an async client's)
    response.stream = _Bounded(response.stream)


class _Bounded(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        size = 0
        async for chunk in self._stream:
            size += len(chunk)
            if size > RESPONSE_LIMIT:
                raise UnreadableResponse(
                    f"the queue's response has more than {RESPONSE_LIMIT} bytes"
                )
            yield chunk

    async def aclose(self) -> None:
        # It refers to the response, and that to the request with the messages: so all are freed.
        stream, self._stream = self._stream, _NOTHING
        await stream.aclose()
