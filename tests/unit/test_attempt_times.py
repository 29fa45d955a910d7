"""How long an attempt may take, and how long its model may be without a piece."""

import asyncio

import pytest

from application.outcome import Ack, Reject, Retry
from domain.events import StatusChanged
from domain.failure import Failure
from tests.unit.run_task_bench import FINISHED, TASK_ID, Bench
from tests.waiting import within

LONG = 60.0


async def lost_for(bench: Bench) -> str | None:
    last = (await bench.events())[-1]
    assert isinstance(last, StatusChanged)
    return last.reason


@pytest.mark.parametrize("words", [[], ["a"], ["a", ""]])
async def test_a_model_without_a_piece_for_the_read_timeout_loses_the_attempt(
    words: list[str],
) -> None:
    bench = Bench(read_timeout=0.1)
    running = bench.deliver()
    bench.model.say(*words)
    assert await asyncio.wait_for(running, within(10)) == Retry()
    assert await lost_for(bench) == "model_timeout"
    assert bench.model.closed == 1


async def test_after_the_last_attempt_that_is_a_failure_which_may_pass() -> None:
    bench = Bench(read_timeout=0.1)
    assert await asyncio.wait_for(bench.deliver(max_attempts=1), within(10)) == Reject(
        "model_timeout"
    )
    task = await bench.tasks.get(TASK_ID)
    assert task.failure == Failure("model_timeout", "The model sent nothing for 0.1 seconds.", True)


@pytest.mark.parametrize("word", ["", "x"])
async def test_a_model_that_works_may_go_on_past_the_read_timeout(word: str) -> None:
    bench = Bench(read_timeout=1.0)
    running = bench.deliver()
    for _ in range(15):
        bench.model.say(word)
        await asyncio.wait({running}, timeout=0.1)
    bench.model.say("a", FINISHED)
    assert await running == Ack()
    assert "".join(await bench.content()) == word * 15 + "a"


async def test_time_spent_waiting_for_the_store_does_not_count_against_the_model() -> None:
    bench = Bench(read_timeout=0.1)
    bench.tasks.open.clear()
    running = bench.deliver()
    bench.model.say("a", "b", FINISHED)
    await bench.tasks.appending.wait()
    await asyncio.wait({running}, timeout=0.5)
    bench.tasks.open.set()
    assert await running == Ack()
    assert await bench.content() == ["a", "b"]


@pytest.mark.parametrize("word", ["", "x"])
async def test_an_attempt_without_end_fails_the_task_for_good(word: str) -> None:
    bench = Bench(read_timeout=LONG, attempt_timeout=0.3)
    running = bench.deliver()
    while not running.done():
        bench.model.say(word)
        await asyncio.wait({running}, timeout=0.02)
    assert await running == Reject("attempt_timeout")
    task = await bench.tasks.get(TASK_ID)
    assert task.attempt == 1
    assert task.failure == Failure(
        "attempt_timeout", "The model did not finish within 0.3 seconds.", False
    )
    assert bench.model.closed == 1


async def test_an_attempt_ends_though_its_store_hangs() -> None:
    bench = Bench(read_timeout=LONG, attempt_timeout=0.2)
    bench.tasks.open.clear()
    bench.model.say("a")
    assert await asyncio.wait_for(bench.deliver(), within(10)) == Reject("attempt_timeout")
