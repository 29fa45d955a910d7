"""RunTask beside a model that the test drives piece by piece, on the memory store: how pieces get
into the log, and what each way of ending leads to."""

import asyncio

import pytest

from application.errors import ModelUnavailable, UnreadableTask
from application.outcome import Ack, Overloaded, Reject, Retry
from application.run_task import OVERLOADED_RETRY_AFTER
from application.transcript import EVENT_LIMIT
from domain.attempt import Attempt
from domain.events import StatusChanged, TaskStatus, fold
from domain.failure import MAX_INTERRUPTIONS, RESTARTED_TOO_OFTEN, Failure
from domain.task import Task
from tests.builders import REQUEST
from tests.unit.run_task_bench import FINISHED, TASK_ID, Bench
from tests.waiting import within


async def test_idle_every_piece_is_an_event_at_once() -> None:
    bench = Bench()
    running = bench.deliver()
    for said in (["a"], ["a", "b"], ["a", "b", "c"]):
        bench.model.say(said[-1])
        await bench.until_content(*said)
    bench.model.say(FINISHED)
    assert await running == Ack()
    folded = fold(await bench.events())
    assert (folded.answer.text, folded.closed) == ("abc", True)


async def test_a_slow_log_pauses_the_model() -> None:
    """What it says meanwhile waits in its connection."""
    bench = Bench()
    bench.tasks.open.clear()
    running = bench.deliver()
    bench.model.say("first", "second", FINISHED)
    await bench.tasks.appending.wait()
    for _ in range(50):
        await asyncio.sleep(0)
    assert bench.model.taken == 1
    bench.tasks.open.set()
    assert await running == Ack()
    assert await bench.content() == ["first", "second"]


async def test_a_store_that_comes_back_costs_no_attempt() -> None:
    bench = Bench()
    running = bench.deliver()
    bench.model.say("a")
    await bench.until_content("a")
    bench.tasks.away = True
    bench.model.say("b", FINISHED)
    await bench.tasks.refused.wait()
    bench.tasks.away = False
    assert await running == Ack()
    assert "".join(await bench.content()) == "ab"


async def test_a_store_that_stays_away_costs_the_attempt() -> None:
    bench = Bench(lease=0.3)
    running = bench.deliver()
    bench.model.say("a")
    await bench.until_content("a")
    bench.tasks.away = True
    bench.model.say("b")
    assert await running == Retry()
    assert bench.model.closed == 1


async def test_a_bug_loses_the_attempt_but_not_the_task() -> None:
    bench = Bench()
    running = bench.deliver()
    bench.model.say("a", ZeroDivisionError())
    assert await running == Retry()
    last = (await bench.events())[-1]
    assert isinstance(last, StatusChanged)
    assert (last.status, last.reason) == (TaskStatus.PENDING, "internal_error")
    running = bench.deliver(max_attempts=2)
    bench.model.say(ZeroDivisionError())
    assert await running == Reject("internal_error")


async def test_an_answer_that_never_finishes_is_lost() -> None:
    bench = Bench()
    bench.model.say("a", ModelUnavailable("incomplete", "Broke off.", 2.5))
    assert await bench.deliver() == Retry(2.5)


async def test_stopping_requeues_the_task() -> None:
    bench = Bench()
    running = bench.deliver()
    bench.model.say("a")
    await bench.until_content("a")
    bench.feed.close()  # streams and attempts are told to end in one go, in any order
    bench.run.stop()
    assert await running == Retry()
    assert bench.model.closed == 1
    last = (await bench.events())[-1]
    assert isinstance(last, StatusChanged)
    assert (last.status, last.reason) == (TaskStatus.PENDING, "shutting_down")
    assert isinstance(await bench.tasks.claim(TASK_ID, 1.0, 2), Attempt)
    assert await bench.deliver() == Retry()


async def test_a_stop_costs_no_attempt() -> None:
    bench = Bench()
    await bench.stopped()
    bench.model.say(ModelUnavailable("model_error", "It failed."))
    assert await bench.deliver(max_attempts=2) == Retry()
    bench.model.say(ModelUnavailable("model_error", "It failed."))
    assert await bench.deliver(max_attempts=2) == Reject("model_error")
    assert (await bench.tasks.get(TASK_ID)).attempt == 3


async def test_a_stop_in_each_of_many_attempts_fails_the_task() -> None:
    bench = Bench()
    for _ in range(MAX_INTERRUPTIONS):
        assert await bench.stopped() == Retry()
    assert await bench.stopped() == Reject("restarted_too_often")
    task = await bench.tasks.get(TASK_ID)
    assert (task.attempt, task.failure) == (MAX_INTERRUPTIONS + 1, RESTARTED_TOO_OFTEN)
    assert fold(await bench.events()).closed


async def test_what_ends_within_the_grace_is_kept() -> None:
    bench = Bench(grace=30.0)
    running = bench.deliver()
    bench.model.say("a")
    await bench.until_content("a")
    bench.feed.close()
    bench.run.stop()
    assert await bench.deliver(task_id="task_1_b") == Retry()
    bench.model.say("b", FINISHED)
    assert await running == Ack()
    assert fold(await bench.events()).answer.text == "ab"


async def test_a_second_stop_ends_the_grace() -> None:
    bench = Bench(grace=600.0)
    running = bench.deliver()
    bench.model.say("a")
    await bench.until_content("a")
    bench.run.stop()
    bench.run.stop()
    assert await running == Retry()
    last = (await bench.events())[-1]
    assert isinstance(last, StatusChanged)
    assert (last.status, last.reason) == (TaskStatus.PENDING, "shutting_down")


async def test_stopping_is_over_once_nothing_runs() -> None:
    bench = Bench(grace=30.0)
    await bench.run.drained()
    running = bench.deliver()
    bench.model.say("a")
    await bench.until_content("a")
    bench.run.stop()
    drained = asyncio.create_task(bench.run.drained())
    await asyncio.sleep(0)
    assert not drained.done()
    bench.model.say(FINISHED)
    assert await running == Ack()
    await drained


async def test_there_is_room_for_so_many_deliveries() -> None:
    bench = Bench(max_concurrent_deliveries=1)
    running = bench.deliver()
    bench.model.say("a")
    await bench.until_content("a")
    assert await bench.deliver(task_id="task_1_b") == Overloaded(OVERLOADED_RETRY_AFTER)
    bench.model.say(FINISHED)
    assert await running == Ack()
    bench.model.say(FINISHED)
    assert await bench.deliver(task_id="task_1_b") == Ack()


async def test_an_answer_without_end_is_cut() -> None:
    bench = Bench(max_output_chars=100)
    running = bench.deliver()
    bench.model.say("x" * 100)
    await bench.until_content("x" * 100)
    bench.model.say("y")
    assert await running == Reject("answer_too_long")
    assert bench.model.closed == 1
    task = await bench.tasks.get(TASK_ID)
    assert task.failure == Failure(
        "answer_too_long", "The answer is longer than 100 characters.", False
    )


async def test_a_large_piece_becomes_events_of_a_bounded_size() -> None:
    bench = Bench()
    bench.model.say("x" * EVENT_LIMIT + "y", FINISHED)
    assert await bench.deliver() == Ack()
    assert await bench.content() == ["x" * EVENT_LIMIT, "y"]


async def test_a_cancellation_that_the_missed_events_ends_the_attempt_when_it_is_told() -> None:
    bench = Bench(lease=600.0)
    running = bench.deliver()
    bench.model.say("a")
    await bench.until_content("a")
    publish, bench.feed.publish = bench.feed.publish, lambda *_: None  # type: ignore[method-assign]
    await bench.tasks.cancel(TASK_ID, 2)
    bench.feed.publish = publish  # type: ignore[method-assign]
    bench.feed.missed(TASK_ID)
    assert await asyncio.wait_for(running, within(5)) == Ack()
    assert bench.model.closed == 1


async def test_a_cancelled_delivery_requeues_the_task() -> None:
    bench = Bench()
    running = bench.deliver()
    bench.model.say("a")
    await bench.until_content("a")
    running.cancel()
    await asyncio.wait({running})
    assert running.cancelled()
    assert (await bench.tasks.get(TASK_ID)).status is TaskStatus.PENDING


async def test_a_cancellation_closes_the_model_at_once() -> None:
    bench = Bench()
    running = bench.deliver()
    bench.model.say("a")
    await bench.until_content("a")
    await bench.tasks.cancel(TASK_ID, 2)
    assert await running == Ack()
    assert bench.model.closed == 1


async def test_a_quiet_model_keeps_its_lease() -> None:
    bench = Bench(lease=0.15)
    running = bench.deliver()
    bench.model.say("a")
    await bench.until_content("a")
    # A standby that would take over as soon as the lease lapsed, through several leases of quiet.
    standby = bench.deliver()
    done, _ = await asyncio.wait({running, standby}, timeout=0.6)
    assert not done
    bench.model.say("b", FINISHED)
    assert await running == Ack()
    assert await standby == Ack()
    assert (await bench.tasks.get(TASK_ID)).attempt == 1


async def test_a_standby_takes_over_when_the_lease_lapses() -> None:
    bench = Bench()
    await bench.tasks.create(Task.submit(TASK_ID, REQUEST, 1))
    dead = await bench.tasks.claim(TASK_ID, 0.1, 1)
    assert isinstance(dead, Attempt)
    bench.model.say("alive", FINISHED)
    assert await asyncio.wait_for(bench.deliver(), 5) == Ack()
    task = await bench.tasks.get(TASK_ID)
    assert (task.attempt, task.status) == (2, TaskStatus.COMPLETED)


async def test_a_task_that_this_instance_cannot_read_is_delivered_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bench = Bench()

    async def claim(*_: object) -> None:
        raise UnreadableTask(TASK_ID, "of another version")

    monkeypatch.setattr(bench.tasks, "claim", claim)
    outcome = await bench.deliver()
    assert isinstance(outcome, Retry)
    assert outcome.retry_after is not None


async def test_an_attempt_that_is_lost_as_it_ends_does_not_cancel_the_next_one() -> None:
    """The feed tells of the loss in the turn of the event loop in which the model finishes."""
    bench = Bench()
    running = bench.deliver()
    bench.model.say("a")
    await bench.until_content("a")
    log = bench.tasks._entries[TASK_ID]
    log.task = log.task.requeue(2, "lease_lapsed").task
    bench.feed.missed(TASK_ID)
    bench.model.say(FINISHED)
    bench.model.say("b", FINISHED)
    assert await running == Ack()
    assert bench.model.asked == 2
    assert (await bench.tasks.get(TASK_ID)).attempt == 2
