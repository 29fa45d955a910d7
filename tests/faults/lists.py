"""A user who walks through all pages of the list, again and again, while it is being broken."""

import asyncio
import contextlib
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.faults.world import World
from tests.waiting import within

ENDED = ("completed", "failed", "cancelled")
UNFINISHED = ("pending", "running")
FILTERS: list[dict[str, Any]] = [
    {},
    {},
    {"metadata[kind]": "mixed"},
    {"status": ENDED},
    {"status": UNFINISHED},
]


@dataclass
class Walk:
    """All pages of a list, from the first to the last."""

    began: float
    """By the monotonic clock, as all times are here."""
    query: dict[str, Any]
    tasks: list[dict[str, Any]] = field(default_factory=list)
    ended: float = 0.0
    over_a_loss: bool = False
    """Whether the store had lost anything before the end of the walk."""

    @property
    def ids(self) -> list[str]:
        return [each["taskId"] for each in self.tasks]


class Lister:
    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.rng = random.Random(world.rng.random())
        self.walks: list[Walk] = []
        self.faults: list[str] = []

    async def use(self) -> None:
        """Walk until cancelled."""
        async with httpx.AsyncClient(base_url=self.world.front.url, timeout=within(4.0)) as client:
            while True:
                query = {**self.rng.choice(FILTERS), "limit": self.rng.choice([3, 10, 100])}
                await self.walk(client, query)
                await asyncio.sleep(self.rng.uniform(0.2, 2.0))

    async def walk(self, client: httpx.AsyncClient, query: dict[str, Any]) -> Walk:
        walk = Walk(time.monotonic(), query)
        page: dict[str, Any] = {"next": ""}
        while (cursor := page["next"]) is not None:
            page = await self._page(client, query | ({"after": cursor} if cursor else {}))
            walk.tasks += page["tasks"]
        walk.ended, walk.over_a_loss = time.monotonic(), self.world.lost_data
        self.walks.append(walk)
        return walk

    async def _page(self, client: httpx.AsyncClient, query: dict[str, Any]) -> dict[str, Any]:
        """One page, asked for until it comes."""
        while True:
            with contextlib.suppress(httpx.HTTPError):
                answer = await client.get("/api/tasks", params=query)
                if answer.status_code == 200:
                    return dict(answer.json())
                if answer.status_code not in (502, 503):
                    self.faults.append(f"list: {answer.status_code} {answer.text}")
            await asyncio.sleep(self.rng.uniform(0.05, 0.3))


async def final_walks(world: World) -> tuple[Sequence[Walk], list[str]]:
    """Walk by each filter once, when all has ended; return what else is wrong, too."""
    lister = Lister(world, "the last walk")
    async with httpx.AsyncClient(base_url=world.front.url, timeout=within(10.0)) as client:
        for query in FILTERS[1:]:
            await lister.walk(client, {**query, "limit": 20})
    return lister.walks, lister.faults
