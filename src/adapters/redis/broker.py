"""The hub's broker on Redis pub/sub: one listening connection per process, for any number of tasks.

It subscribes to a task's channel with the first subscriber and unsubscribes with the last. The
listener only reads and hands on, and waits for no reader: Redis drops a client whose output it
cannot get rid of.

A listener that is lost is made again with a growing pause, and every channel subscribed anew. What
was published in between is gone. So each confirmation of a channel that had been confirmed before
sends its readers to the log.
"""

import asyncio
import contextlib
import time
from contextvars import Context
from dataclasses import dataclass, field

import structlog

from adapters.live import Broker, Hub
from adapters.redis.codec import decode_batch
from adapters.redis.connection import Confirmed, Connection, Listener, Published
from adapters.redis.keys import keys_of
from application.cancellation import end_tasks
from application.errors import StoreUnavailable, UnreadableEvent
from application.ports import FeedObserver

log = structlog.get_logger(__name__)

CONFIRMATION_TIMEOUT = 5.0
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0


@dataclass(slots=True)
class _Channel:
    task_id: str
    confirmed: asyncio.Event = field(default_factory=asyncio.Event)


class RedisBroker(Broker):
    def __init__(self, connection: Connection, observer: FeedObserver) -> None:
        self._connection = connection
        self._observer = observer
        self._channels: dict[str, _Channel] = {}
        self._listener: Listener | None = None
        self._listening: asyncio.Task[None] | None = None
        self._changed: set[str] = set()
        self._telling: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()

    def attach(self, hub: Hub) -> None:
        self._hub = hub

    def open(self, task_id: str) -> None:
        name = keys_of(task_id).channel
        self._channels[name] = _Channel(task_id)
        self._tell(name)

    async def opened(self, task_id: str) -> None:
        channel = self._channels[keys_of(task_id).channel]
        try:
            async with asyncio.timeout(CONFIRMATION_TIMEOUT):
                await channel.confirmed.wait()
        except TimeoutError:
            raise StoreUnavailable("Redis confirms no subscription") from None

    def close(self, task_id: str) -> None:
        name = keys_of(task_id).channel
        del self._channels[name]
        self._tell(name)

    async def aclose(self) -> None:
        await end_tasks([each for each in (self._listening, self._telling) if each is not None])

    def _tell(self, name: str) -> None:
        """Tell the server soon whether this channel is wanted."""
        # What is started here outlives the request that happens to come first, whose ids its log
        # lines must not carry.
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen(), context=Context())
        self._changed.add(name)
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_all(), context=Context())

    async def _tell_all(self) -> None:
        """Send one command at a time, by what is wanted when it is sent, so that none overtakes
        another; with all channels that changed in it, since many readers come at once. Without a
        listener nothing is sent: a new one subscribes to all that is wanted by itself."""
        async with self._sending:
            while self._changed and self._listener is not None:
                names, self._changed = self._changed, set()
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
                    self._changed.clear()
                    if self._channels:
                        await listener.subscribe(list(self._channels))
                async for message in listener.messages():
                    pause = FIRST_PAUSE
                    self._hand_on(message)
            except StoreUnavailable as error:
                log.warning("feed lost its connection", error=str(error))
                self._observer.reconnected()
            except Exception:
                # A bug: a hub without a listener would be worse than one with a new one.
                log.exception("feed broke")
            finally:
                self._listener = None
                if listener is not None:
                    await _close(listener)
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)

    def _hand_on(self, message: Confirmed | Published) -> None:
        channel = self._channels.get(message.channel)
        if channel is None:
            return
        if isinstance(message, Published):
            try:
                batch = decode_batch(message.data)
            except UnreadableEvent as error:  # another instance can read it
                log.error("stream ended: unreadable", task_id=channel.task_id, error=str(error))
                self._hub.close_channel(channel.task_id)
                return
            self._observer.delivered(time.time() - batch.events[-1].at / 1000)
            self._hub.publish(channel.task_id, batch)
            return
        if channel.confirmed.is_set():
            self._hub.missed(channel.task_id)
        channel.confirmed.set()


async def _close(listener: Listener) -> None:
    """Close a listener. One that cannot be closed is replaced all the same."""
    try:
        await listener.aclose()
    except Exception:
        log.exception("listener not closed")
