"""Budgets that cut: a day's tokens of an owner or an address, and those of one request."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from adapters.live import Hub
from adapters.memory import MemoryTaskLog, MemoryUsageLedger
from application.accounts import Accounts, Limits
from application.errors import ModelUnavailable, StoreUnavailable
from application.meter import DAY_MS, Meter, MeteredTaskLog, day_of
from application.outcome import Ack, Outcome
from application.ports import Addition, Finished, Kept, Row, Tokens, UsageLedger
from domain.answer import Answer
from domain.events import TaskStatus, Usage
from domain.request import TaskRequest
from domain.task import Task
from domain.tokens import estimate_tokens
from tests.builders import NOW, begun, meter_of
from tests.doubles.model import Word
from tests.unit.run_task_bench import OWNER, TASK_ID, Bench
from tests.waiting import until, within

ASKED = 100
REQUEST = TaskRequest(model="asked", prompt="x" * ASKED * 4)
FORTY = "y" * 40 * 4
CHINESE = "今天天气很好。" * 10
KEY = f"key:{OWNER}"
DONE = Finished("stop", "answered", Usage(90, 30, 120, 10, 40))


class Day:
    """A clock in the middle of a day, which the test moves."""

    def __init__(self) -> None:
        self.at = 20_000 * DAY_MS + DAY_MS // 2

    def now(self) -> int:
        return self.at


class Budgeted:
    """A worker whose owner may use so many tokens a day. The test is the second hand."""

    def __init__(self, tokens: int | None = None, ledger: UsageLedger | None = None) -> None:
        self.clock = Day()
        self.ledger = ledger or MemoryUsageLedger(lambda: self.clock.at / 1000)
        accounts = Accounts(Limits(tokens=tokens), Limits())
        self.meter = Meter(self.ledger, accounts, self.clock)
        self.bench = Bench(meter=self.meter)

    async def rows(self) -> Sequence[Row]:
        await self.meter.flush()
        day = day_of(self.clock.at)
        return await self.ledger.rows([KEY], day - 5, day + 5)

    async def says(self, *items: Word, request: TaskRequest = REQUEST) -> asyncio.Task[Outcome]:
        """A delivery whose attempt has said this much."""
        running = self.bench.deliver(request=request)
        self.bench.model.say(*items)
        await self.bench.until_content(*[each for each in items if isinstance(each, str)])
        return running

    async def failure(self, running: asyncio.Task[Outcome]) -> tuple[str, str]:
        async with asyncio.timeout(within(5)):
            assert await running == Ack()
        task = await self.bench.tasks.get(TASK_ID)
        assert task.status is TaskStatus.FAILED
        assert task.failure is not None
        assert not task.failure.retryable
        return task.failure.code, task.failure.message


async def test_what_streams_is_counted_each_second_and_corrected_at_the_end() -> None:
    day = Budgeted()
    today = day_of(day.clock.at)
    running = await day.says(FORTY)
    assert await day.rows() == [Row(KEY, today, "asked", Tokens(ASKED, 0, 40), 0)]
    day.bench.model.say(CHINESE)
    await day.bench.until_content(FORTY, CHINESE)
    said = estimate_tokens(FORTY, CHINESE)
    assert await day.rows() == [Row(KEY, today, "asked", Tokens(ASKED, 0, said), 0)]
    day.bench.model.say(DONE)
    await running
    assert await day.rows() == [Row(KEY, today, "answered", Tokens(90, 40, 30, 10), 0)]
    assert day.bench.observer.used_tokens == [(Tokens(90, 40, 30, 10), "answered", True)]


async def test_an_attempt_over_the_days_tokens_is_cut_and_its_text_kept() -> None:
    day = Budgeted(tokens=ASKED + 50)
    running = await day.says(FORTY)
    await day.meter.flush()
    assert not running.done()
    day.bench.model.say(CHINESE)
    await day.bench.until_content(FORTY, CHINESE)
    await day.meter.flush()
    assert await day.failure(running) == (
        "budget_exceeded",
        "This used up the 150 tokens that this API key may use in a day.",
    )
    assert await day.bench.content() == [FORTY, CHINESE]
    assert day.bench.model.closed == 1
    cut = Tokens(ASKED, 0, estimate_tokens(FORTY, CHINESE))
    assert day.bench.observer.used_tokens == [(cut, "asked", False)]
    usage = (await day.bench.tasks.get(TASK_ID)).usage
    assert usage == Usage.estimate(cut.input, cut.output)
    assert await day.meter.used(KEY) == ASKED + estimate_tokens(FORTY, CHINESE)


async def test_what_other_instances_use_cuts_an_attempt_that_says_nothing() -> None:
    day = Budgeted(tokens=1_000)
    running = day.bench.deliver(request=REQUEST)
    await until(lambda: day.bench.model.asked == 1)
    await day.ledger.add([Addition(KEY, day_of(day.clock.at), "m", Tokens(output=901))])
    await day.meter.flush()
    assert (await day.failure(running))[0] == "budget_exceeded"


async def test_no_request_is_sent_for_which_the_rest_of_the_day_is_too_little() -> None:
    day = Budgeted(tokens=1_000)
    await day.ledger.add([Addition(KEY, day_of(day.clock.at), "m", Tokens(output=901))])
    assert await day.failure(day.bench.deliver(request=REQUEST)) == (
        "budget_exceeded",
        "Only 99 are left of the 1000 tokens that this API key may use in a day: too few for this "
        "request.",
    )
    assert day.bench.model.asked == 0
    assert (await day.bench.tasks.get(TASK_ID)).usage is None
    assert await day.meter.used(KEY) == 901


async def test_of_attempts_that_begin_at_once_the_day_has_room_for_those_that_are_sent() -> None:
    day = Budgeted(tokens=ASKED * 3)
    task = Task.submit(TASK_ID, REQUEST, NOW, owner=OWNER).task
    counts = [day.meter.count(task, None) for _ in range(9)]
    opened = await asyncio.gather(
        *(day.meter.open(each, Tokens, Tokens(ASKED)) for each in counts), return_exceptions=True
    )
    assert opened.count(None) == 3
    for each in counts[:3]:  # none of which was billed after all
        day.meter.close(each, Tokens(), REQUEST.model, Tokens())
    assert await day.meter.used(KEY) == 0


async def test_the_next_day_has_tokens_again_and_each_day_keeps_its_own() -> None:
    day = Budgeted(tokens=ASKED + 50)
    running = await day.says(FORTY)
    await day.meter.flush()
    today = day_of(day.clock.at)
    assert day.meter.until_midnight() == pytest.approx(DAY_MS / 2000)
    day.clock.at += DAY_MS
    day.bench.model.say(FORTY)
    await day.bench.until_content(FORTY, FORTY)
    assert await day.rows() == [
        Row(KEY, today, "asked", Tokens(ASKED, 0, 40), 0),
        Row(KEY, today + 1, "asked", Tokens(0, 0, 40), 0),
    ]
    day.bench.model.say(DONE)
    await running
    rows = await day.rows()
    assert {row.model for row in rows} == {"answered"}
    assert sum(row.tokens.total for row in rows) == 120


@pytest.mark.parametrize("tokens", [ASKED + 39, ASKED - 1])
async def test_a_request_has_a_budget_of_its_own(tokens: int) -> None:
    day = Budgeted()
    request = replace(REQUEST, budget_tokens=tokens)
    if tokens < ASKED:
        running = day.bench.deliver(request=request)
    else:
        running = await day.says(FORTY, request=request)
        await day.meter.flush()
    assert await day.failure(running) == (
        "budget_exceeded",
        f"The task has used the {tokens} tokens of its budget.",
    )
    assert day.bench.model.asked == (tokens > ASKED)


async def test_a_budget_counts_all_attempts_of_a_task() -> None:
    day = Budgeted()
    request = replace(REQUEST, budget_tokens=2 * (ASKED + 40) - 1)
    await (await day.says(FORTY, ModelUnavailable("connection_lost", "Broke."), request=request))
    running = day.bench.deliver(request=request)
    await until(lambda: day.bench.model.asked == 2)
    await day.meter.flush()
    day.bench.model.say(FORTY)
    await day.bench.until_content(FORTY, FORTY)
    await day.meter.flush()
    assert (await day.failure(running))[0] == "budget_exceeded"


async def test_each_task_counts_once_for_the_model_that_answered() -> None:
    day = Budgeted()
    tasks = MeteredTaskLog(MemoryTaskLog(Hub(), 60.0), day.meter)
    attempt = await begun(tasks)
    await tasks.commit(attempt, attempt.task.requeue(NOW, "connection_lost"))
    await tasks.cancel(attempt.task.id, NOW)
    attempt = await begun(tasks)
    done = attempt.task.complete(
        NOW, answer=Answer(""), finish_reason="stop", model="answered", usage=None
    )
    await tasks.commit(attempt, done)
    await day.meter.flush()
    today = day_of(day.clock.at)
    rows = await day.ledger.rows(["all"], today, today)
    assert [(row.model, row.tasks) for row in rows] == [("answered", 1), ("m", 1)]


class Away(MemoryUsageLedger):
    """Cannot be reached until it is told so."""

    away = True

    async def add(self, additions: Sequence[Addition]) -> Sequence[int]:
        if self.away:
            raise StoreUnavailable("away")
        return await super().add(additions)

    async def used(self, account: str, day: int) -> int:
        if self.away:
            raise StoreUnavailable("away")
        return await super().used(account, day)


async def test_while_the_ledger_is_away_attempts_go_on_and_nothing_is_lost() -> None:
    ledger = Away()
    day = Budgeted(tokens=ASKED + 10, ledger=ledger)
    running = await day.says(FORTY)
    for _ in range(3):
        await day.meter.flush()
    assert not running.done()
    ledger.away = False
    await day.meter.flush()
    assert (await day.failure(running))[0] == "budget_exceeded"
    assert await day.meter.used(KEY) == ASKED + 40


async def test_an_address_is_counted_only_if_its_tokens_are_limited() -> None:
    counted = []
    for limits in (Limits(running=5), Limits(tokens=5)):
        ledger = MemoryUsageLedger()
        meter = meter_of(Accounts(Limits(), limits), ledger)
        task = Task.submit(TASK_ID, REQUEST, NOW, origin="10.0.0.1").task
        count = meter.count(task, None)
        meter.close(count, Tokens(3), "m", Tokens())
        await meter.flush()
        counted.append(await meter.used("address:10.0.0.1"))
    assert counted == [0, 3]


async def test_a_kept_answer_is_released_when_it_is_cut() -> None:
    day = Budgeted(tokens=ASKED + 10)
    day.bench.model.kept_by = "upstream"
    running = await day.says(Kept("resp_1"), FORTY)
    await day.meter.flush()
    assert (await day.failure(running))[0] == "budget_exceeded"
    assert day.bench.model.released == [("resp_1", False)]
