"""Limits and idempotency keys in the file outlive the process that wrote them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from adapters.database import Database, open_database
from adapters.sqlite import idempotency, limiter
from adapters.sqlite.idempotency import KEYS, SqliteIdempotencyKeys
from adapters.sqlite.limiter import LIMITS, SqliteLimiter
from application.errors import StoreUnavailable

DAY = 86_400.0
NOON = 1_700_000_000.0
Opened = Callable[[], AbstractAsyncContextManager[Database]]


@pytest.fixture
def opened(tmp_path: Path) -> Opened:
    @asynccontextmanager
    async def one() -> AsyncIterator[Database]:
        database = open_database(tmp_path / "longtask.db", [LIMITS, KEYS])
        try:
            yield database
        finally:
            await database.aclose()

    return one


def at(seconds: float) -> Callable[[], float]:
    return lambda: NOON + seconds


async def test_windows_and_slots_of_tasks_go_on_and_those_of_streams_are_free(
    opened: Opened,
) -> None:
    async with opened() as database:
        counts = SqliteLimiter(database, at(0))
        await counts.consume("tokens", 7, 10, DAY)
        await counts.consume("starts", 1, 10, 60.0)
        assert await counts.acquire("running", "task_a", 3, 30 * DAY)
        assert await counts.acquire("running", "task_b", 3, 30 * DAY)
        assert await counts.acquire("running", "task_c", 3, 30 * DAY)
        await counts.release("running", "task_b")
        await counts.postpone("running", ["task_a", "task_b"], 40 * DAY)
        assert await counts.acquire("streams", "one", 1, 60.0)
        await counts.renew("streams", ["one"], 60.0)
    async with opened() as database:
        counts = SqliteLimiter(database, at(70))
        assert not (await counts.consume("tokens", 4, 10, DAY)).granted
        usage = await counts.consume("tokens", 3, 10, DAY)
        assert usage.used == 10
        assert usage.reset == pytest.approx(DAY - 70)
        assert (await counts.consume("starts", 0, None, 60.0)).used == 0
        left = {each.holder: each.left for each in await counts.holders("running", 10)}
        assert left == {
            "task_c": pytest.approx(30 * DAY - 70),
            "task_a": pytest.approx(40 * DAY - 70),
        }
        assert not await counts.acquire("running", "task_d", 2, 30 * DAY)
        assert await counts.acquire("streams", "two", 1, 60.0)


async def test_slots_that_nobody_releases_are_forgotten(opened: Opened) -> None:
    async with opened() as database:
        now = NOON
        counts = SqliteLimiter(database, lambda: now)
        for number in range(50):
            assert await counts.acquire("running", f"task_{number}", 100, 30 * DAY)
        now += 31 * DAY
        assert await counts.acquire("running", "task_new", 1, 30 * DAY)
        assert list(counts._written) == [("running", "task_new")]


async def test_a_window_is_no_longer_though_the_clock_was_set_back(opened: Opened) -> None:
    async with opened() as database:
        await SqliteLimiter(database, at(0)).consume("starts", 5, 5, 60.0)
    async with opened() as database:
        counts = SqliteLimiter(database, at(-DAY))
        refused = await counts.consume("starts", 1, 5, 60.0)
        assert not refused.granted
        assert refused.reset == pytest.approx(60.0)


async def test_bindings_stay_and_their_age_is_never_negative(opened: Opened) -> None:
    async with opened() as database:
        keys = SqliteIdempotencyKeys(database, at(0))
        first = await keys.bind("key", "print", "task_a", ttl=100.0)
        assert (await keys.bind("key", "print", "task_a", first, ttl=100.0)).since > first.since
    async with opened() as database:
        keys = SqliteIdempotencyKeys(database, at(50))
        found = await keys.find("key")
        assert found is not None
        assert found.task_id == "task_a"
        assert found.age == pytest.approx(50, abs=0.01)
        assert (await SqliteIdempotencyKeys(database, at(-9)).bind("key", "x", "task_b")).age == 0
        assert await SqliteIdempotencyKeys(database, at(101)).find("key") is None


async def test_what_is_over_is_dropped_a_few_rows_at_a_time(opened: Opened) -> None:
    async with opened() as database:
        counts, keys = SqliteLimiter(database, at(0)), SqliteIdempotencyKeys(database, at(0))
        for number in range(5):
            await counts.consume(f"starts:{number}", 1, None, 60.0)
            await keys.bind(f"key {number}", "print", "task_a", ttl=60.0)
        await counts.consume("tokens", 1, None, DAY)
        await keys.bind("kept", "print", "task_a")
        now = round((NOON + 61) * 1000)
        for drop in (limiter.drop_ended, idempotency.drop_expired):
            drop_three = partial(drop, now=now, rows=3)
            dropped = [await database.write(drop_three) for _ in range(3)]
            assert dropped == [3, 2, 0]
        assert await keys.find("kept") is not None


async def test_a_file_that_cannot_be_used_is_an_unavailable_store(opened: Opened) -> None:
    async with opened() as database:
        counts, keys = SqliteLimiter(database), SqliteIdempotencyKeys(database)
        assert await counts.acquire("running", "task_a", 1, 30 * DAY)
        await counts.release("running", "task_a")
    for call in (
        counts.consume("starts", 1, None, 60.0),
        counts.acquire("running", "task_b", 1, 30 * DAY),
        keys.bind("key", "print", "task_a"),
        keys.find("key"),
    ):
        with pytest.raises(StoreUnavailable, match="data file"):
            await call
    assert await counts.holders("running", 10) == []
    assert counts._written == {}
