"""The slots of a process for open streams: acquired before the first await, and always
released."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pytest

from adapters.live import Hub
from adapters.memory import MemoryTaskLog
from adapters.prometheus import Metrics
from application.errors import StoreUnavailable, TooManyStreams, UnknownTask
from application.follow_task import NothingLeft
from application.ports import TaskLog
from application.quotas import Quotas, StreamSlot
from application.reader import Reader
from domain.task import Task
from entrypoints.http.open_streams import OpenStreams
from entrypoints.http.protocol.direct_write import DirectWriter
from entrypoints.http.request_counts import RequestCounts
from entrypoints.http.sse.encoder import SseEncoder, connected_frame
from entrypoints.http.sse.response import Events, NativeConnection, _Opening
from entrypoints.valid_keys import ValidKeys
from tests.builders import REQUEST, follow_task
from tests.doubles.readers import RecordingSink, started

TASK_ID = "task_1_a"


class SlowLog:
    """Lets others go first in every call, as a store over a network does."""

    def __init__(self, inner: MemoryTaskLog) -> None:
        self._inner = inner
        self.away = False

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any) -> Any:
            await asyncio.sleep(0)
            if self.away:
                raise StoreUnavailable("away")
            return await getattr(self._inner, name)(*args)

        return call


class Bench:
    def __init__(self, max_streams: int) -> None:
        hub = Hub()
        self.tasks = MemoryTaskLog(hub, 60.0)
        self.log = SlowLog(self.tasks)
        self.follow = follow_task(cast(TaskLog, self.log), hub, max_streams=max_streams)

    async def let_in(self) -> Reader:
        reader = await self.follow(TASK_ID)
        assert isinstance(reader, Reader)
        return reader


async def test_readers_that_come_at_once_take_no_more_slots_than_there_are() -> None:
    bench = Bench(max_streams=2)
    await bench.tasks.create(Task.submit(TASK_ID, REQUEST, 1))
    results = await asyncio.gather(
        *(bench.follow(TASK_ID) for _ in range(20)), return_exceptions=True
    )
    let_in = [each for each in results if isinstance(each, Reader)]
    assert len(let_in) == 2
    assert sum(isinstance(each, TooManyStreams) for each in results) == 18
    for _ in range(2):
        let_in[0].close()  # the second time releases nothing
    await bench.let_in()
    with pytest.raises(TooManyStreams):
        await bench.follow(TASK_ID)


async def test_a_reader_that_is_not_let_in_leaves_its_slot() -> None:
    bench = Bench(max_streams=1)
    task = Task.submit(TASK_ID, REQUEST, 1)
    await bench.tasks.create(task)
    await bench.tasks.cancel(TASK_ID, 2)
    last = (await bench.tasks.read(TASK_ID, 0, 10)).end
    for _ in range(3):
        with pytest.raises(UnknownTask):
            await bench.follow("task_1_unknown")
        with pytest.raises(UnknownTask):
            await bench.follow(TASK_ID, owner="not its owner")
        assert await bench.follow(TASK_ID, last) == NothingLeft()
        bench.log.away = True
        with pytest.raises(StoreUnavailable):
            await bench.follow(TASK_ID)
        bench.log.away = False
        gone = asyncio.create_task(bench.follow(TASK_ID))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
    await bench.let_in()


async def test_a_reader_releases_its_slot_once_when_it_ends() -> None:
    bench = Bench(max_streams=2)
    await bench.tasks.create(Task.submit(TASK_ID, REQUEST, 1))
    await bench.tasks.cancel(TASK_ID, 2)
    await bench.let_in()
    for _ in range(3):
        reader, sink = await started(bench.follow, TASK_ID)
        assert await sink.until_ended()
        reader.close()
    await bench.let_in()
    with pytest.raises(TooManyStreams):
        await bench.follow(TASK_ID)


async def test_a_stream_whose_owner_was_withdrawn_since_its_request_began_ends_at_once() -> None:
    bench, sink = Bench(max_streams=1), RecordingSink()
    await bench.tasks.create(Task.submit(TASK_ID, REQUEST, 1))
    quotas = SlowQuotas()
    streams = OpenStreams(cast(Quotas, quotas), RequestCounts(Metrics()), ValidKeys((), None))
    slot, reader = StreamSlot([], "alice"), await bench.let_in()
    streams.open(slot, reader, resumed=False)
    reader.start(sink)
    assert sink.ended.is_set()
    assert not sink.complete
    assert sink.batches == []
    await bench.let_in()


class Streams:
    """Counts the streams that are open."""

    def __init__(self) -> None:
        self.number = 0

    def open(self, slot: StreamSlot, reader: Reader, *, resumed: bool) -> None:
        self.number += 1

    def close(self, slot: StreamSlot) -> None:
        self.number -= 1


class ClosedConnection:
    """A connection that was lost before its response began."""

    def push(self, piece: bytes) -> bool:
        return False

    async def write(self, send: Any, body: bytes, *, more: bool = True) -> None:
        await send({"type": "http.response.body", "body": body, "more_body": more})

    async def drain(self) -> None: ...

    def detach(self) -> None: ...

    def finish(self) -> None: ...

    def on_close(self, closed: Callable[[], None]) -> None:
        closed()


@pytest.mark.parametrize("broken", ["start", "first event", "connection"])
async def test_a_client_that_is_gone_before_the_stream_begins_leaves_its_slot(broken: str) -> None:
    bench, streams = Bench(max_streams=1), Streams()
    await bench.tasks.create(Task.submit(TASK_ID, REQUEST, 1))
    sent: list[Any] = []

    async def send(message: Any) -> None:
        await asyncio.sleep(0)
        sent.append(message)
        if broken == "start" or (broken == "first event" and len(sent) == 2):
            raise ConnectionError

    async def receive() -> Any:
        raise NotImplementedError

    for _ in range(3):
        sent.clear()
        reader = await bench.let_in()
        events = Events(
            reader,
            partial(NativeConnection, TASK_ID, SseEncoder(), None),
            StreamSlot([]),
            cast(OpenStreams, streams),
            resumed=False,
            first=connected_frame(reader, 1),
        )
        response = _Opening(events, cast(DirectWriter, ClosedConnection()))
        if broken == "connection":
            await response(cast(Any, {}), receive, send)
        else:
            with pytest.raises(ConnectionError):
                await response(cast(Any, {}), receive, send)
        assert streams.number == 0
    await bench.let_in()


class SlowQuotas:
    """Takes until it is told to release a slot."""

    def __init__(self) -> None:
        self.released = 0
        self.may_release = asyncio.Event()

    def enter(self, slot: StreamSlot) -> None: ...

    async def leave(self, slot: StreamSlot) -> None:
        await self.may_release.wait()
        self.released += 1


async def test_closing_waits_for_slots_that_are_released_meanwhile() -> None:
    quotas = SlowQuotas()
    counts = RequestCounts(Metrics())
    streams = OpenStreams(cast(Quotas, quotas), counts, ValidKeys((), None))
    streams.close(StreamSlot([]))
    closing = asyncio.create_task(streams.aclose())
    await asyncio.sleep(0)
    quotas.may_release.set()
    await asyncio.sleep(0)
    quotas.may_release.clear()
    streams.close(StreamSlot([]))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not closing.done()
    quotas.may_release.set()
    await closing
    assert quotas.released == 2
