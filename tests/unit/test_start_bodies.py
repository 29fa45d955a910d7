"""The bytes of starts are counted until they are answered."""

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from litestar.plugins.problem_details import ProblemDetailsException
from litestar.types import Receive, Scope, Send

from entrypoints.choices import start_room
from entrypoints.http.start_bodies import LARGEST, ROOM, SHORT, StartBodies, hold_start_body
from tests.running import settings_for
from tests.waiting import until


class Start:
    """A start whose client sends chunks as it is told, and which is worked on until `answered`."""

    def __init__(self, bodies: StartBodies, length: int | None = None) -> None:
        self.chunks: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.answered = asyncio.Event()
        self.read = False
        headers = [] if length is None else [(b"content-length", str(length).encode())]
        app = SimpleNamespace(state=SimpleNamespace(start_bodies=bodies))
        serve: Callable[..., Awaitable[None]] = hold_start_body(self._app)
        scope = {"type": "http", "headers": headers, "litestar_app": app}
        self.task = asyncio.ensure_future(serve(scope, self.chunks.get, None))

    def send(self, size: int, *, more: bool = True) -> None:
        self.chunks.put_nowait({"type": "http.request", "body": b"x" * size, "more_body": more})

    async def _app(self, _: Scope, receive: Receive, __: Send) -> None:
        while True:
            message = await receive()
            assert message["type"] == "http.request"
            if not message["more_body"]:
                break
        self.read = True
        await self.answered.wait()

    async def refused(self) -> bool:
        with pytest.raises(ProblemDetailsException) as refusal:
            await self.task
        return refusal.value.status_code == 503


async def test_one_that_is_worked_on_holds_its_room_until_it_is_answered() -> None:
    bodies = StartBodies(room=100)
    worked_on, late = Start(bodies), Start(bodies)
    worked_on.send(80, more=False)
    await until(lambda: worked_on.read)
    late.send(30)
    assert await late.refused()
    assert bodies._held == 80
    worked_on.answered.set()
    await worked_on.task
    assert bodies._held == 0
    next_one = Start(bodies)
    next_one.send(90, more=False)
    next_one.answered.set()
    await next_one.task


async def test_the_one_read_for_the_longest_time_makes_room() -> None:
    bodies = StartBodies(room=100)
    slow, quick = Start(bodies), Start(bodies)
    slow.send(60)
    await until(lambda: bodies._held == 60)
    quick.send(60, more=False)
    assert await slow.refused()  # though it was only waiting
    await until(lambda: quick.read)
    assert bodies._held == 60
    quick.answered.set()
    await quick.task


async def test_a_start_that_fails_or_is_cancelled_holds_nothing() -> None:
    bodies = StartBodies(room=100)
    start = Start(bodies)
    start.send(50)
    await until(lambda: bodies._held == 50)
    start.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start.task
    assert bodies._held == 0
    assert not bodies._reading


async def test_a_short_one_is_not_counted() -> None:
    bodies = StartBodies(room=1)
    start = Start(bodies, SHORT)
    start.send(SHORT, more=False)
    await until(lambda: start.read)
    assert bodies._held == 0
    start.answered.set()
    await start.task


def test_there_is_room_for_several_of_the_largest() -> None:
    assert start_room(settings_for(max_request_bytes=1_000_000)) == ROOM
    assert start_room(settings_for(max_request_bytes=100_000_000)) == LARGEST * 100_000_000
