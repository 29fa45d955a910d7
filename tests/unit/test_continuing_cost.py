"""What attempts that go on with an answer are charged."""

import pytest

from application.errors import LeaseLost, ModelUnavailable
from application.manage_task import CancelTask
from application.outcome import Ack, Reject, Retry
from application.ports import ForwardingTaskLog
from domain.attempt import Attempt
from domain.task import Change
from domain.tokens import estimate_tokens
from entrypoints.identity import SystemClock
from tests.builders import REQUEST
from tests.doubles.prefilled import Prefilled
from tests.unit.continuing_bench import LEASE, OWNER, TASK_ID, USAGE, Bench
from tests.waiting import until

SENT = REQUEST.tokens()
SAID = estimate_tokens("Let me see.", "One")
"""Before the fourth piece."""


async def test_a_kept_answer_is_charged_once() -> None:
    bench = Bench()
    bench.keeping.breaks_after = 3
    assert await bench.deliver() == Retry()
    assert await bench.charged() == SENT + SAID
    bench.keeping.breaks_after = None
    assert await bench.deliver() == Ack()
    assert await bench.charged() == USAGE.total_tokens


async def test_what_was_said_is_charged_if_the_last_attempt_is_lost() -> None:
    bench = Bench()
    bench.keeping.breaks_after = 3
    for outcome in (Retry(), Retry(), Reject("stream_broken")):
        assert await bench.deliver() == outcome
    assert await bench.charged() == SENT + SAID


async def test_what_was_said_is_charged_if_the_task_is_cancelled() -> None:
    bench = Bench()
    bench.keeping.holds_after = 3
    running = bench.delivering()
    await until(lambda: bench.keeping.held)
    await CancelTask(bench.tasks, bench.queue, SystemClock(), bench.after_end)(TASK_ID, OWNER)
    assert await running == Ack()
    assert await bench.charged() == SENT + SAID


async def test_a_worker_that_wakes_after_the_end_is_charged_for_nothing() -> None:
    bench = Bench()
    bench.keeping.holds_after = 3
    frozen = bench.delivering()
    await until(lambda: bench.keeping.held)
    bench.seconds += LEASE + 1
    bench.keeping.holds_after = None
    assert await bench.deliver() == Ack()
    bench.keeping.unheld.set()
    assert await frozen == Ack()
    assert await bench.charged() == USAGE.total_tokens


async def test_a_kept_answer_whose_end_could_not_be_written_is_charged_once() -> None:
    bench = Bench()

    class LapsedOnce(ForwardingTaskLog):
        lapsed = False

        async def commit(self, attempt: Attempt, change: Change) -> None:
            if not self.lapsed:
                self.lapsed = True
                bench.seconds += LEASE + 1
                raise LeaseLost
            await super().commit(attempt, change)

    assert await bench.deliver(bench.process(LapsedOnce(bench.tasks))) == Ack()
    assert bench.keeping.streams == 2
    assert await bench.charged() == USAGE.total_tokens


@pytest.mark.parametrize("answer_ended", [True, False])
async def test_an_answer_that_failed_upstream_is_charged_as_well_as_the_next(
    answer_ended: bool,
) -> None:
    bench = Bench()
    bench.keeping.breaks_after = 3
    bench.keeping.fault = ModelUnavailable("model_error", "No.", answer_ended=answer_ended)
    assert await bench.deliver() == Retry()
    bench.keeping.breaks_after = None
    assert await bench.deliver() == Ack()
    failed = SENT + SAID if answer_ended else 0
    assert await bench.charged() == failed + USAGE.total_tokens


async def test_every_call_is_charged_where_attempts_go_on_by_prefill() -> None:
    model = Prefilled()
    bench = Bench(model)
    model.breaks_after = 2
    assert await bench.deliver() == Retry()
    assert await bench.charged() == SENT + estimate_tokens("One two ")
    model.breaks_after = None
    assert await bench.deliver() == Ack()
    assert await bench.charged() == SENT + estimate_tokens("One two ") + 14
