"""EventFeed on Redis pub/sub: one listener per process for any number of subscribers and tasks.

The hub subscribes to a task's channel with its first subscriber and lets go with its last. It only
reads and hands on, and waits for nobody: Redis drops a client whose output it cannot get rid of.

A listener that is lost is made again with a growing pause, and every channel subscribed anew. What
was published in between is gone: so each confirmation of a channel that had been confirmed before
sends its subscribers to the log (a Gap).
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextvars import Context
from dataclasses import dataclass, field

import structlog

from adapters.redis.connection import Confirmed, Connection, Listener, Published
from adapters.redis.layout import decode_batch, keys_of
from application.cancellation import end_tasks
from application.errors import StoreUnavailable
from application.fan_out import QUEUE_LIMIT, FanOut, Inbox
from application.ports import FeedWatch

log = structlog.get_logger(__name__)

CONFIRMATION_TIMEOUT = 5.0
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0


@dataclass(slots=True)
class _Channel:
    task_id: str
    subscribers: int = 0
    confirmed: asyncio.Event = field(default_factory=asyncio.Event)


class RedisEventFeed:
    def __init__(
        self,
        connection: Connection,
        queue_limit: int = QUEUE_LIMIT,
        watch: FeedWatch | None = None,
    ) -> None:
        self._connection = connection
        self._watch = watch
        self._fan_out = FanOut(queue_limit, watch)
        self._channels: dict[str, _Channel] = {}
        self._listener: Listener | None = None
        self._listening: asyncio.Task[None] | None = None
        self._untold: set[str] = set()
        self._telling: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def subscribe(self, task_id: str) -> AsyncIterator[Inbox]:
        name, inbox = keys_of(task_id).channel, self._fan_out.join(task_id)
        channel = self._channels.setdefault(name, _Channel(task_id))
        channel.subscribers += 1
        try:
            if channel.subscribers == 1:
                self._tell(name)
            await self._wait_for(channel)
            yield inbox
        finally:
            self._fan_out.leave(task_id, inbox)
            channel.subscribers -= 1
            if channel.subscribers == 0:
                del self._channels[name]
                self._tell(name)

    def close(self) -> None:
        """End every subscription, now and from now on."""
        self._fan_out.close()

    async def aclose(self) -> None:
        self.close()
        await end_tasks([each for each in (self._listening, self._telling) if each is not None])

    async def _wait_for(self, channel: _Channel) -> None:
        try:
            async with asyncio.timeout(CONFIRMATION_TIMEOUT):
                await channel.confirmed.wait()
        except TimeoutError:
            raise StoreUnavailable("Redis confirms no subscription") from None

    def _tell(self, name: str) -> None:
        """Bring the server's mind in line with ours about one channel, soon."""
        # What is started here outlives the request that happens to come first, whose ids its log
        # lines must not carry.
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen(), context=Context())
        self._untold.add(name)
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_all(), context=Context())

    async def _tell_all(self) -> None:
        """One command at a time and by what is wanted when it is sent, so that none overtakes
        another; as many channels in it as there are, since a crowd comes at once. Without a
        listener nothing is sent: a new one subscribes to all that is wanted by itself."""
        async with self._sending:
            while self._untold and self._listener is not None:
                names, self._untold = self._untold, set()
                with contextlib.suppress(StoreUnavailable):
                    if wanted := names & self._channels.keys():
                        await self._listener.subscribe(wanted)
                    if unwanted := names - wanted:
                        await self._listener.unsubscribe(unwanted)

    async def _listen(self) -> None:
        pause = FIRST_PAUSE
        while True:
            listener: Listener | None = None
            try:
                listener = await self._connection.listen()
                async with self._sending:
                    self._listener = listener
                    self._untold.clear()
                    if self._channels:
                        await listener.subscribe(list(self._channels))
                async for heard in listener.messages():
                    pause = FIRST_PAUSE
                    self._take(heard)
            except StoreUnavailable as error:
                log.warning("feed lost its connection", error=str(error))
                if self._watch is not None:
                    self._watch.reconnected()
            except Exception:
                # A message that is not ours, or a bug: a deaf hub would be worse than a new one.
                log.exception("feed broke")
            finally:
                self._listener = None
                if listener is not None:
                    await listener.aclose()
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)

    def _take(self, heard: Confirmed | Published) -> None:
        channel = self._channels.get(heard.channel)
        if channel is None:
            return
        if isinstance(heard, Published):
            batch = decode_batch(heard.data)
            if self._watch is not None:
                self._watch.heard(time.time() - batch.events[-1].at / 1000)
            self._fan_out.publish(channel.task_id, batch)
            return
        if channel.confirmed.is_set():
            self._fan_out.lose(channel.task_id)
        channel.confirmed.set()
