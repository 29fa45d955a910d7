"""Those who use the service while it is being broken: each starts a task, some cancel or delete it,
several follow. All of them only do what the README tells a client to do, and write down what they
got."""

import asyncio
import contextlib
import json
import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import httpx_sse

from tests.faults.planned import BROKEN, BUSY, CUT, FAILED, GOOD, REFUSED, SILENT, Plan
from tests.faults.world import MESSAGE_LIMIT, World
from tests.waiting import within

_OUTCOMES = {GOOD: 66, CUT: 12, BROKEN: 7, BUSY: 5, FAILED: 4, SILENT: 3, REFUSED: 3}


@dataclass
class Follower:
    """One reader, through all its connections."""

    world: World
    task_id: str
    rng: random.Random
    events: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    """Id and data of each event of the log, in the order in which they came."""
    connections: int = 0
    done: bool = False
    ended_at: float = math.inf
    """When it saw the end of the task, by the monotonic clock."""
    faults: list[str] = field(default_factory=list)

    async def follow(self) -> None:
        slow = self.rng.random() < 0.2
        # Silence is broken every second: four without a byte are a dead connection.
        async with httpx.AsyncClient(base_url=self.world.front.url, timeout=within(4.0)) as client:
            while not self.done:
                with contextlib.suppress(httpx.HTTPError, httpx_sse.SSEError):
                    await self._connect(client, slow)
                await asyncio.sleep(self.rng.uniform(0.0, 0.2))

    async def _connect(self, client: httpx.AsyncClient, slow: bool) -> None:
        last = self.events[-1][0] if self.events else ""
        hang_up = self.rng.randrange(1, 60) if self.rng.random() < 0.5 else None
        async with httpx_sse.aconnect_sse(
            client,
            "GET",
            "/api/tasks/stream",
            params={"taskId": self.task_id},
            headers={"Last-Event-ID": last} if last else {},
        ) as source:
            self.connections += 1
            status = source.response.status_code
            if status == 204:
                self.done = True
                if not (self.events and _closes(self.events[-1][1])):
                    self.faults.append(f"204 after {last or 'nothing'}")
                return
            if status == 404 and self.task_id in self.world.ended_before_loss | self.world.deleted:
                self.done = True  # it will not be made again
            if status != 200:
                if status not in (404, 503):
                    self.faults.append(f"the stream answered {status}")
                return
            received = 0
            async for event in source.aiter_sse():
                data = json.loads(event.data)
                if data["type"] == "connected":
                    continue
                self.events.append((event.id, data))
                if _closes(data):
                    self.ended_at = min(self.ended_at, time.monotonic())
                    self.done = self.rng.random() < 0.5  # the others ask again, and get 204
                    return
                received += 1
                if received == hang_up:
                    return
                if slow:
                    await asyncio.sleep(0.05)


def _closes(data: dict[str, Any]) -> bool:
    return data["type"] in ("end", "error")


FLOWS = (
    {"key": "a", "parallelism": 2},
    {"key": "b", "rate": 2},
    {"key": "c", "parallelism": 3, "rate": 5, "period": 2},
)


BUDGET = 600


class User:
    """Starts one task and stays until its followers have seen it all."""

    def __init__(self, world: World, name: str, followers_of: Sequence[type[Follower]]) -> None:
        """`followers_of`: the kinds of readers that may follow its task."""
        self.world = world
        self.followers_of = followers_of
        self.rng = random.Random(world.rng.random())
        weights = list(_OUTCOMES.values())
        calls = self.rng.choices(list(_OUTCOMES), weights, k=self.rng.randrange(3))
        pieces, pace = self.rng.choice([(5, 0.2), (60, 0.03), (120, 0.02), (400, 0.002)])
        self.budget = BUDGET if self.rng.random() < 0.1 else None
        """Tokens, of an answer that has many more and takes 15 s."""
        if self.budget is not None:
            calls, pieces, pace = [], 1_500, 0.01
        self.plan = Plan(name, pieces, pace, tuple(calls), mixed=self.rng.random() < 0.5)
        large = self.budget is None and self.rng.random() < 0.3
        self.system = "x" * MESSAGE_LIMIT if large else None
        """Too long for a message of the queue, for some."""
        self.kind = "mixed" if self.plan.mixed else "plain"
        """What its metadata says, so that lists can ask for it."""
        self.delay = 2 if self.rng.random() < 0.15 else None
        self.deadline = self.rng.choice([3, 5, 10]) if self.rng.random() < 0.2 else None
        self.wants_webhook = self.rng.random() < 0.4
        self.flow = self.rng.choice(FLOWS) if self.rng.random() < 0.3 else None
        self.task_id = ""
        self.accepted_at = self.delete_began_at = self.deleted_at = math.inf
        """When the service had accepted the start, was asked to delete the task, and had said that
        it did, by the monotonic clock."""
        self.cancelled = False
        """Whether a cancellation was accepted."""
        self.tried_to_cancel = False
        self.deleted = False
        """Whether the task was deleted, as the service said."""
        self.followers: list[Follower] = []
        self.faults: list[str] = []

    @property
    def ended_at(self) -> float:
        """When the first of its followers had seen the end of the task."""
        return min((each.ended_at for each in self.followers), default=math.inf)

    async def use(self) -> None:
        async with httpx.AsyncClient(base_url=self.world.front.url, timeout=within(4.0)) as client:
            self.task_id = await self._start(client)
            self.accepted_at = time.monotonic()
            following = []
            for _ in range(self.rng.randrange(1, 4)):
                kind = self.rng.choice(self.followers_of)
                follower = kind(self.world, self.task_id, random.Random(self.rng.random()))
                self.followers.append(follower)
                following.append(asyncio.create_task(follower.follow()))
                await asyncio.sleep(self.rng.choice([0.0, 0.0, 0.5, 2.0]))
            try:
                if self.rng.random() < 0.3:
                    await self._start_again(client)
                if self.rng.random() < 0.15:
                    await self._cancel(client)
                if self.rng.random() < 0.2:
                    await self._delete(client)
                await asyncio.gather(*following)
            finally:
                for each in following:
                    each.cancel()

    async def _start(self, client: httpx.AsyncClient) -> str:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                answer = await self._post(client)
                if answer.status_code == 202:
                    return str(answer.json()["taskId"])
                if answer.status_code not in (502, 503):
                    self.faults.append(f"start: {answer.status_code} {answer.text}")
            await asyncio.sleep(self.rng.uniform(0.05, 0.3))

    async def _start_again(self, client: httpx.AsyncClient) -> None:
        """The same key and body: the same task, whenever it is asked, unless that has failed."""
        lossy = self.world.lost_data
        with contextlib.suppress(httpx.HTTPError):
            answer = await self._post(client)
            if answer.status_code == 202 and not (lossy or self.world.lost_data):
                task_id = answer.json()["taskId"]
                if task_id != self.task_id and not await self._has_failed(client):
                    self.faults.append(f"one key, two tasks: {self.task_id} and {task_id}")

    async def _has_failed(self, client: httpx.AsyncClient) -> bool:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                record = await client.get(f"/api/tasks/{self.task_id}")
                if record.status_code != 503:
                    return record.status_code == 200 and record.json()["status"] == "failed"
            await asyncio.sleep(0.2)

    async def _post(self, client: httpx.AsyncClient) -> httpx.Response:
        return await client.post(
            "/api/tasks/start",
            json={
                "prompt": self.plan.prompt(),
                "system": self.system,
                "metadata": {"kind": self.kind},
                "delay": self.delay,
                "deadline": self.deadline,
                "flowControl": self.flow,
                "budget": None if self.budget is None else {"tokens": self.budget},
                "webhook": {"url": self.world.receiver.url} if self.wants_webhook else None,
            },
            headers={"Idempotency-Key": self.plan.name},
        )

    async def _cancel(self, client: httpx.AsyncClient) -> None:
        await asyncio.sleep(self.rng.uniform(0.0, 3.0))
        self.tried_to_cancel = True
        for _ in range(5):
            with contextlib.suppress(httpx.HTTPError):
                answer = await client.post(f"/api/tasks/{self.task_id}/cancel")
                if answer.status_code in (200, 202):
                    self.cancelled = True
                if answer.status_code in (200, 202, 404, 409):
                    return
                if answer.status_code != 503:
                    self.faults.append(f"cancel: {answer.status_code} {answer.text}")
            await asyncio.sleep(0.2)

    async def _delete(self, client: httpx.AsyncClient) -> None:
        await asyncio.sleep(self.rng.uniform(0.0, 3.0))
        self.tried_to_cancel = True  # a task that has not ended is cancelled first
        self.world.deleted.add(self.task_id)
        self.delete_began_at = time.monotonic()
        while not self.deleted:
            with contextlib.suppress(httpx.HTTPError):
                answer = await client.delete(f"/api/tasks/{self.task_id}")
                if answer.status_code in (204, 404):  # 404 after a response that was lost
                    self.deleted = answer.status_code == 204 or not self.world.lost_data
                    self.deleted_at = time.monotonic()
                    return
                if answer.status_code != 503:
                    self.faults.append(f"delete: {answer.status_code} {answer.text}")
            await asyncio.sleep(0.2)
