"""For how long the ledgers keep what was used: 90 days of an owner, 2 of an address."""

import time
from pathlib import Path

import pytest

from adapters.database import open_database
from adapters.memory import MemoryUsageLedger
from adapters.redis import RedisUsageLedger
from adapters.redis.keys import usage_accounts_key, usage_key
from adapters.sqlite import USAGE, SqliteUsageLedger
from adapters.sqlite.usage import DAY_MS, drop_old_usage
from application.ports import Addition, Tokens, UsageLedger
from tests.builders import to_redis

DAY = 86_400
TODAY = int(time.time()) // DAY
OWNER, ADDRESS = "key:kept", "address:203.0.113.7"


async def fill(ledger: UsageLedger) -> None:
    """One token of each, today."""
    for account in (OWNER, ADDRESS):
        await ledger.add([Addition(account, TODAY, "m", Tokens(output=1))])


async def left(ledger: UsageLedger) -> tuple[int, int]:
    return await ledger.used(OWNER, TODAY), await ledger.used(ADDRESS, TODAY)


@pytest.mark.parametrize(("later", "kept"), [(2, (1, 1)), (3, (1, 0)), (90, (1, 0)), (91, (0, 0))])
async def test_in_memory_and_in_the_file(tmp_path: Path, later: int, kept: tuple[int, int]) -> None:
    day = TODAY
    memory = MemoryUsageLedger(lambda: day * DAY)
    database = open_database(tmp_path / "longtask.db", [USAGE])
    try:
        file = SqliteUsageLedger(database)
        await fill(memory)
        await fill(file)
        day += later
        await memory.rows(None, day, day)
        now = day * DAY_MS
        while await database.write(lambda tx: drop_old_usage(tx, now, 1)):
            pass
        assert await left(memory) == await left(file) == kept
    finally:
        await database.aclose()


async def test_on_redis(redis_url: str) -> None:
    redis = to_redis(redis_url)
    try:
        await fill(RedisUsageLedger(redis))
        keys = usage_key(OWNER, TODAY), usage_key(ADDRESS, TODAY), usage_accounts_key(TODAY)
        ttls = [await redis.call("TTL", key) for key in keys]
        assert [round(ttl / DAY) for ttl in ttls] == [91, 3, 91]
        assert ADDRESS.encode() not in await redis.call("SMEMBERS", keys[2])
    finally:
        await redis.aclose()


async def test_an_account_that_redis_has_lost_is_entered_again(redis_url: str) -> None:
    redis = to_redis(redis_url)
    try:
        ledger = RedisUsageLedger(redis)
        await fill(ledger)
        await redis.call("DEL", usage_key(OWNER, TODAY))
        await redis.call("DEL", usage_accounts_key(TODAY))
        for _ in range(2):
            await fill(ledger)
        rows = await ledger.rows(None, TODAY, TODAY)
        assert [row.tokens.output for row in rows if row.account == OWNER] == [2]
    finally:
        await redis.aclose()
