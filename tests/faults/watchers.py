"""A user who watches all tasks, through many connections."""

import asyncio
import contextlib
import json
import math
import random
import time
from dataclasses import dataclass, field
from typing import Any

import httpx
import httpx_sse

from tests.faults.world import World
from tests.waiting import within

State = tuple[str, int, int, str | None]
"""Status, attempt, time of the last change, finish reason."""
GONE = "deleted"
STAY = 4.0
"""Seconds after which a restless watcher hangs up, on average."""


@dataclass
class Connection:
    asked: float
    """When it was asked for, by the monotonic clock."""
    told: list[tuple[str, State | None]] = field(default_factory=list)
    """Each task with its state, or None where it was told as deleted, in the order of telling."""
    cursors: list[int] = field(default_factory=list)
    closed: float = math.inf
    connected: float = math.inf
    """When it was last told that it is connected: a page reads the list then, since of what was
    deleted before it is told nothing. Infinite if it broke behind the head of the response, before
    it was told."""


class TaskWatcher:
    def __init__(self, world: World, name: str, *, restless: bool = False) -> None:
        """`restless`: it hangs up by itself until it is calm."""
        self.world = world
        self.name = name
        self.rng = random.Random(world.rng.random())
        self.connections: list[Connection] = []
        self.last: dict[str, State | None] = {}
        """What was told last of each task."""
        self.faults: list[str] = []
        self.restless = restless
        self._cursor = ""

    async def use(self) -> None:
        """Watch until cancelled."""
        # A comment comes every second: four without a byte are a dead connection.
        async with httpx.AsyncClient(base_url=self.world.front.url, timeout=within(4.0)) as client:
            while True:
                seconds = self.rng.expovariate(1 / STAY) if self.restless else None
                with contextlib.suppress(httpx.HTTPError, httpx_sse.SSEError, TimeoutError):
                    async with asyncio.timeout(seconds):
                        await self._connect(client)
                await asyncio.sleep(self.rng.uniform(0.0, 0.5))

    async def _connect(self, client: httpx.AsyncClient) -> None:
        connection = Connection(time.monotonic())
        async with httpx_sse.aconnect_sse(
            client,
            "GET",
            "/api/tasks/events",
            headers={"Last-Event-ID": self._cursor} if self._cursor else {},
        ) as source:
            if (status := source.response.status_code) != 200:
                if status not in (502, 503):
                    self.faults.append(f"the stream answered {status}")
                return
            self.connections.append(connection)
            try:
                async for event in source.aiter_sse():
                    if event.id:
                        self._cursor = event.id
                        connection.cursors.append(int(event.id))
                    if event.data:
                        self._take(connection, json.loads(event.data))
            finally:
                connection.closed = time.monotonic()

    def _take(self, connection: Connection, data: dict[str, Any]) -> None:
        if data["type"] == "task":
            task = data["task"]
            state = (task["status"], task["attempt"], task["updatedAt"], task["finishReason"])
            connection.told.append((task["taskId"], state))
            self.last[task["taskId"]] = state
        elif data["type"] == "connected":
            connection.connected = time.monotonic()
        elif data["type"] == GONE:
            connection.told.append((data["taskId"], None))
            self.last[data["taskId"]] = None
