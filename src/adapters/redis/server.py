"""The way to Redis through redis-py: one server, a master named by Sentinel, or a Cluster.

A command is sent once: an error says that nothing is known of its effect, and who asked decides.
Pub/sub connections are our own to make again, since redis-py would do so without a word, and what
was published in between would be missed.
"""

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.asyncio.cluster import ClusterNode, RedisCluster
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisClusterException, RedisError, ResponseError

from adapters.batching import MicroBatcher
from adapters.redis.address import Address
from adapters.redis.connection import Confirmed, Listener, Published, UnknownScript, Word, fault
from application.cancellation import end_tasks
from application.errors import StoreUnavailable

HEALTH_CHECK = 5
"""Seconds of idleness after which a connection is pinged: so long a dead one may go unnoticed."""
SILENCE = 1.0
"""Seconds without a message after which a pub/sub server is asked whether it is there."""
UNANSWERED_LIMIT = 2
"""Questions without an answer after which the connection counts as lost: one that died silently is
noticed within three seconds."""

PIPELINES, PIPELINE_LIMIT = 4, 256
"""Pipelines under way at once, and commands in one."""
LISTENERS = 2
"""Connections beside those for commands: the one that listens, and the next while it is closed."""


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except NoScriptError as error:
        raise UnknownScript from error
    except ResponseError as error:
        raise fault(f"{error.status_code or ''} {error}".strip()) from error
    except (RedisError, RedisClusterException, OSError, AttributeError, RuntimeError) as error:
        # The last two: redis-py takes connections of a cluster's node away under a command.
        code = getattr(error, "status_code", None)  # a refused password is a ConnectionError
        if code:
            raise fault(f"{code} {error}") from error
        detail = str(error) or type(error).__name__
        raise StoreUnavailable("Redis cannot be reached", detail) from error


class ServerConnection:
    """One server, or whichever one Sentinel names as the master."""

    publish = "PUBLISH"

    def __init__(
        self, client: Redis, connections: int, timeout: float, sentinel: Sentinel | None = None
    ) -> None:
        """`timeout` bounds a call in seconds, its wait for a connection included. `client` has none
        of its own: redis-py would set it anew for each answer, a third of what the answer costs."""
        self.client = client
        self._timeout = timeout
        self._sentinel = sentinel
        self._free = asyncio.Semaphore(connections)
        self._batched: MicroBatcher[Sequence[Word], Any] = MicroBatcher(
            self._pipeline, max_calls=PIPELINES, max_items=PIPELINE_LIMIT
        )

    async def call(self, *words: Word) -> Any:
        with _translated():
            async with asyncio.timeout(self._timeout), self._free:
                return await self.client.execute_command(*words)  # type: ignore[no-untyped-call]

    async def call_along(self, *words: Word) -> Any:
        with _translated():
            # The caller's own: of a call that it shares, the others may have waited for less.
            async with asyncio.timeout(self._timeout):
                return await self._batched(words)

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
        with _translated():
            await listener.pubsub.connect()  # type: ignore[no-untyped-call]
        return listener

    async def aclose(self) -> None:
        await self.client.aclose()
        for each in self._sentinel.sentinels if self._sentinel else ():
            await each.aclose()


class ServerListener:
    def __init__(self, client: Redis) -> None:
        self.pubsub = client.pubsub()

    async def subscribe(self, channels: Iterable[str]) -> None:
        with _translated():
            await _send(self.pubsub, "SUBSCRIBE", *channels)

    async def unsubscribe(self, channels: Iterable[str]) -> None:
        with _translated():
            await _send(self.pubsub, "UNSUBSCRIBE", *channels)

    async def messages(self) -> AsyncIterator[Confirmed | Published]:
        async for kind, channel, data in _heard(self.pubsub):
            if kind == b"message":
                yield Published(channel.decode(), data)
            elif kind == b"subscribe":
                yield Confirmed(channel.decode())

    async def aclose(self) -> None:
        await self.pubsub.aclose()  # type: ignore[no-untyped-call]


class ClusterConnection:
    publish = "SPUBLISH"

    def __init__(self, cluster: RedisCluster, connections: int, options: dict[str, Any]) -> None:
        """`options` are those of a connection to any node. Their `socket_timeout` also bounds the
        time that a command waits for its turn."""
        self.client = cluster
        self._options = options
        self._timeout: float = options["socket_timeout"]
        self._free = asyncio.Semaphore(connections)

    async def call(self, *words: Word) -> Any:
        with _translated():
            async with asyncio.timeout(self._timeout):
                await self._free.acquire()
            try:
                # Before the first command, not by it: redis-py would take the first connections
                # away from others that came at the same time.
                await self.client.initialize()
                return await self.client.execute_command(*words)
            finally:
                self._free.release()

    call_along = call

    async def listen(self) -> Listener:
        with _translated():
            await self.client.initialize()
            # What was true before may be why the last listener was lost.
            await self.client.nodes_manager.initialize()
        return ClusterListener(self.client, self._options)

    async def aclose(self) -> None:
        await self.client.aclose()


class ClusterListener:
    """One connection to each node that has a channel of ours. If one is lost, all are: a new
    listener asks the cluster anew who has what."""

    def __init__(self, cluster: RedisCluster, options: dict[str, Any]) -> None:
        self._cluster = cluster
        self._options = options
        self._nodes: dict[str, PubSub] = {}
        self._listening: list[asyncio.Task[None]] = []
        self._opened = contextlib.AsyncExitStack()
        self._wanted: set[str] = set()
        self._heard: asyncio.Queue[Confirmed | Published | Exception] = asyncio.Queue()

    async def subscribe(self, channels: Iterable[str]) -> None:
        for channel in channels:
            self._wanted.add(channel)
            # One command each: channels of different slots are refused in one.
            await self._tell("SSUBSCRIBE", channel)

    async def unsubscribe(self, channels: Iterable[str]) -> None:
        for channel in channels:
            self._wanted.discard(channel)
            await self._tell("SUNSUBSCRIBE", channel)

    async def messages(self) -> AsyncIterator[Confirmed | Published]:
        while True:
            heard = await self._heard.get()
            if isinstance(heard, Exception):
                raise heard
            yield heard

    async def aclose(self) -> None:
        await end_tasks(self._listening)
        await self._opened.aclose()

    async def _tell(self, command: str, channel: str) -> None:
        try:
            with _translated():
                await _send(await self._node_of(channel), command, channel)
        except StoreUnavailable as error:
            self._heard.put_nowait(error)
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
            async for kind, name, data in _heard(pubsub):
                channel = name.decode()
                if kind == b"smessage":
                    self._heard.put_nowait(Published(channel, data))
                elif kind == b"ssubscribe":
                    self._heard.put_nowait(Confirmed(channel))
                elif channel in self._wanted:
                    raise StoreUnavailable("A slot of the cluster moved")  # noqa: TRY301
        except Exception as error:
            self._heard.put_nowait(error)


async def _send(pubsub: PubSub, *words: str) -> None:
    """Past PubSub's own lists, since the feed keeps that of what is wanted, and past its own way
    of connecting again, which would get into the way of whoever reads."""
    connection = pubsub.connection
    if connection is None or not connection.is_connected:
        raise ConnectionError("connection lost")
    await connection.send_command(*words)


async def _heard(pubsub: PubSub) -> AsyncIterator[tuple[bytes, bytes, Any]]:
    """Kind, channel and data of whatever arrives. Raises StoreUnavailable once the server is
    silent for too long. Past PubSub's own way of reading, which sets a time-out for each message:
    that would be half of what one costs."""
    connection: Any = pubsub.connection
    heard, silent = False, False

    async def watch() -> None:
        nonlocal heard, silent
        unanswered = 0
        while unanswered <= UNANSWERED_LIMIT:
            await asyncio.sleep(SILENCE)
            unanswered = 0 if heard else unanswered + 1
            heard = False
            if unanswered:
                with contextlib.suppress(RedisError, OSError):
                    await _send(pubsub, "PING")
        silent = True
        await connection.disconnect(nowait=True)

    watching = asyncio.create_task(watch())
    try:
        with _translated():
            while True:
                response = await connection.read_response(timeout=math.inf)
                heard = True
                if len(response) == 3:  # else a pong
                    yield response[0], response[1], response[2]
    except StoreUnavailable:
        if silent:
            raise StoreUnavailable("Redis fell silent") from None
        raise
    finally:
        await end_tasks([watching])


def connect(
    address: Address, *, connections: int, connect_timeout: float, timeout: float
) -> ServerConnection | ClusterConnection:
    """A way to a Redis; nothing is connected yet. Time-outs in seconds; at most so many connections
    for commands, in a cluster so many commands under way."""
    options: dict[str, Any] = {
        "protocol": 2,
        "retry": Retry(NoBackoff(), 0),
        "socket_connect_timeout": connect_timeout,
        "socket_timeout": timeout,
        "health_check_interval": HEALTH_CHECK,
        **address.options,
    }
    if address.kind == "cluster":
        nodes = [ClusterNode(host, port) for host, port in address.hosts]
        return ClusterConnection(RedisCluster(startup_nodes=nodes, **options), connections, options)
    options |= {"max_connections": connections + LISTENERS, "socket_timeout": None}
    if address.kind == "sentinel":
        own = {
            **options,
            "socket_timeout": timeout,
            "db": 0,
            "username": None,
            "password": None,
            **address.sentinel_login,
        }
        sentinel: Any = Sentinel(address.hosts, sentinel_kwargs=own, **options)  # type: ignore[no-untyped-call]
        return ServerConnection(
            sentinel.master_for(address.service), connections, timeout, sentinel
        )
    if address.hosts:
        host, port = address.hosts[0]
        client = Redis(host=host, port=port, **options)
    else:
        client = Redis(unix_socket_path=options.pop("path"), **options)
    return ServerConnection(client, connections, timeout)
