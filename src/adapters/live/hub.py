"""The hub: the subscribers of every task in this process. It is the EventFeed of every store.

A channel has the subscribers of one task. A store in this process publishes to the hub itself; a
store that several processes share has a broker, which publishes to the hub what the other processes
add. `publish` offers a batch to every subscriber of its channel and waits for none of them.

After each delivery a channel pauses in proportion to the time that the delivery took, and joins
what is published in the meantime (write coalescing). So each event is delivered at once to up to a
few hundred subscribers, while thousands of subscribers get a few events at a time and take a
bounded share of the process's time.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from adapters.live.coalescing import joined
from application.ports import Batch, EventFeed, Subscriber

log = structlog.get_logger(__name__)

PAUSE_FACTOR, LONGEST_PAUSE = 5, 0.1
"""The pause after a delivery: a multiple of the time that the delivery took, and at most so many
seconds."""


class Broker(Protocol):
    """Publishes to the hub of this process what other processes add to a log."""

    def attach(self, hub: "Hub") -> None:
        """Set the hub to publish to. Called first."""
        ...

    def open(self, task_id: str) -> None:
        """Begin to subscribe to a channel, which has its first subscriber."""
        ...

    async def opened(self, task_id: str) -> None:
        """Wait until everything that is published on an open channel from now on reaches the hub.
        Raises StoreUnavailable after a bounded time."""
        ...

    def close(self, task_id: str) -> None:
        """Unsubscribe from a channel, which has lost its last subscriber."""
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class NoBroker(Broker):
    """The broker of a store that only this process writes to."""

    def attach(self, hub: "Hub") -> None: ...

    def open(self, task_id: str) -> None: ...

    async def opened(self, task_id: str) -> None: ...

    def close(self, task_id: str) -> None: ...

    async def aclose(self) -> None: ...


class Hub(EventFeed):
    def __init__(self, broker: Broker | None = None) -> None:
        """Without a broker, only what this process publishes is delivered."""
        self._broker = broker or NoBroker()
        self._channels: dict[str, _Channel] = {}
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

    def publish(self, task_id: str, batch: Batch) -> None:
        """Offer a batch to the task's subscribers, at once or after the channel's pause."""
        if (channel := self._channels.get(task_id)) is not None:
            channel.publish(batch)

    def missed(self, task_id: str) -> None:
        """Tell the task's subscribers to read the log, since they may have missed events."""
        if (channel := self._channels.get(task_id)) is not None:
            channel.published.clear()
            for subscriber in tuple(channel.subscribers):
                _tell(subscriber.missed)

    def close_channel(self, task_id: str) -> None:
        """Close all subscribers of a task, since this process cannot read its events."""
        if (channel := self._channels.get(task_id)) is not None:
            for subscriber in tuple(channel.subscribers):
                _tell(subscriber.closed)

    def close(self) -> None:
        """Close all subscribers, and every new one. Safe to call twice."""
        self._closed = True
        for task_id in tuple(self._channels):
            self.close_channel(task_id)

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


def _tell(notify: Callable[[], None]) -> None:
    """Call a method of a subscriber. One that fails must not keep the others from being told."""
    try:
        notify()
    except Exception:
        log.exception("subscriber failed")
