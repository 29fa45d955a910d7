"""Those who list and watch all tasks of a world while users start and delete them."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from tests.faults.clients import User
from tests.faults.lists import Lister, final_walks
from tests.faults.spanning_verdict import last_walk_faults, untold, walk_faults, watcher_faults
from tests.faults.watchers import TaskWatcher
from tests.faults.world import World
from tests.waiting import within

LISTERS = 2
WATCHERS = 3
TOLD_WITHIN = 20.0
"""Seconds within which a watcher must have been told everything once nothing breaks any more: it
has to find out that its connection is dead, and to connect."""


class Observers:
    def __init__(self, world: World, users: list[User]) -> None:
        self._world = world
        self._users = users
        self.listers = [Lister(world, f"lister {n}") for n in range(LISTERS)]
        self.watchers = [
            TaskWatcher(world, f"watcher {n}", restless=n > 0) for n in range(WATCHERS)
        ]
        self._using: list[asyncio.Task[None]] = []

    @property
    def walks(self) -> int:
        return sum(len(each.walks) for each in self.listers)

    @property
    def connections(self) -> int:
        return sum(len(each.connections) for each in self.watchers)

    @property
    def told(self) -> int:
        return sum(len(each.told) for one in self.watchers for each in one.connections)

    def start(self) -> None:
        uses = [*(each.use() for each in self.listers), *(each.use() for each in self.watchers)]
        self._using = [asyncio.create_task(each) for each in uses]

    async def stop(self) -> list[str]:
        """End them all; return what broke in one of them."""
        for each in self._using:
            each.cancel()
        ends = await asyncio.gather(*self._using, return_exceptions=True)
        self._using = []
        return [f"an observer broke: {each!r}" for each in ends if isinstance(each, Exception)]

    async def judged(self, records: Mapping[str, dict[str, Any]]) -> list[str]:
        """Wait until every watcher has been told everything; return what is wrong. `records`: what
        is there at the end, where all has ended."""
        for each in self.watchers:
            each.restless = False
        until = time.monotonic() + within(TOLD_WITHIN)
        accepted = {each.task_id for each in self._users}

        def are_told() -> bool:
            return not any(untold(each, records, accepted) for each in self.watchers)

        while not are_told() and time.monotonic() < until:
            await asyncio.sleep(0.1)
        found = await self.stop()
        for watcher in self.watchers:
            faults = untold(watcher, records, accepted) + watcher_faults(
                self._world, watcher, self._users
            )
            found += [f"{watcher.name}: {fault}" for fault in faults]
        walks, faults = await final_walks(self._world)
        found += [f"the last walk: {fault}" for fault in faults]
        for walk in walks:
            found += last_walk_faults(walk, records) + walk_faults(walk, self._users)
        for lister in self.listers:
            found += [f"{lister.name}: {fault}" for fault in lister.faults]
            for number, walk in enumerate(lister.walks):
                faults = walk_faults(walk, self._users)
                found += [f"{lister.name}: walk {number}, {walk.query}: {each}" for each in faults]
        return found
