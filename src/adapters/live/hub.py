"""The hub: the subscribers of every task in this process, and the watchers of every owner's tasks.
It is the EventFeed and the ChangeFeed of every store.

A channel has the subscribers of one task, or the watchers of one owner: its topic says which. A
store in this process publishes to the hub itself; a store that several processes share has a
broker, which publishes to the hub what the other processes add. `publish` offers a batch to every
subscriber of its channel, `notify` tells every watcher, and neither waits for any of them.

After each delivery a channel pauses in proportion to the time that the delivery took, and joins
what is published in the meantime (write coalescing). So each event is delivered at once to up to a
few hundred subscribers, while thousands of subscribers get a few events at a time and take a
bounded share of the process's time.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, Protocol

import structlog

from adapters.live.coalescing import joined
from application.ports import Batch, ChangeFeed, EventFeed, Subscriber, Watcher

log = structlog.get_logger(__name__)

PAUSE_FACTOR, LONGEST_PAUSE = 5, 0.1
"""The pause after a delivery: a multiple of the time that the delivery took, and at most so many
seconds."""


@dataclass(frozen=True, slots=True)
class OwnerTopic:
    """The topic of the channel that tells of the changes of all tasks of an owner."""

    owner: str | None


Topic = str | OwnerTopic
"""What a channel tells of. A text: the events of the task with that id."""


class Broker(Protocol):
    """Publishes to the hub of this process what other processes add to a log, and which tasks they
    change."""

    def attach(self, hub: "Hub") -> None:
        """Set the hub to publish to. Called first."""
        ...

    def open(self, topic: Topic) -> None:
        """Begin to subscribe to a channel, which has its first subscriber or watcher."""
        ...

    async def opened(self, topic: Topic) -> None:
        """Wait until everything that is published on an open channel from now on reaches the hub.
        Raises StoreUnavailable after a bounded time."""
        ...

    def close(self, topic: Topic) -> None:
        """Unsubscribe from a channel, which has lost its last subscriber or watcher."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class NoBroker(Broker):
    """The broker of a store that only this process writes to."""

    def attach(self, hub: "Hub") -> None: ...

    def open(self, topic: Topic) -> None: ...

    async def opened(self, topic: Topic) -> None: ...

    def close(self, topic: Topic) -> None: ...

    async def aclose(self) -> None: ...


class Hub(EventFeed, ChangeFeed):
    def __init__(self, broker: Broker | None = None) -> None:
        """Without a broker, only what this process publishes is delivered."""
        self._broker = broker or NoBroker()
        self._channels: dict[str, _Channel] = {}
        self._watchers: dict[OwnerTopic, dict[Watcher, None]] = {}
        self._closed = False
        self._broker.attach(self)

    async def subscribe(self, task_id: str, subscriber: Subscriber) -> None:
        channel = self._channels.get(task_id)
        if channel is None:
            channel = self._channels[task_id] = _Channel()
            self._broker.open(task_id)
        channel.subscribers[subscriber] = None
        if self._closed:
            subscriber.closed()
            return
        try:
            await self._broker.opened(task_id)
        except BaseException:
            self.unsubscribe(task_id, subscriber)
            raise

    def unsubscribe(self, task_id: str, subscriber: Subscriber) -> None:
        channel = self._channels.get(task_id)
        if channel is None or subscriber not in channel.subscribers:
            return
        del channel.subscribers[subscriber]
        if not channel.subscribers:
            del self._channels[task_id]
            self._broker.close(task_id)

    async def watch(self, owner: str | None, watcher: Watcher) -> None:
        topic = OwnerTopic(owner)
        if topic not in self._watchers:
            self._watchers[topic] = {}
            self._broker.open(topic)
        self._watchers[topic][watcher] = None
        if self._closed:
            watcher.closed()
            return
        try:
            await self._broker.opened(topic)
        except BaseException:
            self.unwatch(owner, watcher)
            raise

    def unwatch(self, owner: str | None, watcher: Watcher) -> None:
        topic = OwnerTopic(owner)
        watchers = self._watchers.get(topic, {})
        if watcher not in watchers:
            return
        del watchers[watcher]
        if not watchers:
            del self._watchers[topic]
            self._broker.close(topic)

    def publish(self, task_id: str, batch: Batch) -> None:
        """Offer a batch to the task's subscribers, at once or after the channel's pause."""
        if (channel := self._channels.get(task_id)) is not None:
            channel.publish(batch)

    def notify(self, owner: str | None, task_id: str) -> None:
        """Tell the owner's watchers that the task has changed or is gone."""
        if self._watchers:
            for watcher in tuple(self._watchers.get(OwnerTopic(owner), ())):
                _tell(watcher.changed, task_id)

    def missed(self, topic: Topic) -> None:
        """Tell a channel's subscribers to read the log, or its watchers to read the index, since
        they may have missed something."""
        if isinstance(topic, str) and topic in self._channels:
            self._channels[topic].published.clear()
        for each in self._told(topic):
            _tell(each.missed)

    def close_channel(self, topic: Topic) -> None:
        """Close all subscribers or watchers of a channel, since this process cannot read what is
        published there."""
        for each in self._told(topic):
            _tell(each.closed)

    def close(self) -> None:
        """Close all subscribers and watchers, and every new one. Safe to call twice."""
        self._closed = True
        topics: tuple[Topic, ...] = (*self._channels, *self._watchers)
        for topic in topics:
            self.close_channel(topic)

    def _told(self, topic: Topic) -> tuple[Subscriber | Watcher, ...]:
        """A copy, since one that is told may leave the channel."""
        if isinstance(topic, OwnerTopic):
            return tuple(self._watchers.get(topic, ()))
        channel = self._channels.get(topic)
        return () if channel is None else tuple(channel.subscribers)

    async def aclose(self) -> None:
        self.close()
        await self._broker.aclose()


class _Channel:
    """The subscribers of one task, and the batches that wait for the end of a pause."""

    __slots__ = ("_loop", "_paused_until", "_scheduled", "published", "subscribers")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()  # kept, since asking for it is a system call
        self.subscribers: dict[Subscriber, None] = {}
        self.published: list[Batch] = []
        self._scheduled = False
        self._paused_until = 0.0

    def publish(self, batch: Batch) -> None:
        self.published.append(batch)
        if not self._scheduled:
            self._scheduled = True
            pause = self._paused_until - time.monotonic()
            if pause > 0:
                self._loop.call_later(pause, self._deliver)
            else:
                self._deliver()

    def _deliver(self) -> None:
        self._scheduled = False
        batches, self.published = self.published, []
        began = time.monotonic()
        for batch in joined(batches):
            # A copy, since a subscriber unsubscribes when it is offered the end of the log.
            for subscriber in tuple(self.subscribers):
                try:
                    subscriber.offer(batch)
                except Exception:
                    log.exception("subscriber failed")
                    _tell(subscriber.missed)
        ended = time.monotonic()
        self._paused_until = ended + min(LONGEST_PAUSE, PAUSE_FACTOR * (ended - began))


P = ParamSpec("P")


def _tell(notify: Callable[P, None], *args: P.args, **kwargs: P.kwargs) -> None:
    """Call a method of a subscriber or watcher. One that fails must not keep the others from being
    told."""
    try:
        notify(*args, **kwargs)
    except Exception:
        log.exception("subscriber failed")
