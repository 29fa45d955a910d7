"""The way to one Redis server, or to the master that Sentinel names, through redis-py.

A command is sent once: an error says that nothing is known of its effect, and the caller decides.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.sentinel import Sentinel

from adapters.batching import MicroBatcher
from adapters.redis.connection import Confirmed, Connection, Listener, Published, Word
from adapters.redis.redis_py import received, send, translated_errors, whole

PIPELINES, PIPELINE_LIMIT = 4, 256
"""Pipelines under way at once, and commands in one."""


class ServerConnection(Connection):
    """One server, or whichever one Sentinel names as the master."""

    publish = "PUBLISH"

    def __init__(
        self, client: Redis, connections: int, timeout: float, sentinel: Sentinel | None = None
    ) -> None:
        """`timeout`: seconds for a call, including its wait for a connection. `client` must have no
        timeout of its own: redis-py would start one for each response, which takes a third of the
        time that a response costs."""
        self.client = client
        self._timeout = timeout
        self._sentinel = sentinel
        self._free = asyncio.Semaphore(connections)
        self._batched: MicroBatcher[Sequence[Word], Any] = MicroBatcher(
            self._pipeline, max_calls=PIPELINES, max_items=PIPELINE_LIMIT, timeout=timeout
        )

    async def call(self, *words: Word) -> Any:
        with translated_errors():
            async with asyncio.timeout(self._timeout), self._free:
                return await self.client.execute_command(*words)  # type: ignore[no-untyped-call]

    async def call_batched(self, *words: Word) -> Any:
        with translated_errors():
            return await self._batched(words)

    async def pipeline(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        with translated_errors():
            async with asyncio.timeout(self._timeout):
                return whole(await self._pipeline(commands)) if commands else []

    async def _pipeline(self, commands: Sequence[Sequence[Word]]) -> Sequence[Any]:
        if len(commands) == 1:  # within its caller's time
            async with self._free:
                return [await self.client.execute_command(*commands[0])]  # type: ignore[no-untyped-call]
        async with asyncio.timeout(self._timeout), self._free:
            pipeline = self.client.pipeline(transaction=False)
            for words in commands:
                pipeline.execute_command(*words)
            return await pipeline.execute(raise_on_error=False)

    async def listen(self) -> Listener:
        listener = ServerListener(self.client)
        with translated_errors():
            await listener.pubsub.connect()  # type: ignore[no-untyped-call]
        return listener

    async def aclose(self) -> None:
        await self.client.aclose()
        for each in self._sentinel.sentinels if self._sentinel else ():
            await each.aclose()


class ServerListener(Listener):
    def __init__(self, client: Redis) -> None:
        self.pubsub = client.pubsub()

    async def subscribe(self, channels: Iterable[str]) -> None:
        with translated_errors():
            await send(self.pubsub, "SUBSCRIBE", *channels)

    async def unsubscribe(self, channels: Iterable[str]) -> None:
        with translated_errors():
            await send(self.pubsub, "UNSUBSCRIBE", *channels)

    async def messages(self) -> AsyncIterator[Confirmed | Published]:
        async for kind, channel, data in received(self.pubsub):
            if kind == b"message":
                yield Published(channel.decode(), data)
            elif kind == b"subscribe":
                yield Confirmed(channel.decode())

    async def aclose(self) -> None:
        await self.pubsub.aclose()  # type: ignore[no-untyped-call]
