"""The way to a Redis Cluster, through redis-py.

Channels of tasks are sharded ones: each belongs to the slot of its task's keys. Those of owners are
published to from the slots of their tasks, and the nodes forward that to each other. They are
subscribed to at the node of the owner's index, which itself tells once more of ends and deletions.

A command is sent once, as in server.py; redis-py follows the redirections of a slot that moved.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.cluster import RedisCluster

from adapters.redis.connection import Confirmed, Connection, Listener, Published, Word
from adapters.redis.keys import is_of_owner
from adapters.redis.redis_py import received, send, translated_errors, whole
from application.cancellation import end_tasks
from application.errors import StoreUnavailable


class ClusterConnection(Connection):
    publish = "SPUBLISH"

    def __init__(self, cluster: RedisCluster, connections: int, options: dict[str, Any]) -> None:
        """`options` are those of a connection to any node. Their `socket_timeout` also bounds the
        time that a command waits for its turn."""
        self.client = cluster
        self._options = options
        self._timeout: float = options["socket_timeout"]
        self._free = asyncio.Semaphore(connections)

    async def call(self, *words: Word) -> Any:
        async with self._turn():
            return await self.client.execute_command(*words)

    call_batched = call

    async def pipeline(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        async with self._turn():
            pipeline = self.client.pipeline()
            for words in commands:
                pipeline.execute_command(*words)
            return whole(await pipeline.execute(raise_on_error=False))

    @asynccontextmanager
    async def _turn(self) -> AsyncGenerator[None, None]:
        with translated_errors():
            async with asyncio.timeout(self._timeout):
                await self._free.acquire()
            try:
                # Before the first command, not by it: redis-py would take the first connections
                # away from others that came at the same time.
                await self.client.initialize()
                yield
            finally:
                self._free.release()

    async def listen(self) -> Listener:
        with translated_errors():
            await self.client.initialize()
            # What was true before may be why the last listener was lost.
            await self.client.nodes_manager.initialize()
        return ClusterListener(self.client, self._options)

    async def aclose(self) -> None:
        await self.client.aclose()


class ClusterListener(Listener):
    """One connection to each node that has a channel of ours. If one is lost, all are: a new
    listener asks the cluster anew who has what."""

    def __init__(self, cluster: RedisCluster, options: dict[str, Any]) -> None:
        self._cluster = cluster
        self._options = options
        self._nodes: dict[str, PubSub] = {}
        self._listening: list[asyncio.Task[None]] = []
        self._opened = contextlib.AsyncExitStack()
        self._wanted: set[str] = set()
        self._received: asyncio.Queue[Confirmed | Published | Exception] = asyncio.Queue()

    async def subscribe(self, channels: Iterable[str]) -> None:
        for channel in channels:
            self._wanted.add(channel)
            # One command each: channels of different slots are refused in one.
            await self._send("SUBSCRIBE", channel)

    async def unsubscribe(self, channels: Iterable[str]) -> None:
        for channel in channels:
            self._wanted.discard(channel)
            await self._send("UNSUBSCRIBE", channel)

    async def messages(self) -> AsyncIterator[Confirmed | Published]:
        while True:
            message = await self._received.get()
            if isinstance(message, Exception):
                raise message
            yield message

    async def aclose(self) -> None:
        await end_tasks(self._listening)
        await self._opened.aclose()

    async def _send(self, command: str, channel: str) -> None:
        try:
            with translated_errors():
                sharded = "" if is_of_owner(channel) else "S"
                await send(await self._node_of(channel), sharded + command, channel)
        except StoreUnavailable as error:
            self._received.put_nowait(error)
            raise

    async def _node_of(self, channel: str) -> PubSub:
        node = self._cluster.get_node_from_key(channel)
        assert node is not None  # noqa: S101  (None is for replicas only)
        if node.name not in self._nodes:
            client = Redis(host=str(node.host), port=int(node.port), **self._options)
            self._opened.push_async_callback(client.aclose)
            pubsub = client.pubsub()
            self._opened.push_async_callback(pubsub.aclose)
            await pubsub.connect()  # type: ignore[no-untyped-call]
            self._listening.append(asyncio.create_task(self._listen(pubsub)))
            self._nodes[node.name] = pubsub
        return self._nodes[node.name]

    async def _listen(self, pubsub: PubSub) -> None:
        try:
            async for kind, name, data in received(pubsub):
                channel = name.decode()
                if kind in (b"smessage", b"message"):
                    self._received.put_nowait(Published(channel, data))
                elif kind in (b"ssubscribe", b"subscribe"):
                    self._received.put_nowait(Confirmed(channel))
                elif kind == b"sunsubscribe" and channel in self._wanted:
                    raise StoreUnavailable("A slot of the cluster moved")  # noqa: TRY301
        except Exception as error:
            self._received.put_nowait(error)
