"""Limiter on Redis: one key per counter, each step one script."""

from collections.abc import Sequence

from adapters.redis.connection import Connection
from adapters.redis.keys import limit_key
from adapters.redis.script import Script
from application.ports import HeldSlot, Limiter, WindowUsage


class RedisLimiter(Limiter):
    def __init__(self, connection: Connection) -> None:
        self._call = connection.call
        self._consume = Script(connection, "consume")
        self._acquire = Script(connection, "acquire")
        self._holders = Script(connection, "holders")
        self._postpone = Script(connection, "postpone")

    async def consume(
        self, counter: str, amount: int, limit: int | None, window: float
    ) -> WindowUsage:
        if amount < 0:
            raise ValueError("a negative amount")
        granted, used, left = await self._consume(
            [limit_key(counter)],
            [amount, -1 if limit is None else limit, round(window * 1000)],
        )
        return WindowUsage(granted == 1, used, left / 1000)

    async def acquire(self, counter: str, holder: str, limit: int, ttl: float) -> bool:
        return await self._acquire_all(counter, [holder], limit, ttl)

    async def renew(self, counter: str, holders: Sequence[str], ttl: float) -> None:
        await self._acquire_all(counter, holders, -1, ttl)

    async def holders(self, counter: str, limit: int) -> Sequence[HeldSlot]:
        return [
            HeldSlot(holder.decode(), int(left) / 1000)
            for holder, left in await self._holders([limit_key(counter)], [limit])
        ]

    async def postpone(self, counter: str, holders: Sequence[str], ttl: float) -> None:
        await self._postpone([limit_key(counter)], [round(ttl * 1000), *holders])

    async def release(self, counter: str, holder: str) -> None:
        await self._call("ZREM", limit_key(counter), holder)

    async def _acquire_all(
        self, counter: str, holders: Sequence[str], limit: int, ttl: float
    ) -> bool:
        taken: int = await self._acquire([limit_key(counter)], [limit, round(ttl * 1000), *holders])
        return taken == 1
