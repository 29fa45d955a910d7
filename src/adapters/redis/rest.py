"""The way to Redis through Upstash's REST API, for networks that only HTTPS leaves.

Commands go through Upstash's own SDK; a channel is one long-lived HTTP stream, `POST
/subscribe/<channel>`, of server-sent events whose data is `subscribe,<channel>,<count>` or
`message,<channel>,<text>` (Upstash's documentation, redis/features/restapi, and its SDK for
TypeScript).
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any
from urllib.parse import quote

import httpx
import structlog
from httpx_sse import SSEError, aconnect_sse
from upstash_redis.asyncio import Redis
from upstash_redis.errors import UpstashError

from adapters.redis.connection import PROBE, Confirmed, Connection, Listener, Published, Word
from adapters.redis.errors import UnknownScript, error_response
from application.cancellation import end_tasks
from application.errors import StoreUnavailable

log = structlog.get_logger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 5.0
PROBE_INTERVAL = 5.0
"""Seconds without a message on a stream after which one is published to see whether it arrives. A
stream that died without a word is noticed after three times as many."""


class RestConnection(Connection):
    publish = "PUBLISH"

    def __init__(self, url: str, token: str, *, connections: int, timeout: float) -> None:
        """At most so many commands are under way at once. Each ends within `timeout` seconds,
        waiting for its turn included."""
        self._redis = Redis(url, token, rest_retries=0, allow_telemetry=False)
        self._streams = httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(timeout, read=None),
            limits=httpx.Limits(max_connections=None),
        )
        self._timeout = timeout
        self._free = asyncio.Semaphore(connections)

    async def call(self, *words: Word) -> Any:
        async with self._turn():
            return _as_bytes(await self._redis.execute(_command(words)))

    call_batched = call

    async def pipeline(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        if not commands:
            return []
        pipeline = self._redis.pipeline()
        for words in commands:
            pipeline.execute(_command(words))
        async with self._turn():
            return [_as_bytes(each) for each in await pipeline.exec()]

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None, None]:
        """Wait for a turn, limit the time, and translate what the SDK raises."""
        try:
            async with asyncio.timeout(self._timeout), self._free:
                yield
        except UpstashError as error:
            if str(error).startswith("NOSCRIPT"):
                raise UnknownScript from error
            raise error_response(str(error)) from error
        except TimeoutError as error:
            raise StoreUnavailable("Redis's REST API does not respond in time") from error
        except httpx.HTTPError as error:
            raise StoreUnavailable("Redis's REST API cannot be reached", str(error)) from error
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            # No JSON, or another: something else stands at this address, or in between.
            raise StoreUnavailable("What responds is not Redis's REST API") from error

    async def listen(self) -> Listener:
        return RestListener(self, self._streams)

    async def aclose(self) -> None:
        await self._redis.close()
        await self._streams.aclose()


def _command(words: Sequence[Word]) -> list[str | int]:
    return [word.decode() if isinstance(word, bytes) else word for word in words]


def _as_bytes(result: Any) -> Any:
    if isinstance(result, str):
        return result.encode()
    if isinstance(result, list):
        return [_as_bytes(each) for each in result]
    return result


class _Stream:
    def __init__(self, reading: asyncio.Task[None]) -> None:
        self.reading = reading
        self.received_at = asyncio.get_running_loop().time()


class RestListener(Listener):
    """A stream that breaks is opened again by itself, the others go on: its channel is confirmed
    anew, which tells of the hole."""

    def __init__(self, connection: RestConnection, http: httpx.AsyncClient) -> None:
        self._connection = connection
        self._http = http
        self._streams: dict[str, _Stream] = {}
        self._received: asyncio.Queue[Confirmed | Published] = asyncio.Queue()
        self._probing = asyncio.create_task(self._probe())

    async def subscribe(self, channels: Iterable[str]) -> None:
        for channel in channels:
            if channel in self._streams:  # let go of and wanted again, before that was said
                await self.unsubscribe([channel])
            self._open(channel)

    async def unsubscribe(self, channels: Iterable[str]) -> None:
        known = [channel for channel in channels if channel in self._streams]
        await end_tasks([self._streams.pop(channel).reading for channel in known])

    async def messages(self) -> AsyncIterator[Confirmed | Published]:
        while True:
            yield await self._received.get()

    async def aclose(self) -> None:
        await end_tasks([self._probing, *(stream.reading for stream in self._streams.values())])

    def _open(self, channel: str) -> None:
        self._streams[channel] = _Stream(
            asyncio.create_task(self._read(channel), context=Context())
        )

    async def _read(self, channel: str) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                async with aconnect_sse(
                    self._http, "POST", f"/subscribe/{quote(channel, safe='')}"
                ) as source:
                    source.response.raise_for_status()
                    async for event in source.aiter_sse():
                        pause = FIRST_PAUSE
                        self._receive(channel, event.data)
            except (httpx.HTTPError, SSEError) as error:
                log.warning("stream of the store broke", error=type(error).__name__)
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)

    def _receive(self, channel: str, data: str) -> None:
        kind, _, rest = data.partition(",")
        _, _, text = rest.partition(",")
        self._streams[channel].received_at = asyncio.get_running_loop().time()
        if kind == "subscribe":
            self._received.put_nowait(Confirmed(channel))
        elif kind == "message":
            self._received.put_nowait(Published(channel, text.encode()))

    async def _probe(self) -> None:
        while True:
            await asyncio.sleep(PROBE_INTERVAL)
            now = asyncio.get_running_loop().time()
            for channel, stream in list(self._streams.items()):
                if now - stream.received_at > 3 * PROBE_INTERVAL:
                    log.warning("stream of the store fell silent")
                    await end_tasks([stream.reading])
                    if self._streams.get(channel) is stream:  # and not let go of meanwhile
                        self._open(channel)
                elif now - stream.received_at > PROBE_INTERVAL:
                    with contextlib.suppress(StoreUnavailable):
                        await self._connection.call("PUBLISH", channel, PROBE)
