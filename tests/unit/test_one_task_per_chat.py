"""StartTask in one chat from several processes at once, under any interleaving: no two of its tasks
run side by side."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from application.chats import UNRECORDED
from application.errors import ChatBusy, OverLimit, QueueUnavailable, StartUncertain
from application.start_task import Started, Turn
from domain.events import TaskStatus
from domain.request import TaskRequest
from tests.builders import OTHER_REQUEST, REQUEST
from tests.doubles.starts import CALLER, Bench
from tests.sizes import sizes

TURN = Turn(chat_id="c", trigger="submit-message")


def _another(number: int) -> TaskRequest:
    return replace(REQUEST, prompt=f"Request {number}.")


def _running(bench: Bench) -> list[str]:
    """The tasks that the queue holds and that have not ended."""
    taken = set(bench.queue.taken)
    records = bench.records.values()
    return [each.id for each in records if each.id in taken and not each.status.terminal]


async def test_equal_turns_at_once_are_one_task() -> None:
    bench = Bench(starts=1)
    results = await asyncio.gather(
        *(bench.starter(wait=5.0)(REQUEST, CALLER, TURN) for _ in range(20))
    )
    assert len({each.task.id for each in results}) == 1
    assert sum(not each.joined for each in results) == 1
    assert len(bench.admits.admitted) == len(bench.records) == len(set(bench.queue.taken)) == 1


async def test_of_different_turns_at_once_all_but_the_last_are_cancelled() -> None:
    bench = Bench()
    results = await asyncio.gather(
        *(bench.starter(wait=5.0)(_another(number), CALLER, TURN) for number in range(20))
    )
    assert {each.task.id for each in results} == set(bench.records)
    assert len(bench.records) == 20
    newest = await bench.chats().newest("c", CALLER.owner)
    assert newest is not None
    assert newest.status is TaskStatus.PENDING
    others = [each for each in bench.records.values() if each.id != newest.id]
    assert {each.status for each in others} == {TaskStatus.CANCELLED}


async def test_of_different_turns_at_once_that_refuse_each_other_one_starts() -> None:
    bench, turn = Bench(), replace(TURN, reject=True)
    results = await asyncio.gather(
        *(bench.starter(wait=5.0)(_another(number), CALLER, turn) for number in range(20)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, ChatBusy) for each in results) == 19
    assert len(bench.records) == len(bench.queue.taken) == 1


@pytest.mark.parametrize("step", ["after bind", "before create"])
@pytest.mark.parametrize("request_", [REQUEST, OTHER_REQUEST])
async def test_a_turn_waits_for_the_one_that_is_to_create_its_task(
    step: str, request_: TaskRequest
) -> None:
    bench = Bench()
    first, frozen = await bench.frozen_start(step, TURN)
    with pytest.raises(StartUncertain) as uncertain:
        await bench.start(request_, TURN)
    assert uncertain.value.retry_after == 5.0
    second = asyncio.create_task(bench.starter(wait=5.0)(request_, CALLER, TURN))
    frozen.go_on.set()
    started = await second
    assert started.joined == (request_ is REQUEST)
    older = (await first).task.id
    assert (older == started.task.id) == (request_ is REQUEST)
    assert _running(bench) == [started.task.id]


@pytest.mark.parametrize("step", ["after bind", "before create"])
@pytest.mark.parametrize("request_", [REQUEST, OTHER_REQUEST])
async def test_a_turn_that_was_frozen_runs_no_task_beside_a_newer_one(
    step: str, request_: TaskRequest
) -> None:
    bench = Bench()
    first, frozen = await bench.frozen_start(step, TURN)
    bench.now += UNRECORDED + 1
    newer = await bench.start(request_, TURN)
    frozen.go_on.set()
    older = await first
    assert bench.queue.taken == [newer.id]
    (lost,) = [each for each in bench.records.values() if each.id != newer.id]
    assert lost.failure is not None
    assert lost.failure.code == "superseded"
    # The same turn has the newer task too; another one is told of its own.
    assert older.task.id == (newer.id if request_ is REQUEST else lost.id)
    assert older.joined == (request_ is REQUEST)
    assert _running(bench) == [newer.id]


@pytest.mark.parametrize("request_", [REQUEST, OTHER_REQUEST])
async def test_a_turn_that_died_before_its_record_holds_no_slot_once_it_is_superseded(
    request_: TaskRequest,
) -> None:
    bench = Bench()
    dying, _ = await bench.frozen_start("before create", TURN)
    bench.now += UNRECORDED + 1
    newer = await bench.start(request_, TURN)
    lost = [each for each in bench.admits.admitted if each != newer.id]
    assert bench.admits.released == lost
    dying.cancel()


@pytest.mark.parametrize("step", ["after create", "before enqueue", "after enqueue"])
async def test_another_turn_cancels_one_that_was_frozen_before_it_published(step: str) -> None:
    bench = Bench()
    first, frozen = await bench.frozen_start(step, TURN)
    newer = await bench.start(OTHER_REQUEST, TURN)
    frozen.go_on.set()
    older = await first
    assert bench.records[older.task.id].status is TaskStatus.CANCELLED
    assert _running(bench) == [newer.id]


@pytest.mark.parametrize("step", ["after create", "before enqueue", "after enqueue"])
async def test_the_same_turn_goes_on_with_one_that_was_frozen(step: str) -> None:
    bench = Bench()
    first, frozen = await bench.frozen_start(step, TURN)
    bench.now += UNRECORDED + 1
    second = await bench.start(REQUEST, TURN)
    frozen.go_on.set()
    assert (await first).task.id == second.id
    assert len(bench.records) == 1
    assert _running(bench) == [second.id]


@pytest.mark.parametrize("step", ["after create", "before enqueue", "after enqueue"])
async def test_a_reader_of_the_chat_goes_on_with_a_turn_that_died_before_it_published(
    step: str,
) -> None:
    bench = Bench()
    dying, _ = await bench.frozen_start(step, TURN)
    newest = await bench.chats().newest("c", CALLER.owner)
    assert newest is not None
    await bench.starter().complete_in_chat(newest, "c")
    assert _running(bench) == [newest.id]
    assert bench.records[newest.id].message_id is not None
    dying.cancel()


async def test_a_reader_of_the_chat_publishes_nothing_that_another_turn_has_ended() -> None:
    bench = Bench()
    dying, _ = await bench.frozen_start("before enqueue", TURN)
    older = await bench.chats().newest("c", CALLER.owner)
    assert older is not None
    newer = await bench.start(OTHER_REQUEST, TURN)
    await bench.starter().complete_in_chat(older, "c")
    assert bench.queue.taken == [newer.id]
    dying.cancel()


async def test_a_reader_of_the_chat_waits_while_the_queue_cannot_be_reached() -> None:
    bench = Bench()
    bench.queue.error = QueueUnavailable("away", 7.0)
    with pytest.raises(StartUncertain):
        await bench.start(REQUEST, TURN)
    newest = await bench.chats().newest("c", CALLER.owner)
    assert newest is not None
    await bench.starter().complete_in_chat(newest, "c")
    assert bench.records[newest.id].status is TaskStatus.PENDING
    bench.queue.error = None
    await bench.starter().complete_in_chat(newest, "c")
    assert _running(bench) == [newest.id]


@pytest.mark.parametrize("step", ["before cancel", "after cancel"])
async def test_a_turn_that_dies_while_it_takes_the_chat_over_leaves_no_task_running(
    step: str,
) -> None:
    bench = Bench()
    first = await bench.start(REQUEST, TURN)
    dying, _ = await bench.frozen_start(step, TURN, OTHER_REQUEST)
    dying.cancel()
    await asyncio.wait([dying])
    third = await bench.start(_another(3), TURN)
    assert bench.records[first.id].status is TaskStatus.CANCELLED
    assert _running(bench) == [third.id]


async def test_a_turn_that_was_resumed_and_superseded_is_not_left_pending() -> None:
    """Its first start has died; the one that resumes it has lost the chat to another turn."""
    bench = Bench()
    starting, first = await bench.frozen_start("before create", TURN)
    bench.now += UNRECORDED + 1
    other, third = await bench.frozen_start("after get", TURN, OTHER_REQUEST)  # sees no record
    await first.go_on_to("after create")
    resuming, second = await bench.frozen_start("after get", TURN)
    third.go_on.set()
    newer = await other
    second.go_on.set()
    resumed = await resuming
    assert resumed.task.failure is not None
    assert resumed.task.failure.code == "superseded"
    starting.cancel()
    await asyncio.wait([starting])
    assert _running(bench) == [newer.task.id]


class _Died(Exception):
    """A process has died: nothing that it calls is carried out any more."""


def _process(bench: Bench, rng: random.Random, mortal: bool) -> Callable[[str], Awaitable[None]]:
    """Pauses, while the clock may jump, and dies at one of its steps if it is mortal."""
    steps = rng.randrange(1, 14) if mortal else -1

    async def pause(_: str) -> None:
        nonlocal steps
        if steps == 0:
            raise _Died
        steps -= 1
        for _turn in range(rng.choice((0, 0, 1, 3, 20))):
            await asyncio.sleep(0)
        bench.now += rng.choice((0.0, 0.0, 0.0, 0.0, UNRECORDED + 1))

    return pause


async def _scenario(seed: int, turns: list[int], starts: int, mortal: bool) -> None:
    bench, rng = Bench(starts=starts), random.Random(seed)
    calls = []
    for number in turns:
        process = _process(bench, rng, mortal and rng.random() < 0.4)
        turn = replace(TURN, reject=rng.random() < 0.1)
        calls.append(bench.starter(process)(_another(number), CALLER, turn))
    results = await asyncio.gather(*calls, return_exceptions=True)
    told = (Started, OverLimit, StartUncertain, ChatBusy, _Died)
    assert all(isinstance(each, told) for each in results), results
    running = _running(bench)
    assert len(running) <= 1
    newest = await bench.chats().newest("c", CALLER.owner)
    if running:
        assert newest is not None
        assert newest.id == running[0]
    if not mortal:
        assert all(each.status.terminal or each.id in running for each in bench.records.values())
        started = {each.task.id for each in results if isinstance(each, Started)}
        assert started <= set(bench.admits.admitted)
    # What comes next is alone, too.
    bench.admits.left, bench.now = 1, bench.now + UNRECORDED + 1
    last = await bench.starter(wait=5.0)(_another(9), CALLER, TURN)
    assert _running(bench) == [last.task.id]


@pytest.mark.parametrize("examples", sizes(dose=80, full=3_000))
def test_a_chat_runs_one_task_whatever_freezes_or_dies(examples: int) -> None:
    """Clocks jump between any two steps, and processes die."""

    @settings(max_examples=examples, deadline=None)
    @given(
        seed=st.integers(0, 2**32),
        turns=st.lists(st.integers(0, 2), min_size=2, max_size=6),
        starts=st.integers(1, 8),
        mortal=st.booleans(),
    )
    def check(seed: int, turns: list[int], starts: int, mortal: bool) -> None:
        asyncio.run(_scenario(seed, turns, starts, mortal))

    check()
