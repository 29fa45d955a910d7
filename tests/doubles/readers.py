"""Ends of the way of a token: a subscriber of a feed, and the sink of a reader. And a watcher of
changes."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from application.follow_task import FollowTask
from application.ports import Batch, EventFeed, FeedObserver, Subscriber, Watcher
from application.reader import Reader, Sink
from domain.events import Event
from domain.position import START, Position
from tests.waiting import until, within

TIMEOUT = 10.0


def events_of(batches: Sequence[Batch]) -> list[Event]:
    return [event for batch in batches for event in batch.events]


class RecordingSubscriber(Subscriber):
    """Keeps what it is offered until it is asked for."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.misses = 0
        self.is_closed = False

    def offer(self, batch: Batch) -> None:
        self.batches.append(batch)

    def missed(self) -> None:
        self.misses += 1

    def closed(self) -> None:
        self.is_closed = True

    async def receive(self, events: int, timeout: float = TIMEOUT) -> list[Batch]:
        """So many events, or a few more, which are not kept any longer."""
        await until(lambda: len(events_of(self.batches)) >= events, timeout)
        received, self.batches = self.batches, []
        return received

    async def miss(self, timeout: float = 2 * TIMEOUT) -> None:
        """Return once something was missed since this was last asked for."""
        await until(lambda: self.misses > 0, timeout)
        self.misses = 0


@asynccontextmanager
async def subscribed(feed: EventFeed, task_id: str) -> AsyncGenerator[RecordingSubscriber, None]:
    subscriber = RecordingSubscriber()
    await feed.subscribe(task_id, subscriber)
    try:
        yield subscriber
    finally:
        feed.unsubscribe(task_id, subscriber)


class RecordingWatcher(Watcher):
    """Keeps the ids that it is noticed of until it is asked for them."""

    def __init__(self) -> None:
        self.noticed: list[str] = []
        self.misses = 0
        self.is_closed = False

    def changed(self, task_id: str) -> None:
        self.noticed.append(task_id)

    def missed(self) -> None:
        self.misses += 1

    def closed(self) -> None:
        self.is_closed = True

    async def notices(self, count: int) -> list[str]:
        """So many, and those that came meanwhile."""
        await until(lambda: len(self.noticed) >= count)
        noticed, self.noticed = self.noticed, []
        return noticed


class RecordingSink(Sink):
    """Keeps what is written, unless it is told to be slow."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.pings = 0
        self.ended = asyncio.Event()
        self.complete = False
        """Whether it was ended behind the last event of the log."""
        self.taking = asyncio.Event()
        """Whether the client reads."""
        self.taking.set()

    def write(self, batch: Batch) -> bool:
        return self.write_all((batch,))

    def write_all(self, batches: Sequence[Batch]) -> bool:
        assert not self.ended.is_set(), "nothing may be written behind the end"
        if self.taking.is_set():
            self.batches.extend(batches)
        return self.taking.is_set()

    async def writable(self) -> None:
        await self.taking.wait()

    def ping(self) -> None:
        self.pings += 1

    def end(self, *, complete: bool) -> None:
        assert not self.ended.is_set(), "a sink is ended once"
        self.ended.set()
        self.complete = complete

    @property
    def events(self) -> list[Event]:
        return events_of(self.batches)

    async def until(self, events: int) -> None:
        """Return once so many events have been written."""
        await until(lambda: len(self.events) >= events)

    async def until_ended(self, timeout: float = TIMEOUT) -> list[Event]:
        async with asyncio.timeout(within(timeout)):
            await self.ended.wait()
        return self.events


async def started(
    follow: FollowTask, task_id: str, position: Position = START
) -> tuple[Reader, RecordingSink]:
    """A reader that is under way, and what it writes to."""
    reader, sink = await follow(task_id, position), RecordingSink()
    assert isinstance(reader, Reader)
    reader.start(sink)
    return reader, sink


async def read_to_end(
    follow: FollowTask, task_id: str, position: Position = START, timeout: float = 20.0
) -> list[Batch]:
    """All that a reader gets until its stream ends."""
    _, sink = await started(follow, task_id, position)
    await sink.until_ended(timeout)
    return sink.batches


class CountingObserver(FeedObserver):
    def __init__(self) -> None:
        self.misses = 0
        self.reconnects = 0

    def delivered(self, lag: float) -> None: ...

    def missed(self) -> None:
        self.misses += 1

    def reconnected(self) -> None:
        self.reconnects += 1
