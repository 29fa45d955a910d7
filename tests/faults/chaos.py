"""What is done to a world, at random and by kind. Each fault ends by itself; what is left of them
is mended by `World.heal`."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from adapters.qstash import DEVELOPMENT
from entrypoints.local_qstash.sending import sign
from tests.faults.clients import User
from tests.faults.world import LEASE, RETRIES, Program, World
from tests.tcp_proxy import TcpProxy
from tests.waiting import within

FAULTS_PER_SECOND = 1.5


class Chaos:
    def __init__(self, world: World, users: list[User], *, losing: str, forgetful: bool) -> None:
        """`losing`: what Redis may lose ("all", its "end", or ""). `forgetful`: QStash may lose
        everything."""
        self.world = world
        self.users = users
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self._rng = world.rng
        self._busy: set[Any] = set()
        self._background: set[asyncio.Task[None]] = set()
        self._kinds: dict[str, tuple[int, Callable[[], Awaitable[bool]]]] = {
            "instance killed": (4, self._kill),
            "instance frozen": (3, self._freeze),
            "instance stopped": (3, self._stop),
            "Redis restarted": (2, self._restart_redis),
            "Redis frozen": (1, self._freeze_redis),
            "connections cut": (5, self._cut),
            "connections delayed": (2, self._delay),
            "connections refused": (2, self._refuse),
            "connections silent": (2, self._silence),
            "delivery duplicated": (4, self._duplicate),
        }
        if losing == "all":
            self._kinds["Redis emptied"] = (1, self._empty_redis)
        if losing == "end":
            self._kinds["Redis lost its end"] = (3, self._cut_redis_short)
        if forgetful:
            self._kinds["QStash emptied"] = (1, self._kill_qstash)

    async def reign(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            names = list(self._kinds)
            weights = [self._kinds[name][0] for name in names]
            name = self._rng.choices(names, weights)[0]
            task = asyncio.create_task(self._commit(name))
            self._background.add(task)
            task.add_done_callback(self._background.discard)
            await asyncio.sleep(self._rng.expovariate(FAULTS_PER_SECOND))
        while self._background:
            await asyncio.wait(set(self._background))

    async def _commit(self, name: str) -> None:
        if await self._kinds[name][1]():
            self.counts[name] += 1

    def _one(self) -> Program:
        return self._rng.choice(self.world.instances)

    def _proxy(self) -> TcpProxy:
        """Any, and that to Redis more often: what passes it is what must not be missed."""
        proxies = list(self.world.proxies.values())
        return self._rng.choice([*proxies, self.world.to_redis, self.world.to_redis])

    async def _alone_with(self, victim: Any, deed: Callable[[], Awaitable[None]]) -> bool:
        if victim in self._busy:
            return False
        self._busy.add(victim)
        try:
            await deed()
        finally:
            self._busy.discard(victim)
        return True

    async def _pause(self, least: float, most: float) -> None:
        await asyncio.sleep(self._rng.uniform(least, most))

    async def _kill(self) -> bool:
        instance = self._one()

        async def deed() -> None:
            await asyncio.to_thread(instance.kill)
            await self._pause(0.0, 2.0)
            instance.start()

        return await self._alone_with(instance, deed)

    async def _freeze(self) -> bool:
        """Beyond its lease: what it still wants to write when it wakes up must be refused."""
        instance = self._one()

        async def deed() -> None:
            instance.freeze()
            await self._pause(LEASE * 0.5, LEASE * 3)
            instance.thaw()

        return await self._alone_with(instance, deed)

    async def _stop(self) -> bool:
        instance = self._one()

        async def deed() -> None:
            if not await asyncio.to_thread(instance.answers, "/healthz"):
                instance.kill()  # still starting: it has nothing to give back
            elif (status := await asyncio.to_thread(instance.stop)) != 0:
                self.faults.append(f"{instance.name} stopped with {status}")
            await self._pause(0.0, 1.0)
            instance.start()

        return await self._alone_with(instance, deed)

    async def _restart_redis(self) -> bool:
        redis = self.world.redis

        async def deed() -> None:
            await asyncio.to_thread(redis.kill)
            await self._pause(0.0, 2.0)
            await asyncio.to_thread(redis.start)

        return await self._alone_with(redis, deed)

    async def _freeze_redis(self) -> bool:
        redis = self.world.redis

        async def deed() -> None:
            with redis.frozen():
                await self._pause(0.3, 2.5)

        return await self._alone_with(redis, deed)

    async def _empty_redis(self) -> bool:
        async def deed() -> None:
            await asyncio.to_thread(self.world.lose_data)

        return await self._alone_with(self.world.redis, deed)

    async def _cut_redis_short(self) -> bool:
        async def deed() -> None:
            size = self._rng.choice([200, 2_000, 20_000])
            await asyncio.to_thread(self.world.lose_end, size)

        return await self._alone_with(self.world.redis, deed)

    async def _kill_qstash(self) -> bool:
        qstash = self.world.qstash

        async def deed() -> None:
            self.world.qstash_forgot = True
            await asyncio.to_thread(qstash.kill)
            await self._pause(0.0, 2.0)
            qstash.start()

        return await self._alone_with(qstash, deed)

    async def _cut(self) -> bool:
        self._proxy().cut()
        return True

    async def _delay(self) -> bool:
        proxy = self._proxy()

        async def deed() -> None:
            proxy.delay = self._rng.uniform(0.02, 0.3)
            await self._pause(0.5, 3.0)
            proxy.delay = 0.0

        return await self._alone_with(proxy, deed)

    async def _refuse(self) -> bool:
        proxy = self._proxy()

        async def deed() -> None:
            proxy.refusing = True
            proxy.cut()
            await self._pause(0.2, 1.5)
            proxy.refusing = False

        return await self._alone_with(proxy, deed)

    async def _silence(self) -> bool:
        proxy = self._proxy()

        async def deed() -> None:
            with proxy.silent():
                await self._pause(0.5, 3.0)

        return await self._alone_with(proxy, deed)

    async def _duplicate(self) -> bool:
        """A delivery once more, as QStash may: while the first runs, after it, out of order."""
        started = [user for user in self.users if user.task_id]
        if not started:
            return False
        user = self._rng.choice(started[-15:])
        body = json.dumps(
            {
                "v": 1,
                "taskId": user.task_id,
                "createdAt": int(time.time() * 1000),
                "maxRetries": RETRIES,
                "request": {
                    "v": 1,
                    "model": "gpt-4o-mini",
                    "max_tokens": 1000,
                    "temperature": 0.7,
                    "prompt": user.plan.prompt(),
                },
            }
        ).encode()
        url = f"{self.world.back.url}/api/qstash/webhook"
        headers = {
            "Upstash-Signature": sign(DEVELOPMENT.current_key, url, body, int(time.time())),
            "Upstash-Message-Id": "msg_duplicate",
            "Content-Type": "application/json",
        }
        async with httpx.AsyncClient(timeout=within(10.0)) as client:
            try:
                answer = await client.post(url, content=body, headers=headers)
            except httpx.HTTPError:
                return True
        if answer.status_code not in (200, 429, 489, 503):
            self.faults.append(f"delivery: {answer.status_code} {answer.text}")
        return True
