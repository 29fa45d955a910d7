"""The slots of a process for open streams: taken before the first wait, given back on every way
out."""

import asyncio
from contextlib import nullcontext
from typing import Any, cast

import pytest

from adapters.memory import MemoryTaskLog
from application.errors import StoreUnavailable, TooManyStreams, UnknownTask
from application.fan_out import FanOut
from application.follow_task import Following, FollowTask
from application.ports import PATIENCE, TaskLog
from application.settle_task import SettleForgotten
from domain.events import EventId
from domain.task import Task
from entrypoints.http.event_stream import Events, Frames, _Streaming
from entrypoints.identity import SystemClock
from tests.builders import REQUEST

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
        feed, clock = FanOut(), SystemClock()
        self.tasks = MemoryTaskLog(feed, 60.0)
        self.log = SlowLog(self.tasks)
        tasks = cast(TaskLog, self.log)
        settle = SettleForgotten(tasks, clock, PATIENCE)
        self.follow = FollowTask(tasks, feed, clock, settle, silence=5.0, max_streams=max_streams)

    async def let_in(self) -> Following:
        following = await self.follow(TASK_ID, None)
        assert following is not None
        return following


async def test_subscribers_that_come_at_once_are_no_more_than_may_be() -> None:
    bench = Bench(max_streams=2)
    await bench.tasks.create(Task.submit(TASK_ID, REQUEST, 1))
    results = await asyncio.gather(
        *(bench.follow(TASK_ID, None) for _ in range(20)), return_exceptions=True
    )
    let_in = [each for each in results if isinstance(each, Following)]
    assert len(let_in) == 2
    assert sum(isinstance(each, TooManyStreams) for each in results) == 18
    for _ in range(2):
        let_in[0].close()  # the second time gives nothing back
    await bench.let_in()
    with pytest.raises(TooManyStreams):
        await bench.follow(TASK_ID, None)


async def test_a_subscriber_that_is_not_let_in_leaves_its_slot() -> None:
    bench = Bench(max_streams=1)
    task = Task.submit(TASK_ID, REQUEST, 1)
    await bench.tasks.create(task)
    await bench.tasks.cancel(TASK_ID, 2)
    page = await bench.tasks.read(TASK_ID, 0, 10)
    last = EventId(page.batches[-1].epoch, page.length)
    for _ in range(3):
        with pytest.raises(UnknownTask):
            await bench.follow("task_1_unknown", None)
        with pytest.raises(UnknownTask):
            await bench.follow(TASK_ID, None, "not its owner")
        assert await bench.follow(TASK_ID, last) is None
        bench.log.away = True
        with pytest.raises(StoreUnavailable):
            await bench.follow(TASK_ID, None)
        bench.log.away = False
        gone = asyncio.create_task(bench.follow(TASK_ID, None))
        await asyncio.sleep(0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
    await bench.let_in()


async def test_a_stream_gives_its_slot_back_once_when_it_ends() -> None:
    bench = Bench(max_streams=2)
    await bench.tasks.create(Task.submit(TASK_ID, REQUEST, 1))
    await bench.tasks.cancel(TASK_ID, 2)
    await bench.let_in()
    for _ in range(3):
        following = await bench.let_in()
        assert [ready async for ready in following.batches()]
        following.close()
    await bench.let_in()
    with pytest.raises(TooManyStreams):
        await bench.follow(TASK_ID, None)


class ClosedLine:
    """A connection that was lost before its response began."""

    def push(self, piece: bytes) -> bool:
        return False

    async def write(self, send: Any, body: bytes, *, more: bool = True) -> None:
        await send({"type": "http.response.body", "body": body, "more_body": more})

    def on_close(self, closed: Any) -> None:
        if closed is not None:
            closed()


@pytest.mark.parametrize("broken", ["start", "first event", "line"])
async def test_a_client_that_is_gone_before_the_stream_begins_leaves_its_slot(broken: str) -> None:
    bench = Bench(max_streams=1)
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
        following = await bench.let_in()
        events = Events(following, Frames(), SystemClock(), nullcontext())
        response = _Streaming(events, cast(Any, ClosedLine()))
        if broken == "line":
            await response(cast(Any, {}), receive, send)
        else:
            with pytest.raises(ConnectionError):
                await response(cast(Any, {}), receive, send)
    await bench.let_in()
