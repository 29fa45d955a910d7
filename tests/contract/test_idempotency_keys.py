"""What every IdempotencyKeys adapter promises (application/ports/idempotency_keys.py)."""

import asyncio
import secrets

import pytest

from application.ports import ABANDONED_AFTER, Binding, IdempotencyKeys
from tests.contract.stores import Store
from tests.waiting import within


@pytest.fixture
def keys(store: Store) -> IdempotencyKeys:
    return store.keys


@pytest.fixture
def key() -> str:
    """No other test's."""
    return f"a key of any text\n{secrets.token_hex(6)}"


def _what(binding: Binding) -> tuple[str, str]:
    return binding.fingerprint, binding.task_id


async def test_a_key_is_bound_to_the_task_that_comes_first(keys: IdempotencyKeys, key: str) -> None:
    first, second = await asyncio.gather(
        keys.bind(key, "print", "task_a"), keys.bind(key, "print", "task_b")
    )
    assert _what(first) == _what(second)
    assert _what(first) in {("print", "task_a"), ("print", "task_b")}
    assert _what(await keys.bind(key, "other", "task_c")) == _what(first)


async def test_a_binding_grows_older_and_stays_the_same(keys: IdempotencyKeys, key: str) -> None:
    first = await keys.bind(key, "print", "task_a")
    assert 0 <= first.age < 5
    async with asyncio.timeout(within(5)):
        while (again := await keys.bind(key, "print", "task_b")).age < 0.05:
            await asyncio.sleep(0.01)
    assert again.since == first.since
    assert not again.abandoned
    assert Binding("print", "task_a", first.since, ABANDONED_AFTER + 0.1).abandoned


async def test_of_many_that_take_a_key_over_exactly_one_does(
    keys: IdempotencyKeys, key: str
) -> None:
    old = await keys.bind(key, "print", "task_old")
    names = [f"task_{n}" for n in range(20)]
    taken = await asyncio.gather(
        *(keys.bind(key, f"print-{name}", name, instead_of=old) for name in names)
    )
    assert len({_what(each) for each in taken}) == 1
    winner = taken[0].task_id
    assert _what(await keys.bind(key, "print", "task_late")) == (f"print-{winner}", winner)


async def test_a_confirmed_binding_is_not_taken_over(keys: IdempotencyKeys, key: str) -> None:
    """Confirming is taking over from oneself: it and a takeover exclude each other."""
    seen = await keys.bind(key, "print", "task_a")
    async with asyncio.timeout(within(5)):
        while (await keys.bind(key, "print", "task_b")).age < 0.01:
            await asyncio.sleep(0.01)
    confirmed = await keys.bind(key, "print", "task_a", instead_of=seen)
    assert confirmed.task_id == "task_a"
    assert (await keys.bind(key, "print", "task_b", instead_of=seen)).task_id == "task_a"
    taken = await keys.bind(key, "print", "task_b", instead_of=confirmed)
    assert taken.task_id == "task_b"
    assert (await keys.bind(key, "print", "task_a", instead_of=confirmed)).task_id == "task_b"


async def test_only_the_task_that_holds_a_key_frees_it(keys: IdempotencyKeys, key: str) -> None:
    await keys.bind(key, "print", "task_a")
    for other in ("task_b", "task_", "task", "print"):
        await keys.release(key, other)
    assert (await keys.bind(key, "other", "task_b")).task_id == "task_a"
    await keys.release(key, "task_a")
    await keys.release(key, "task_a")
    assert _what(await keys.bind(key, "other", "task_b")) == ("other", "task_b")


async def test_a_key_that_is_free_is_bound_whatever_was_seen(
    keys: IdempotencyKeys, key: str
) -> None:
    seen = await keys.bind(key, "print", "task_a")
    await keys.release(key, "task_a")
    assert (await keys.bind(key, "print", "task_b", instead_of=seen)).task_id == "task_b"
