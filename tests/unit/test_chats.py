"""Chats.newest: which task a chat points to."""

import asyncio

import pytest

from application.chats import UNRECORDED
from application.reap import ORPHANED
from application.start_task import Turn
from domain.events import TaskStatus
from tests.builders import OTHER_REQUEST, REQUEST
from tests.doubles.starts import CALLER, Bench

TURN = Turn(chat_id="c", trigger="submit-message")
OWNER = CALLER.owner


async def test_the_newest_task_is_that_of_the_last_turn() -> None:
    bench = Bench()
    assert await bench.chats().newest("c", OWNER) is None
    for request in (REQUEST, OTHER_REQUEST):
        started = await bench.start(request, TURN)
        newest = await bench.chats().newest("c", OWNER)
        assert newest is not None
        assert newest.id == started.id
    await bench.tasks.cancel(started.id, 1)
    newest = await bench.chats().newest("c", OWNER)
    assert newest is not None
    assert newest.status is TaskStatus.CANCELLED


async def test_a_chat_of_another_owner_has_no_task() -> None:
    bench = Bench()
    await bench.start(REQUEST, TURN)
    for chat_id, owner in (("c", "bob"), ("c", None), ("d", OWNER), ("", OWNER)):
        assert await bench.chats().newest(chat_id, owner) is None


async def test_a_chat_whose_newest_task_is_gone_has_none() -> None:
    bench = Bench(ttl=60.0)
    await bench.start(REQUEST, TURN)
    second = await bench.start(OTHER_REQUEST, TURN)
    await bench.tasks.delete(second.id)
    assert await bench.chats().newest("c", OWNER) is None
    await bench.start(REQUEST, TURN)
    bench.now += 61.0
    assert await bench.chats().newest("c", OWNER) is None


@pytest.mark.parametrize("step", ["after bind", "before create"])
async def test_a_reader_waits_for_the_start_of_the_newest_task(step: str) -> None:
    bench = Bench()
    starting, frozen = await bench.frozen_start(step, TURN)
    assert await bench.chats().newest("c", OWNER) is None
    reading = asyncio.create_task(bench.chats(wait=5.0).newest("c", OWNER))
    await asyncio.sleep(0)
    frozen.go_on.set()
    newest = await reading
    assert newest is not None
    assert newest.id == (await starting).task.id


async def test_a_reader_does_not_wait_for_a_start_that_has_died() -> None:
    bench = Bench()
    starting, frozen = await bench.frozen_start("before create", TURN)
    bench.now += UNRECORDED + 1
    async with asyncio.timeout(1.0):
        assert await bench.chats(wait=5.0).newest("c", OWNER) is None
    frozen.go_on.set()
    await starting


async def test_a_newest_task_that_the_queue_has_lost_has_failed() -> None:
    bench = Bench()
    started = await bench.start(REQUEST, TURN)
    bench.lose(started.id)
    newest = await bench.chats().newest("c", OWNER)
    assert newest is not None
    assert newest.failure == ORPHANED
