"""The broker's connection to Redis when closing it fails, too."""

import asyncio
from collections.abc import AsyncGenerator, Collection
from typing import cast

from adapters.live import Hub
from adapters.redis import RedisBroker
from adapters.redis.connection import Confirmed, Connection, Published
from application.errors import StoreUnavailable
from tests.doubles.readers import CountingObserver, RecordingSubscriber, subscribed
from tests.waiting import within


class BreakingListener:
    """Confirms each subscription, until it is lost. Closing it fails."""

    def __init__(self) -> None:
        self.messages_to_come: asyncio.Queue[Confirmed | StoreUnavailable] = asyncio.Queue()

    async def subscribe(self, channels: Collection[str]) -> None:
        for channel in channels:
            self.messages_to_come.put_nowait(Confirmed(channel))

    async def unsubscribe(self, channels: Collection[str]) -> None: ...

    async def messages(self) -> AsyncGenerator[Confirmed | Published, None]:
        while True:
            message = await self.messages_to_come.get()
            if isinstance(message, StoreUnavailable):
                raise message
            yield message

    async def aclose(self) -> None:
        raise OSError("the connection was reset")


class Listening:
    def __init__(self) -> None:
        self.listeners: list[BreakingListener] = []

    async def listen(self) -> BreakingListener:
        self.listeners.append(BreakingListener())
        return self.listeners[-1]


async def test_a_listener_that_cannot_be_closed_is_replaced_all_the_same() -> None:
    redis = Listening()
    hub = Hub(RedisBroker(cast(Connection, redis), CountingObserver()))
    first = RecordingSubscriber()
    await hub.subscribe("a", first)
    redis.listeners[0].messages_to_come.put_nowait(StoreUnavailable("reset"))
    await first.miss()
    async with subscribed(hub, "b"):
        assert len(redis.listeners) == 2
    async with asyncio.timeout(within(5)):
        await hub.aclose()
