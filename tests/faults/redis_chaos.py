"""What is done to a deployment on Redis beside what is done to any."""

import asyncio

from tests.faults.chaos import Chaos
from tests.faults.clients import User
from tests.faults.redis_world import RedisWorld
from tests.tcp_proxy import TcpProxy


class RedisChaos(Chaos):
    world: RedisWorld

    def __init__(
        self, world: RedisWorld, users: list[User], *, losing: str, forgetful: bool
    ) -> None:
        """`losing`: what Redis may lose ("all", its "end", or ""). `forgetful`: QStash may lose
        everything."""
        super().__init__(world, users)
        self.kinds["Redis restarted"] = (2, self._restart_redis)
        self.kinds["Redis frozen"] = (1, self._freeze_redis)
        if losing == "all":
            self.kinds["Redis emptied"] = (1, self._empty_redis)
        if losing == "end":
            self.kinds["Redis lost its end"] = (3, self._cut_redis_short)
        if forgetful:
            self.kinds["QStash emptied"] = (1, self._kill_qstash)

    def proxy(self) -> TcpProxy:
        """Any, and that to Redis more often: what passes it is what must not be missed."""
        proxies = list(self.world.proxies.values())
        return self.rng.choice([*proxies, self.world.to_redis, self.world.to_redis])

    async def _restart_redis(self) -> bool:
        redis = self.world.redis

        async def deed() -> None:
            await asyncio.to_thread(redis.kill)
            await self.pause(0.0, 2.0)
            await asyncio.to_thread(redis.start)

        return await self.alone_with(redis, deed)

    async def _freeze_redis(self) -> bool:
        redis = self.world.redis

        async def deed() -> None:
            with redis.frozen():
                await self.pause(0.3, 2.5)

        return await self.alone_with(redis, deed)

    async def _empty_redis(self) -> bool:
        async def deed() -> None:
            await asyncio.to_thread(self.world.lose_data)

        return await self.alone_with(self.world.redis, deed)

    async def _cut_redis_short(self) -> bool:
        async def deed() -> None:
            size = self.rng.choice([200, 2_000, 20_000])
            await asyncio.to_thread(self.world.lose_end, size)

        return await self.alone_with(self.world.redis, deed)

    async def _kill_qstash(self) -> bool:
        qstash = self.world.qstash

        async def deed() -> None:
            self.world.qstash_forgot = True
            await asyncio.to_thread(qstash.kill)
            await self.pause(0.0, 2.0)
            qstash.start()

        return await self.alone_with(qstash, deed)
