"""The hub's broker on Redis pub/sub. One subscribing connection per process serves all channels:
those of tasks, and those of owners, which tell of the changes of all their tasks.

The broker subscribes to a channel when it gets its first subscriber or watcher in this process. It
unsubscribes when the last one leaves. The loop that reads the connection waits for no reader,
because Redis disconnects a client that does not read what it is sent.

If the connection is lost, the broker opens another one, after a pause that grows, and subscribes to
every channel again. What was published in between is lost. Therefore, when a channel is confirmed
that was confirmed before, its readers are told that they missed events, and read the log. Watchers
read the index.
"""

import asyncio
import contextlib
import time
from contextvars import Context
from dataclasses import dataclass, field

import structlog

from adapters.live import Broker, Hub, OwnerTopic, Topic
from adapters.redis.codec import decode_batch
from adapters.redis.connection import PROBE, Confirmed, Connection, Listener, Published
from adapters.redis.keys import keys_of, owner_keys
from application.cancellation import end_tasks
from application.errors import StoreUnavailable, UnreadableEvent
from application.ports import FeedObserver

log = structlog.get_logger(__name__)

CONFIRMATION_TIMEOUT = 5.0
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0


@dataclass(slots=True)
class _Subscription:
    topic: Topic
    confirmed: asyncio.Event = field(default_factory=asyncio.Event)


class RedisBroker(Broker):
    def __init__(self, connection: Connection, observer: FeedObserver) -> None:
        self._connection = connection
        self._observer = observer
        self._subscriptions: dict[str, _Subscription] = {}
        self._listener: Listener | None = None
        self._listening: asyncio.Task[None] | None = None
        self._changed: set[str] = set()
        self._telling: asyncio.Task[None] | None = None
        self._sending = asyncio.Lock()

    def attach(self, hub: Hub) -> None:
        self._hub = hub

    def open(self, topic: Topic) -> None:
        name = _channel_of(topic)
        self._subscriptions[name] = _Subscription(topic)
        self._tell(name)

    async def opened(self, topic: Topic) -> None:
        subscription = self._subscriptions[_channel_of(topic)]
        try:
            async with asyncio.timeout(CONFIRMATION_TIMEOUT):
                await subscription.confirmed.wait()
        except TimeoutError:
            raise StoreUnavailable("Redis confirms no subscription") from None

    def close(self, topic: Topic) -> None:
        name = _channel_of(topic)
        del self._subscriptions[name]
        self._tell(name)

    async def aclose(self) -> None:
        await end_tasks([each for each in (self._listening, self._telling) if each is not None])

    def _tell(self, name: str) -> None:
        """Tell the server soon whether this channel is wanted."""
        # The tasks that are started here outlive the request that happens to come first. An empty
        # context keeps the ids of that request out of their log lines.
        if self._listening is None:
            self._listening = asyncio.create_task(self._listen(), context=Context())
        self._changed.add(name)
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_all(), context=Context())

    async def _tell_all(self) -> None:
        """Send what has changed to the server.

        Commands are sent one at a time, so that none overtakes another. Each is made of what is
        wanted when it is sent. It names all channels that have changed, since many readers may come
        at once. Without a listener nothing is sent: a new listener subscribes to all channels that
        are wanted."""
        async with self._sending:
            while self._changed and self._listener is not None:
                names, self._changed = self._changed, set()
                with contextlib.suppress(StoreUnavailable):
                    if wanted := names & self._subscriptions.keys():
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
                    if self._subscriptions:
                        await listener.subscribe(list(self._subscriptions))
                async for message in listener.messages():
                    pause = FIRST_PAUSE
                    self._hand_on(message)
            except StoreUnavailable as error:
                log.warning("subscribing connection lost", error=str(error))
                self._observer.reconnected()
            except Exception:
                # A bug. A new listener is better than a hub without one.
                log.exception("subscribing connection failed")
            finally:
                self._listener = None
                if listener is not None:
                    await _close(listener)
            await asyncio.sleep(pause)
            pause = min(LONGEST_PAUSE, pause * 2)

    def _hand_on(self, message: Confirmed | Published) -> None:
        subscription = self._subscriptions.get(message.channel)
        if subscription is None:
            return
        topic = subscription.topic
        if isinstance(message, Confirmed):
            if subscription.confirmed.is_set():
                self._hub.missed(topic)
            subscription.confirmed.set()
        elif message.data == PROBE:
            return
        elif isinstance(topic, OwnerTopic):
            self._hub.notify(topic.owner, message.data.decode(errors="replace"))
        else:
            self._publish(topic, message.data)

    def _publish(self, task_id: str, data: bytes) -> None:
        try:
            batch = decode_batch(data)
        except UnreadableEvent as error:  # another instance can read it
            log.error("stream ended: unreadable", task_id=task_id, error=str(error))
            self._hub.close_channel(task_id)
            return
        self._observer.delivered(time.time() - batch.events[-1].at / 1000)
        self._hub.publish(task_id, batch)


def _channel_of(topic: Topic) -> str:
    if isinstance(topic, OwnerTopic):
        return owner_keys(topic.owner).channel
    return keys_of(topic).channel


async def _close(listener: Listener) -> None:
    """Close a listener. One that cannot be closed is replaced all the same."""
    try:
        await listener.aclose()
    except Exception:
        log.exception("listener not closed")
