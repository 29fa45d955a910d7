"""Allowances on Redis: one key per account, each step one script."""

from collections.abc import Sequence

from adapters.redis.connection import Connection
from adapters.redis.keys import allowance_key
from adapters.redis.script import Script
from application.ports import Allowances, Spent


class RedisAllowances(Allowances):
    def __init__(self, connection: Connection) -> None:
        self._call = connection.call
        self._spend = Script(connection, "spend")
        self._hold = Script(connection, "hold")
        self._holders = Script(connection, "holders")
        self._postpone = Script(connection, "postpone")

    async def spend(self, account: str, amount: int, limit: int | None, window: float) -> Spent:
        if amount < 0:
            raise ValueError("a negative amount")
        granted, used, left = await self._spend(
            [allowance_key(account)],
            [amount, -1 if limit is None else limit, round(window * 1000)],
        )
        return Spent(granted == 1, used, left / 1000)

    async def hold(self, account: str, holder: str, limit: int, ttl: float) -> bool:
        return await self._take(account, [holder], limit, ttl)

    async def keep(self, account: str, holders: Sequence[str], ttl: float) -> None:
        await self._take(account, holders, -1, ttl)

    async def holders(self, account: str, limit: int) -> Sequence[tuple[str, float]]:
        # Those whose time is over are still among them: whoever frees one of theirs does no harm.
        return [
            (holder.decode(), int(left) / 1000)
            for holder, left in await self._holders([allowance_key(account)], [limit])
        ]

    async def postpone(self, account: str, holders: Sequence[str], ttl: float) -> None:
        await self._postpone([allowance_key(account)], [round(ttl * 1000), *holders])

    async def release(self, account: str, holder: str) -> None:
        await self._call("ZREM", allowance_key(account), holder)

    async def _take(self, account: str, holders: Sequence[str], limit: int, ttl: float) -> bool:
        taken: int = await self._hold(
            [allowance_key(account)], [limit, round(ttl * 1000), *holders]
        )
        return taken == 1
