"""What every UsageLedger adapter promises."""

import asyncio
import secrets
import time

import pytest

from application.ports import Addition, Row, Tokens, UsageLedger
from application.ports.usage import LARGEST, MODEL_CHARS, MODELS_LIMIT, OTHER
from tests.contract.stores import Store

TODAY = int(time.time()) // 86_400
SOME = Tokens(input=100, cached=40, output=20, reasoning=5)


@pytest.fixture
def ledger(store: Store) -> UsageLedger:
    return store.ledger


@pytest.fixture
def account() -> str:
    """No other test's."""
    return f"key:{secrets.token_hex(4)}"


async def test_what_is_added_adds_up_by_day_and_by_model(ledger: UsageLedger, account: str) -> None:
    yesterday = TODAY - 1
    used = await ledger.add(
        [
            Addition(account, TODAY, "b|c", SOME, tasks=1),
            Addition(account, TODAY, "a", SOME),
            Addition(account, yesterday, "a", SOME, tasks=1),
            Addition(account, TODAY, "a", SOME, tasks=1),
        ]
    )
    assert list(used) == [120, 240, 120, 360]
    assert await ledger.used(account, TODAY) == 360
    assert await ledger.rows([account], yesterday, TODAY) == [
        Row(account, yesterday, "a", SOME, 1),
        Row(account, TODAY, "a", SOME + SOME, 1),
        Row(account, TODAY, "b|c", SOME, 1),
    ]
    assert await ledger.rows([account], TODAY + 1, TODAY + 2) == []


async def test_nothing_to_add_and_an_account_without_use(ledger: UsageLedger, account: str) -> None:
    assert list(await ledger.add([])) == []
    assert await ledger.used(account, TODAY) == 0
    assert await ledger.rows([account], TODAY - 90, TODAY) == []
    assert await ledger.rows([], TODAY - 90, TODAY) == []


async def test_an_estimate_is_taken_back_and_leaves_no_row(
    ledger: UsageLedger, account: str
) -> None:
    await ledger.add([Addition(account, TODAY, "asked", SOME)])
    used = await ledger.add(
        [
            Addition(account, TODAY, "asked", -SOME),
            Addition(account, TODAY, "answered", Tokens(7, 0, 3, 0), tasks=1),
        ]
    )
    assert list(used) == [0, 10]
    assert await ledger.rows([account], TODAY, TODAY) == [
        Row(account, TODAY, "answered", Tokens(7, 0, 3, 0), 1)
    ]


async def test_no_number_falls_below_zero(ledger: UsageLedger, account: str) -> None:
    await ledger.add([Addition(account, TODAY, "a", Tokens(10, 0, 10, 0))])
    used = await ledger.add([Addition(account, TODAY, "b", Tokens(-5, -5, -5, -5))])
    assert list(used) == [20]
    used = await ledger.add([Addition(account, TODAY, "a", Tokens(-50, 0, -3, 0))])
    assert list(used) == [7]
    assert list(await ledger.add([Addition(account, TODAY, "a", Tokens(1))])) == [8]
    assert [each.tokens for each in await ledger.rows([account], TODAY, TODAY)] == [
        Tokens(1, 0, 7, 0)
    ]


async def test_operators_see_all_owners_and_no_address(ledger: UsageLedger, account: str) -> None:
    other, address = f"{account}-2", f"address:{account}"
    used = await ledger.add(
        [Addition(each, TODAY, "m", SOME) for each in (account, other, "all", address, address)]
    )
    assert list(used)[3:] == [120, 240]
    assert await ledger.used(address, TODAY) == 240
    accounts = {row.account for row in await ledger.rows(None, TODAY, TODAY)}
    assert {account, other, "all"} <= accounts
    assert address not in accounts
    assert await ledger.rows([address], TODAY, TODAY) == []
    of_two = await ledger.rows([other, account], TODAY, TODAY)
    assert [row.account for row in of_two] == [account, other]


async def test_of_many_models_the_last_ones_are_others(ledger: UsageLedger, account: str) -> None:
    names = [f"m{number:03}" for number in range(MODELS_LIMIT + 3)]
    one = Tokens(output=1)
    await ledger.add([Addition(account, TODAY, name, one) for name in names])
    await ledger.add([Addition(account, TODAY, name, one) for name in names])
    rows = {row.model: row.tokens.output for row in await ledger.rows([account], TODAY, TODAY)}
    assert rows.pop(OTHER) == 6
    assert rows == dict.fromkeys(names[:MODELS_LIMIT], 2)
    assert await ledger.used(account, TODAY) == 2 * len(names)


async def test_names_and_amounts_of_any_kind_are_kept_within_bounds(
    ledger: UsageLedger, account: str
) -> None:
    names = ["", "模型 🙂\n|i|", "\ud800", "x" * 1000]
    await ledger.add([Addition(account, TODAY, name, Tokens(10**30, 0, 1, 0)) for name in names])
    rows = await ledger.rows([account], TODAY, TODAY)
    assert {row.model for row in rows} == {OTHER, "模型 🙂\n|i|", "?", "x" * MODEL_CHARS}
    assert {row.tokens for row in rows} == {Tokens(LARGEST, 0, 1, 0)}
    assert await ledger.used(account, TODAY) == 4 * LARGEST + 4


async def test_what_comes_at_once_is_not_lost(ledger: UsageLedger, account: str) -> None:
    one = [Addition(account, TODAY, "m", SOME, tasks=1)] * 5
    await asyncio.gather(*(ledger.add(one) for _ in range(20)))
    assert await ledger.used(account, TODAY) == 100 * SOME.total
    (row,) = await ledger.rows([account], TODAY, TODAY)
    assert (row.tasks, row.tokens.cached) == (100, 100 * SOME.cached)
