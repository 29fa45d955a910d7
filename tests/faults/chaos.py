"""What is done to any world, at random and by kind. Each fault ends by itself; what is left of them
is mended by `World.heal`."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from entrypoints.local_qstash.sending import sign
from tests.faults.clients import User
from tests.faults.keeping import KeepingModel
from tests.faults.programs import Program
from tests.faults.world import LEASE, RETRIES, World
from tests.tcp_proxy import TcpProxy
from tests.waiting import within

FAULTS_PER_SECOND = 1.5


Deed = Callable[[], Awaitable[bool]]
"""Returns whether it was done."""


class Chaos:
    def __init__(self, world: World, users: list[User]) -> None:
        self.world = world
        self.users = users
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []
        self.rng = world.rng
        self._busy: set[Any] = set()
        self._background: set[asyncio.Task[None]] = set()
        self.kinds: dict[str, tuple[float, Deed]] = {
            "instance killed": (4, self._kill),
            "instance frozen": (3, self._freeze),
            "instance stopped": (3, self._stop),
            "connections cut": (5, self._cut),
            "connections delayed": (2, self._delay),
            "connections refused": (2, self._refuse),
            "connections silent": (2, self._silence),
            "delivery duplicated": (4, self._duplicate),
        }
        """Each with its weight."""
        if isinstance(world.model, KeepingModel):
            self.kinds["answers forgotten"] = (1, self._forget)
            self.kinds["answers not streamed"] = (2, self._stream_no_more)

    async def reign(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            names = list(self.kinds)
            weights = [self.kinds[name][0] for name in names]
            name = self.rng.choices(names, weights)[0]
            task = asyncio.create_task(self._commit(name))
            self._background.add(task)
            task.add_done_callback(self._background.discard)
            await asyncio.sleep(self.rng.expovariate(FAULTS_PER_SECOND))
        while self._background:
            await asyncio.wait(set(self._background))

    async def _commit(self, name: str) -> None:
        try:
            if await self.kinds[name][1]():
                self.counts[name] += 1
        except Exception as error:
            self.faults.append(f"{name}: {error!r}")

    def _one(self) -> Program:
        return self.rng.choice(self.world.instances)

    def proxy(self) -> TcpProxy:
        return self.rng.choice(list(self.world.proxies.values()))

    async def alone_with(self, victim: Any, deed: Callable[[], Awaitable[None]]) -> bool:
        if victim in self._busy:
            return False
        self._busy.add(victim)
        try:
            await deed()
        finally:
            self._busy.discard(victim)
        return True

    async def pause(self, least: float, most: float) -> None:
        await asyncio.sleep(self.rng.uniform(least, most))

    async def restart(self, instance: Program, most: float) -> None:
        """Start it again within so many seconds."""
        await self.pause(0.0, most)
        instance.start()

    async def _kill(self) -> bool:
        instance = self._one()

        async def deed() -> None:
            await asyncio.to_thread(instance.kill)
            await self.restart(instance, 2.0)

        return await self.alone_with(instance, deed)

    async def _freeze(self) -> bool:
        """Beyond its lease: what it still wants to write when it wakes up must be refused."""
        instance = self._one()

        async def deed() -> None:
            instance.freeze()
            await self.pause(LEASE * 0.5, LEASE * 3)
            instance.thaw()

        return await self.alone_with(instance, deed)

    async def _stop(self) -> bool:
        instance = self._one()

        async def deed() -> None:
            if not await asyncio.to_thread(instance.answers, "/healthz"):
                instance.kill()  # still starting: it has nothing to give back
            elif (status := await asyncio.to_thread(instance.stop)) != 0:
                self.faults.append(f"{instance.name} stopped with {status}")
            await self.restart(instance, 1.0)

        return await self.alone_with(instance, deed)

    async def _cut(self) -> bool:
        self.proxy().cut()
        return True

    async def _delay(self) -> bool:
        proxy = self.proxy()

        async def deed() -> None:
            proxy.delay = self.rng.uniform(0.02, 0.3)
            await self.pause(0.5, 3.0)
            proxy.delay = 0.0

        return await self.alone_with(proxy, deed)

    async def _refuse(self) -> bool:
        proxy = self.proxy()

        async def deed() -> None:
            proxy.refusing = True
            proxy.cut()
            await self.pause(0.2, 1.5)
            proxy.refusing = False

        return await self.alone_with(proxy, deed)

    async def _silence(self) -> bool:
        proxy = self.proxy()

        async def deed() -> None:
            with proxy.silent():
                await self.pause(0.5, 3.0)

        return await self.alone_with(proxy, deed)

    async def _forget(self) -> bool:
        model = self.world.model
        assert isinstance(model, KeepingModel)
        return model.forget_some(self.rng)

    async def _stream_no_more(self) -> bool:
        """As OpenAI after five minutes: an answer can be read as a whole only."""
        model = self.world.model
        assert isinstance(model, KeepingModel)

        async def deed() -> None:
            model.streams_kept = False
            await self.pause(0.5, 3.0)
            model.streams_kept = True

        return await self.alone_with(model, deed)

    async def _duplicate(self) -> bool:
        """A delivery once more, as QStash may: while the first runs, after it, out of order."""
        started = [user for user in self.users if user.task_id]
        if not started:
            return False
        user = self.rng.choice(started[-15:])
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
            "Upstash-Signature": sign(self.world.signing_key, url, body, int(time.time())),
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
