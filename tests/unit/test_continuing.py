"""Attempts go on with an answer that an upstream keeps: nothing is asked for twice, nothing is said
twice, nothing is taken back."""

from dataclasses import replace

import pytest

from application.errors import ContinuationLost, ModelUnavailable
from application.make_attempt import MAX_RESTARTS
from application.outcome import Ack, Outcome, Reject, Retry
from domain.answer import Answer, ToolCall
from domain.failure import CONTINUATION_LOST
from tests.unit.continuing_bench import LEASE, PIECES, TASK_ID, USAGE, WHOLE, Bench, whole
from tests.unit.webhook_bench import Died, Mortal


async def test_an_attempt_that_is_never_lost_asks_once() -> None:
    bench = Bench()
    assert await bench.deliver() == Ack()
    await whole(bench)
    assert bench.keeping.streams == 1
    continuation = (await bench.record()).continuation
    assert continuation is not None
    assert (continuation.cursor, continuation.released) == (len(PIECES) - 1, True)
    assert bench.observer.resumptions == []


@pytest.mark.parametrize("event", range(len(PIECES)))
async def test_a_broken_connection_costs_no_attempt_that_has_added_something(event: int) -> None:
    bench = Bench()
    bench.keeping.breaks_after = event
    assert await bench.deliver() == Retry()
    assert (await bench.record()).counted_attempts == (event == 0)
    bench.keeping.breaks_after = None
    assert await bench.deliver() == Ack()
    await whole(bench)
    assert len(bench.keeping.by_key) == 1
    assert await bench.statuses() == [
        "pending",
        "running",
        "pending stream_broken",
        "running resumed",
        "completed",
    ]
    assert [how for how, _ in bench.observer.resumptions] == ["kept"]


async def test_an_attempt_that_adds_nothing_counts() -> None:
    bench = Bench()
    bench.keeping.breaks_after = 2
    assert await bench.deliver() == Retry()
    assert await bench.deliver() == Retry()
    assert await bench.deliver() == Reject("stream_broken")
    assert [each.released for each in bench.keeping.by_key.values()] == [False]


async def is_killed(bench: Bench, step: int) -> bool:
    """Whether the process of a delivery dies at this step: before or after a call of the store."""
    try:
        await bench.delivering(bench.process(Mortal(bench.tasks, [], step)))
    except (Died, BaseExceptionGroup):
        bench.seconds += LEASE + 1
        return True
    return False


async def goes_on_after(*steps: int) -> bool:
    """Whether a process that dies at the last of these steps, after others that died at the earlier
    ones, is followed by one that completes the task. False: it did not live until that step."""
    bench = Bench()
    for step in steps[:-1]:
        await is_killed(bench, step)
    killed = await is_killed(bench, steps[-1])
    assert await bench.deliver() == Ack()
    await whole(bench)
    assert len(bench.keeping.by_key) == 1, "an answer was asked for twice"
    assert await bench.retractions() == 0
    assert (await bench.record()).counted_attempts <= len(steps) + 1
    return killed


async def test_wherever_its_process_is_killed_nothing_is_asked_for_or_said_twice() -> None:
    step = 0
    while await goes_on_after(step):
        step += 1
    assert step > 2 * len(PIECES), "each piece is appended by itself"


@pytest.mark.soak
async def test_wherever_two_processes_are_killed() -> None:
    for first in range(2 * len(PIECES)):
        step = 0
        while await goes_on_after(first, step):
            step += 1


async def test_an_attempt_that_died_before_the_id_was_noted_asks_with_the_same_key() -> None:
    bench = Bench()
    step = 0
    while not bench.keeping.by_key:
        bench = Bench()
        assert await is_killed(bench, step)
        step += 1
    assert bench.observer.repeated == 0
    assert await bench.deliver() == Ack()
    assert list(bench.keeping.by_key) == [f"longtask-{TASK_ID}-1"]
    assert bench.observer.repeated == 1
    assert bench.observer.resumptions == []


async def test_an_answer_that_failed_upstream_is_asked_for_anew() -> None:
    bench = Bench()
    bench.keeping.breaks_after = 3
    bench.keeping.fault = ModelUnavailable("server_error", "It failed.", answer_ended=True)
    assert await bench.deliver() == Retry()
    task = await bench.record()
    assert (task.continuation, task.counted_attempts) == (None, 1)
    bench.keeping.breaks_after = None
    assert await bench.deliver() == Ack()
    assert list(bench.keeping.by_key) == [f"longtask-{TASK_ID}-{each}" for each in (1, 2)]
    assert (await bench.ended()).answer == WHOLE
    assert await bench.retractions() == 1
    assert bench.observer.lost_tokens == [4]


async def test_what_the_upstream_forgot_is_asked_for_anew_in_the_same_delivery() -> None:
    bench = Bench()
    bench.keeping.breaks_after = 3
    assert await bench.deliver() == Retry()
    bench.keeping.breaks_after = None
    bench.keeping.forgets = True
    assert await bench.deliver() == Ack()
    assert (await bench.ended()).answer == WHOLE
    assert (await bench.statuses())[2:] == [
        "pending stream_broken",
        "running resumed",
        "pending continuation_lost",
        "running",
        "completed",
    ]
    assert (await bench.record()).counted_attempts == 2
    assert list(bench.keeping.by_key) == [f"longtask-{TASK_ID}-{each}" for each in (1, 3)]


async def test_an_upstream_that_always_forgets_costs_attempts() -> None:
    bench = Bench()
    bench.keeping.breaks_after = 3
    outcomes: list[Outcome] = []
    while Reject("incomplete") not in outcomes:
        bench.keeping.forgets = True
        outcomes.append(await bench.deliver())
    assert outcomes[:-1] == [Retry(), Retry()]
    assert len(bench.keeping.by_key) == 2


async def test_an_answer_that_the_upstream_does_not_keep_begins_anew() -> None:
    bench = Bench()
    bench.keeping.keeps = False
    bench.keeping.breaks_after = 3
    for outcome in (Retry(), Reject("stream_broken")):
        assert await bench.deliver() == outcome
    assert await bench.statuses() == [
        "pending",
        "running",
        "pending stream_broken",
        "running",
        "failed stream_broken",
    ]
    assert bench.keeping.streams == 2


@pytest.mark.parametrize("lost", [1, 2, 3])
async def test_what_the_log_has_lost_is_read_once_more(lost: int) -> None:
    bench = Bench()
    bench.keeping.breaks_after = 4
    assert await bench.deliver() == Retry()
    bench.keeping.breaks_after = None
    entry = bench.memory._entries[TASK_ID]
    del entry.events[-1 - lost : -1]
    assert await bench.deliver() == Ack()
    assert (await bench.ended()).answer == WHOLE
    assert "pending continuation_lost" in await bench.statuses()
    assert [each.released for each in bench.keeping.by_key.values()] == [True]
    assert 0 <= await bench.charged() - USAGE.total_tokens <= 4, "but for what the log has lost"


async def test_settings_that_name_another_upstream_begin_anew() -> None:
    bench = Bench()
    bench.keeping.breaks_after = 3
    assert await bench.deliver() == Retry()
    bench.keeping.breaks_after = None
    bench.keeping.name = "another"
    assert await bench.deliver() == Ack()
    assert await bench.retractions() == 1
    continuation = (await bench.record()).continuation
    assert continuation is not None
    assert (continuation.begun, continuation.upstream) == (2, "another")


async def test_the_bound_of_an_answer_counts_what_was_taken_over() -> None:
    bench = Bench()
    bench.bounds = replace(bench.bounds, max_output_chars=20)
    bench.keeping.breaks_after = 3
    assert await bench.deliver() == Retry()
    bench.keeping.breaks_after = None
    assert await bench.deliver() == Reject("answer_too_long")
    assert [each.released for each in bench.keeping.by_key.values()] == [False]


# What the upstream took back


async def test_what_the_upstream_takes_back_is_read_on_from_there() -> None:
    bench = Bench()
    bench.keeping.breaks_after = 4
    bench.keeping.fault = ContinuationLost(CONTINUATION_LOST, "Back.", resumes_at=("resp_0", 1))
    run = bench.process()
    bench.keeping.heals = True
    assert await bench.deliver(run) == Ack()
    assert (await bench.ended()).answer == Answer(
        "One two three", "", "", (ToolCall(0, "call_1", "look", "{}"),)
    )
    assert (await bench.statuses())[1:4] == ["running", "pending continuation_lost", "running"]
    assert len(bench.keeping.by_key) == 1
    assert bench.keeping.releases == [True]
    assert bench.observer.lost_tokens == []


async def test_an_upstream_that_takes_back_without_end_costs_the_task_an_attempt() -> None:
    bench = Bench()
    bench.keeping.breaks_after = 4
    bench.keeping.fault = ContinuationLost(CONTINUATION_LOST, "Back.", resumes_at=("resp_0", 1))
    assert await bench.deliver() == Retry()
    task = await bench.record()
    assert (task.continuation, task.counted_attempts) == (None, 1)
    assert bench.keeping.streams == MAX_RESTARTS + 1
    assert bench.keeping.releases == [False]


async def test_an_attempt_that_goes_on_with_nothing_is_lost_with_its_answer() -> None:
    bench = Bench()
    bench.keeping.breaks_after = 2
    bench.keeping.fault = ContinuationLost(CONTINUATION_LOST, "Gone.")
    for outcome in (Retry(), Reject("incomplete")):
        assert await bench.deliver() == outcome
    assert await bench.statuses() == [
        "pending",
        "running",
        "pending incomplete",
        "running",
        "failed incomplete",
    ]
