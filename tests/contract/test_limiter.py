"""What every Limiter adapter promises."""

import asyncio
import secrets

import pytest

from application.ports import Limiter
from tests.contract.stores import Store
from tests.waiting import until

TTL = 30.0


@pytest.fixture
def limiter(store: Store) -> Limiter:
    return store.limiter


@pytest.fixture
def counter() -> str:
    """No other test's."""
    return f"starts:key:{secrets.token_hex(4)}"


async def names(limiter: Limiter, counter: str) -> list[str]:
    return [each.holder for each in await limiter.holders(counter, 100)]


async def test_what_is_spent_adds_up_to_the_limit_and_no_further(
    limiter: Limiter, counter: str
) -> None:
    answers = [await limiter.consume(counter, 2, 5, 60.0) for _ in range(3)]
    assert [(each.granted, each.used) for each in answers] == [(True, 2), (True, 4), (False, 4)]
    assert all(0 < each.reset <= 60.0 for each in answers)
    assert (await limiter.consume(counter, 1, 5, 60.0)).granted


async def test_nothing_spent_is_a_question(limiter: Limiter, counter: str) -> None:
    assert (await limiter.consume(counter, 0, 0, 60.0)).granted
    await limiter.consume(counter, 7, None, 60.0)
    asked = await limiter.consume(counter, 0, 6, 60.0)
    assert not asked.granted
    assert asked.used == 7


async def test_a_negative_amount_is_refused(limiter: Limiter, counter: str) -> None:
    await limiter.consume(counter, 5, 10, 60.0)
    for limit in (10, None):
        with pytest.raises(ValueError, match="negative"):
            await limiter.consume(counter, -3, limit, 60.0)
    assert (await limiter.consume(counter, 0, None, 60.0)).used == 5


async def test_without_a_limit_everything_is_counted(limiter: Limiter, counter: str) -> None:
    await limiter.consume(counter, 1_000_000, None, 60.0)
    assert (await limiter.consume(counter, 1_000_000, None, 60.0)).used == 2_000_000


async def test_a_window_ends_and_another_begins_with_the_next_use(
    limiter: Limiter, counter: str
) -> None:
    assert (await limiter.consume(counter, 5, 5, 0.2)).granted

    async def granted() -> bool:
        return (await limiter.consume(counter, 5, 5, 60.0)).granted

    await until(granted)
    again = await limiter.consume(counter, 0, None, 60.0)
    assert again.used == 5
    assert again.reset > 50.0


async def test_counters_do_not_share(limiter: Limiter, counter: str) -> None:
    await limiter.consume(counter, 5, 5, 60.0)
    assert (await limiter.consume(f"{counter}x", 5, 5, 60.0)).granted


async def test_those_who_come_at_once_get_no_more_than_there_is(
    limiter: Limiter, counter: str
) -> None:
    answers = await asyncio.gather(*(limiter.consume(counter, 1, 10, 60.0) for _ in range(40)))
    assert sum(each.granted for each in answers) == 10
    slots = f"{counter}-slots"
    held = await asyncio.gather(*(limiter.acquire(slots, str(n), 10, TTL) for n in range(40)))
    assert sum(held) == 10


async def test_a_holder_has_one_slot_however_often_it_asks(limiter: Limiter, counter: str) -> None:
    assert await limiter.acquire(counter, "a", 2, TTL)
    assert await limiter.acquire(counter, "a", 2, TTL)
    assert await limiter.acquire(counter, "b", 2, TTL)
    assert not await limiter.acquire(counter, "c", 2, TTL)
    assert await limiter.acquire(counter, "a", 2, TTL)
    assert sorted(await names(limiter, counter)) == ["a", "b"]


async def test_a_released_slot_is_free(limiter: Limiter, counter: str) -> None:
    await limiter.acquire(counter, "a", 1, TTL)
    await limiter.release(counter, "a")
    await limiter.release(counter, "never")
    assert await limiter.acquire(counter, "b", 1, TTL)
    assert await names(limiter, counter) == ["b"]


async def test_a_slot_lapses_unless_it_is_renewed(limiter: Limiter, counter: str) -> None:
    assert await limiter.acquire(counter, "kept", 2, 0.3)
    assert await limiter.acquire(counter, "left", 2, 0.3)
    await limiter.renew(counter, ["kept"], TTL)
    assert await names(limiter, counter) == ["left", "kept"]

    await until(lambda: limiter.acquire(counter, "new", 2, TTL))
    assert not await limiter.acquire(counter, "another", 2, TTL)
    assert "kept" in await names(limiter, counter)


async def test_holders_come_with_the_time_they_have_left(limiter: Limiter, counter: str) -> None:
    await limiter.acquire(counter, "long", 2, 1_000.0)
    await limiter.acquire(counter, "short", 2, TTL)
    first, second = await limiter.holders(counter, 100)
    assert (first.holder, second.holder) == ("short", "long")
    assert 0 < first.left <= TTL < 900.0 < second.left <= 1_000.0


async def test_no_more_holders_come_than_are_asked_for(limiter: Limiter, counter: str) -> None:
    for number in range(5):
        await limiter.acquire(counter, str(number), 5, TTL + number)
    assert [each.holder for each in await limiter.holders(counter, 2)] == ["0", "1"]


async def test_a_postponed_slot_comes_last_and_a_released_one_stays_free(
    limiter: Limiter, counter: str
) -> None:
    for number in range(3):
        await limiter.acquire(counter, str(number), 5, TTL + number)
    await limiter.release(counter, "1")
    await limiter.postpone(counter, ["0", "1"], 2 * TTL)
    held = {each.holder: each.left for each in await limiter.holders(counter, 10)}
    assert list(held) == ["2", "0"]
    assert TTL + 5 < held["0"] <= 2 * TTL
    await limiter.postpone(f"{counter}-empty", ["0"], TTL)
    assert await limiter.holders(f"{counter}-empty", 10) == []
