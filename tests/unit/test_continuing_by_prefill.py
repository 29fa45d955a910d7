"""Attempts go on with a text that is not finished, where the model can go on from it (prefill)."""

from dataclasses import replace

import pytest

from application.outcome import Ack, Reject, Retry
from domain.answer import Answer
from domain.events import Usage, answer_of
from domain.tokens import estimate_tokens
from tests.builders import REQUEST
from tests.doubles.prefilled import WHOLE, WORDS, Prefilled
from tests.unit.continuing_bench import LEASE, TASK_ID, Bench
from tests.unit.webhook_bench import Died, Mortal


@pytest.fixture
def model() -> Prefilled:
    return Prefilled()


@pytest.fixture
def bench(model: Prefilled) -> Bench:
    return Bench(model)


async def test_the_next_attempt_goes_on_from_the_text_so_far(
    model: Prefilled, bench: Bench
) -> None:
    model.breaks_after = 2
    assert await bench.deliver() == Retry()
    assert (await bench.record()).counted_attempts == 0
    model.breaks_after = None
    assert await bench.deliver() == Ack()
    assert model.given == ["", "One two "]
    assert (await bench.ended()).answer == Answer(WHOLE)
    assert await bench.retractions() == 0
    assert bench.observer.resumptions == [("prefill", 2)]


async def test_usage_adds_up_over_the_attempts(model: Prefilled, bench: Bench) -> None:
    for event in (1, 3):
        model.breaks_after = event
        assert await bench.deliver() == Retry()
    model.breaks_after = None
    assert await bench.deliver() == Ack()
    asked, first, second = REQUEST.tokens(), estimate_tokens("One "), estimate_tokens(WHOLE[:14])
    before = Usage.estimate(2 * asked + first, second)
    assert (await bench.ended()).usage == Usage(
        before.prompt_tokens + 13,
        before.completion_tokens + 1,
        before.total_tokens + 14,
        estimated=True,
    )


async def test_usage_that_the_model_never_tells_counts_each_text_once(
    model: Prefilled, bench: Bench
) -> None:
    model.reports = False
    model.breaks_after = 2
    assert await bench.deliver() == Retry()
    model.breaks_after = None
    assert await bench.deliver() == Ack()
    usage = (await bench.ended()).usage
    assert usage is not None
    assert usage.completion_tokens == estimate_tokens(WHOLE)
    assert usage.prompt_tokens == 2 * REQUEST.tokens() + estimate_tokens("One two ")


async def test_an_attempt_that_adds_nothing_counts(model: Prefilled, bench: Bench) -> None:
    model.breaks_after = 2
    assert await bench.deliver() == Retry()
    assert await bench.deliver() == Retry()
    assert await bench.deliver() == Reject("connection_lost")
    assert model.given == ["", "One two ", "One two "]


@pytest.mark.parametrize("can_go_on", [True, False])
async def test_a_model_that_cannot_go_on_begins_anew(
    model: Prefilled, bench: Bench, can_go_on: bool
) -> None:
    model.can_go_on, model.refuses = can_go_on, True
    model.breaks_after = 2
    assert await bench.deliver() == Retry()
    model.breaks_after = None
    assert await bench.deliver() == Ack()
    assert model.given == (["", "One two ", ""] if can_go_on else ["", ""])
    assert (await bench.ended()).answer == Answer(WHOLE)
    assert (await bench.statuses()).count("pending continuation_lost") == can_go_on
    assert bench.observer.lost_tokens == [2]


async def test_a_server_that_refuses_prefill_is_asked_no_more_often_than_attempts_are_allowed(
    model: Prefilled, bench: Bench
) -> None:
    model.can_go_on = model.refuses = True
    model.breaks_after = 2
    for outcome in (Retry(), Retry(), Reject("incomplete")):
        assert await bench.deliver() == outcome
    assert model.given.count("") == 2


async def test_a_log_that_lost_its_beginning_is_not_said_again(
    model: Prefilled, bench: Bench
) -> None:
    model.breaks_after = 0
    for _ in range(3):
        assert await bench.deliver(max_attempts=9) == Retry()
    model.breaks_after = 2
    assert await bench.deliver(max_attempts=9) == Retry()
    entry = bench.memory._entries[TASK_ID]
    del entry.events[:-4]  # the store has evicted what was before the fourth attempt
    model.breaks_after = None
    assert await bench.deliver(max_attempts=9) == Ack()
    assert entry.task.finish_reason == "stop"
    assert answer_of(await bench.events()) == Answer(WHOLE)


async def test_the_bound_of_an_answer_counts_what_was_taken_over(
    model: Prefilled, bench: Bench
) -> None:
    bench.bounds = replace(bench.bounds, max_output_chars=len(WHOLE) - 1)
    model.breaks_after = 2
    assert await bench.deliver() == Retry()
    model.breaks_after = None
    assert await bench.deliver() == Reject("answer_too_long")


async def test_wherever_its_process_is_killed_nothing_is_taken_back(model: Prefilled) -> None:
    step, killed = 0, True
    while killed:
        bench = Bench(model)
        try:
            await bench.delivering(bench.process(Mortal(bench.tasks, [], step)))
            killed = False
        except (Died, BaseExceptionGroup):
            bench.seconds += LEASE + 1
        assert await bench.deliver() == Ack()
        assert (await bench.ended()).answer == Answer(WHOLE)
        # An attempt without a word is followed by one that begins anew: that takes nothing back.
        assert bench.observer.lost_tokens == []
        step += 1
    assert step > 2 * len(WORDS)
