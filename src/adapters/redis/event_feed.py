"""EventFeed on Redis pub/sub: one connection per process for any number of subscribers and tasks.

The hub subscribes to a task's channel with its first subscriber and lets go with its last. It only
reads and hands on, and waits for nobody: Redis drops a client whose output it cannot get rid of.

A connection that is lost is made again with a growing pause, and every channel subscribed anew.
What was published in between is gone: so each confirmation of a channel that had been confirmed
before sends its subscribers to the log (a Gap).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import structlog
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from adapters.redis.layout import decode_batch, keys_of
from application.fan_out import QUEUE_LIMIT, FanOut, Inbox
from application.ports import StoreUnavailable

log = structlog.get_logger(__name__)

CONFIRMATION_TIMEOUT = 5.0
SILENCE = 1.0
"""Seconds without a message after which the server is asked whether it is there."""
UNANSWERED_LIMIT = 2
"""Questions without an answer after which the connection counts as lost: one that died silently is
noticed within three seconds."""
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0


@dataclass(slots=True)
class _Channel:
    task_id: str
    subscribers: int = 0
    confirmed: asyncio.Event = field(default_factory=asyncio.Event)


class RedisEventFeed:
    def __init__(self, client: Redis, queue_limit: int = QUEUE_LIMIT) -> None:
        self._client = client
        self._fan_out = FanOut(queue_limit)
        self._channels: dict[str, _Channel] = {}
        self._pubsub: PubSub | None = None
        self._listener: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def subscribe(self, task_id: str) -> AsyncIterator[Inbox]:
        name = keys_of(task_id).channel
        async with self._fan_out.subscribe(task_id) as inbox:
            channel = self._channels.setdefault(name, _Channel(task_id))
            channel.subscribers += 1
            try:
                if channel.subscribers == 1:
                    await self._tell(name)
                await self._wait_for(channel)
                yield inbox
            finally:
                channel.subscribers -= 1
                if channel.subscribers == 0:
                    del self._channels[name]
                    await self._tell(name)

    def close(self) -> None:
        """End every subscription, now and from now on."""
        self._fan_out.close()

    async def aclose(self) -> None:
        self.close()
        if self._listener is not None:
            self._listener.cancel()
            await asyncio.gather(self._listener, return_exceptions=True)

    async def _wait_for(self, channel: _Channel) -> None:
        try:
            async with asyncio.timeout(CONFIRMATION_TIMEOUT):
                await channel.confirmed.wait()
        except TimeoutError:
            raise StoreUnavailable("no subscription to the store") from None

    async def _tell(self, name: str) -> None:
        """Bring the server's mind in line with ours about one channel. One command at a time and
        by what is wanted when it is sent, so that none overtakes another. Without a connection
        nothing is sent: a new one subscribes to all that is wanted by itself."""
        if self._listener is None:
            self._listener = asyncio.create_task(self._listen())
        if self._pubsub is None:
            return
        async with self._sending:
            if self._pubsub is not None:
                command = "SUBSCRIBE" if name in self._channels else "UNSUBSCRIBE"
                with contextlib.suppress(RedisError, OSError):
                    # Past PubSub's own lists, since the list of what is wanted is kept here.
                    await self._pubsub.execute_command(command, name)

    async def _listen(self) -> None:
        pause = FIRST_PAUSE
        while True:
            pubsub = self._client.pubsub()
            try:
                await pubsub.connect()  # type: ignore[no-untyped-call]
                async with self._sending:
                    self._pubsub = pubsub
                    if self._channels:
                        await pubsub.execute_command("SUBSCRIBE", *self._channels)
                pause = FIRST_PAUSE
                await self._hand_on(pubsub)
            except (RedisError, OSError) as error:
                log.warning("feed lost its connection", error=type(error).__name__)
            except Exception:
                # A message that is not ours, or a bug: a deaf hub would be worse than a new one.
                log.exception("feed broke")
            finally:
                self._pubsub = None
                await pubsub.aclose()  # type: ignore[no-untyped-call]
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)

    async def _hand_on(self, pubsub: PubSub) -> None:
        unanswered = 0
        while True:
            response = await pubsub.parse_response(block=False, timeout=SILENCE)
            if response is None:
                if unanswered == UNANSWERED_LIMIT:
                    raise ConnectionError("no answer from the store")
                unanswered += 1
                await pubsub.execute_command("PING")
                continue
            unanswered = 0
            if len(response) == 3:  # else a pong
                self._take(*response)

    def _take(self, kind: bytes, name: bytes, data: bytes) -> None:
        channel = self._channels.get(name.decode())
        if channel is None:
            return
        if kind == b"message":
            self._fan_out.publish(channel.task_id, decode_batch(data))
        elif kind == b"subscribe":
            if channel.confirmed.is_set():
                self._fan_out.lose(channel.task_id)
            channel.confirmed.set()
