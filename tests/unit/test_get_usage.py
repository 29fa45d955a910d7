"""GetUsage: what a report may hold. (What it says is tested end to end.)"""

import asyncio

import pytest

from adapters.memory import MemoryUsageLedger
from application import get_usage
from application.get_usage import GetUsage, UsageQuery
from application.ports import Addition, Tokens
from domain.errors import InvalidRequest
from domain.prices import NO_PRICES

TODAY = 20_000


async def test_a_report_that_would_be_too_long_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(get_usage, "ROWS_LIMIT", 20)
    ledger = MemoryUsageLedger(lambda: TODAY * 86_400.0)
    days = [TODAY - each for each in range(3)]
    await ledger.add(
        [Addition(f"key:{owner}", day, "m", Tokens(1, 0, 1)) for owner in range(7) for day in days]
    )
    usage = GetUsage(ledger, NO_PRICES, ["operator"])
    with pytest.raises(InvalidRequest, match="more than 20 rows"):
        await usage("operator", UsageQuery(TODAY - 90, TODAY, ["day", "owner"]))
    report = await usage("operator", UsageQuery(TODAY - 90, TODAY, ["owner"]))
    assert len(report.rows) == 7
    assert report.total.tokens.total == 42


async def test_a_long_report_leaves_the_event_loop_to_others() -> None:
    ledger = MemoryUsageLedger(lambda: TODAY * 86_400.0)
    await ledger.add([Addition(f"key:{each}", TODAY, "m", Tokens(1)) for each in range(3_000)])
    usage = GetUsage(ledger, NO_PRICES, ["operator"])
    asked = usage("operator", UsageQuery(TODAY, TODAY, ["owner"]))
    reporting, turns = asyncio.create_task(asked), 0
    while not reporting.done():
        await asyncio.sleep(0)
        turns += 1
    assert len(reporting.result().rows) == 3_000
    assert turns >= 2 * 3_000 / get_usage.ROWS_AT_ONCE
