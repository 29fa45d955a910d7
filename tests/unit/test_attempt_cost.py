"""What an attempt is charged: what was sent and said, however it ended, unless the model's server
refused it before any work."""

import asyncio

import pytest

from application.accounts import Accounts, Limits
from application.errors import ModelRefused, ModelUnavailable
from application.outcome import Outcome
from application.ports import Finished
from domain.events import Usage
from domain.request import TaskRequest
from tests.builders import meter_of
from tests.unit.run_task_bench import FINISHED, OWNER, TASK_ID, Bench
from tests.waiting import within

SENT = 1_000
"""Tokens, as they are estimated."""
REQUEST = TaskRequest(model="m", max_tokens=10, temperature=0.5, prompt="x" * SENT * 4)


class Charged:
    """A bench whose meter counts, and a running attempt of it."""

    def __init__(self, *, read_timeout: float = 60.0, max_output_chars: int = 1_000_000) -> None:
        self.meter = meter_of(Accounts(Limits(tokens=10_000_000), Limits()))
        self.bench = Bench(
            meter=self.meter, read_timeout=read_timeout, max_output_chars=max_output_chars
        )
        self.running = self.bench.deliver(request=REQUEST)

    async def tokens(self) -> int:
        """Once the delivery is over."""
        await asyncio.wait_for(asyncio.wait({self.running}), within(10))
        return await self.meter.used(f"key:{OWNER}")


async def asked(charged: Charged) -> None:
    async with asyncio.timeout(within(10)):
        while not charged.bench.model.asked:
            await asyncio.sleep(0)


async def test_an_attempt_that_is_cancelled_before_its_first_piece_is_charged_what_was_sent() -> (
    None
):
    charged = Charged()
    await asked(charged)
    await charged.bench.tasks.cancel(TASK_ID, 2)
    assert await charged.tokens() == SENT


async def test_one_that_is_stopped() -> None:
    charged = Charged()
    await asked(charged)
    charged.bench.run.stop()
    assert await charged.tokens() == SENT


async def test_one_whose_delivery_is_torn_down() -> None:
    charged = Charged()
    await asked(charged)
    charged.running.cancel()
    assert await charged.tokens() == SENT


async def test_one_without_a_piece_for_the_read_timeout() -> None:
    assert await Charged(read_timeout=0.05).tokens() == SENT


@pytest.mark.parametrize(
    "fault",
    [
        ModelUnavailable("connection_lost", "Broke."),
        ModelRefused("content_refused", "No."),
        ZeroDivisionError(),
    ],
)
async def test_one_that_a_fault_ended(fault: Exception) -> None:
    charged = Charged()
    charged.bench.model.say(fault)
    assert await charged.tokens() == SENT


async def test_one_whose_answer_is_too_long_is_charged_that_too() -> None:
    charged = Charged(max_output_chars=400)
    charged.bench.model.say("y" * 4_000)
    assert await charged.tokens() == SENT + 1_000


@pytest.mark.parametrize(
    "fault",
    [
        ModelUnavailable("rate_limited", "Slower.", unbilled=True),
        ModelRefused("invalid_api_key", "No.", unbilled=True),
    ],
)
async def test_a_refusal_before_any_work_costs_nothing_but_only_before(
    fault: ModelUnavailable | ModelRefused,
) -> None:
    charged = Charged()
    charged.bench.model.say(fault)
    assert await charged.tokens() == 0
    charged = Charged()
    charged.bench.model.say("", fault)
    assert await charged.tokens() == SENT


async def test_what_the_model_counted_is_charged_instead() -> None:
    charged = Charged()
    charged.bench.model.say("a", Finished("stop", "m-1", Usage(3, 5, 8)))
    assert await charged.tokens() == 8
    charged = Charged()
    charged.bench.model.say("y" * 400, FINISHED)
    assert await charged.tokens() == SENT + 100


async def test_every_attempt_is_charged() -> None:
    charged = Charged()
    charged.bench.model.say(ModelUnavailable("connection_lost", "Broke."))
    assert await charged.tokens() == SENT
    outcome: asyncio.Task[Outcome] = charged.bench.deliver(request=REQUEST)
    charged.bench.model.say(FINISHED)
    await outcome
    assert await charged.tokens() == 2 * SENT
