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


async def test_a_binding_is_found_without_being_changed(keys: IdempotencyKeys, key: str) -> None:
    assert await keys.find(key) is None
    bound = await keys.bind(key, "print", "task_a")
    async with asyncio.timeout(within(5)):
        while (found := await keys.find(key)) is not None and found.age < 0.05:
            await asyncio.sleep(0.01)
    assert found is not None
    assert (_what(found), found.since) == (_what(bound), bound.since)
    taken = await keys.bind(key, "other", "task_b", instead_of=found)
    assert _what(taken) == ("other", "task_b")
    await keys.release(key, "task_b")
    assert await keys.find(key) is None
    await keys.bind(key, "print", "task_c", ttl=0.05)
    async with asyncio.timeout(within(5)):
        while await keys.find(key) is not None:
            await asyncio.sleep(0.01)


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


async def test_a_key_is_rebound_whatever_it_is_bound_to(keys: IdempotencyKeys, key: str) -> None:
    assert _what(await keys.rebind(key, "print", "task_a", 60.0)) == ("print", "task_a")
    first = await keys.bind(key, "other", "task_x")
    again = await keys.rebind(key, "other", "task_b", 60.0)
    assert _what(again) == ("other", "task_b")
    assert (await keys.bind(key, "print", "task_c", instead_of=first)).task_id == "task_b"
    assert (await keys.bind(key, "print", "task_c", instead_of=again)).task_id == "task_c"


async def test_of_many_that_rebind_a_key_the_last_one_has_it(
    keys: IdempotencyKeys, key: str
) -> None:
    names = [f"task_{n}" for n in range(20)]
    bound = await asyncio.gather(*(keys.rebind(key, "print", name, 60.0) for name in names))
    assert [each.task_id for each in bound] == names
    assert (await keys.bind(key, "print", "task_late")).task_id in names


async def test_each_binding_has_a_time_to_live_of_its_own(keys: IdempotencyKeys, key: str) -> None:
    long, short, renewed = f"{key} long", f"{key} short", f"{key} renewed"
    await keys.bind(long, "print", "task_a", ttl=60.0)
    await keys.rebind(short, "print", "task_a", 0.2)
    seen = await keys.bind(renewed, "print", "task_a", ttl=0.2)
    await keys.bind(renewed, "print", "task_a", instead_of=seen, ttl=60.0)
    async with asyncio.timeout(within(5)):
        while (await keys.bind(short, "print", "task_b")).task_id != "task_b":
            await asyncio.sleep(0.01)
    assert (await keys.bind(long, "print", "task_b")).task_id == "task_a"
    assert (await keys.bind(renewed, "print", "task_b")).task_id == "task_a"
