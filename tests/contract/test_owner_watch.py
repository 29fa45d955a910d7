"""A client that watches an owner's tasks on any store, through cuts and missed notices, knows the
last status of each."""

import asyncio
import random
from contextlib import suppress

import pytest

from adapters.live import Hub, OwnerTopic
from application.errors import LeaseLost, UnknownTask
from application.owner_changes import Changed, Gone, Missed, Ping
from application.owner_watch import OwnerWatch
from application.ports import ORPHAN_TIMEOUT
from application.reap import FailOrphanedTasks
from application.watch_tasks import WatchTasks
from domain.errors import IllegalTransition
from domain.events import TaskStatus
from entrypoints.identity import SystemClock
from tests.builders import NOW, claim
from tests.contract.stores import Store
from tests.contract.test_task_index import FAILURE, completed, created, listed, new_owner
from tests.waiting import until

ROUNDS = 25


class Client:
    """Keeps what it was told, and where to go on from."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[TaskStatus, int]] = {}
        self.cursor: int | None = None

    async def follow(self, watch: OwnerWatch) -> None:
        self.cursor = watch.since
        async for told in watch:
            if isinstance(told, Changed):
                self.known[told.task.id] = told.task.status, told.task.attempt
            elif isinstance(told, Gone):
                self.known.pop(told.task_id, None)
            if not isinstance(told, Gone | Missed | Ping) and told.cursor is not None:
                assert told.cursor > (self.cursor or 0), "cursors grow"
                self.cursor = told.cursor


@pytest.mark.soak
async def test_a_client_knows_the_last_status_of_each_task_whatever_is_cut(store: Store) -> None:
    owner, chance = new_owner(), random.Random(11)
    clock = SystemClock()
    watch_tasks = WatchTasks(
        store.index,
        store.changes,
        clock,
        FailOrphanedTasks(store.tasks, clock, ORPHAN_TIMEOUT),
        ping_interval=0.05,
        max_watchers=10,
    )
    stopped = asyncio.Event()

    async def write() -> None:
        mine: list[str] = []
        while not stopped.is_set():
            await asyncio.sleep(chance.random() / 100)
            if len(mine) < 8:
                mine.append(await created(store.tasks, owner, NOW + chance.randrange(9)))
            with suppress(UnknownTask, LeaseLost, IllegalTransition, AssertionError):
                await _change(store, chance.choice(mine), chance)
            if len(mine) == 8:
                gone = mine.pop(chance.randrange(8))
                if chance.random() < 0.3:
                    await store.tasks.delete(gone)

    writers = [asyncio.create_task(write()) for _ in range(3)]
    client = Client()
    hub = store.changes
    assert isinstance(hub, Hub)
    try:
        for _ in range(ROUNDS):
            watch = await watch_tasks(owner, client.cursor)
            following = asyncio.create_task(client.follow(watch))
            await asyncio.sleep(chance.random() / 20)
            if chance.random() < 0.5:  # notices are lost
                hub.unwatch(owner, watch)
                await asyncio.sleep(chance.random() / 20)
                await hub.watch(owner, watch)
                hub.missed(OwnerTopic(owner))
                await asyncio.sleep(chance.random() / 20)
            await watch.aclose()
            await following
    finally:
        stopped.set()
        await asyncio.gather(*writers)
    ids = await listed(store, owner)
    assert len(ids) > ROUNDS

    async def knows_all() -> bool:
        tasks = await store.index.records(ids)  # the watch fails those that are orphaned
        return {task.id: (task.status, task.attempt) for task in tasks}.items() <= known.items()

    watch, known = await watch_tasks(owner, client.cursor), client.known
    following = asyncio.create_task(client.follow(watch))
    try:
        await until(knows_all)
    finally:
        await watch.aclose()
        await following


async def _change(store: Store, task_id: str, chance: random.Random) -> None:
    """Raises what the store raises where the task has another status by now."""
    match chance.randrange(4):
        case 0:
            await completed(store.tasks, task_id)
        case 1:
            await store.tasks.cancel(task_id, NOW)
        case 2:
            await claim(store.tasks, task_id, 0.001)
        case 3:
            await store.tasks.fail(task_id, FAILURE, NOW)
