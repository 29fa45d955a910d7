"""The index of owners' tasks on Redis, which lies apart from them: what a crash between two steps
leaves, and what heals it."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from adapters.live import Hub
from adapters.redis import RedisBroker, RedisTaskLog
from adapters.redis.keys import keys_of, owner_keys
from application.errors import DeletedTask, LeaseLost, StoreUnavailable
from application.ports import ORPHAN_TIMEOUT, Entry
from application.reap import FailOrphanedTasks
from application.watch_tasks import WatchTasks
from domain.events import TaskStatus as Status
from domain.task import Task
from domain.task_filter import TaskFilter
from entrypoints.identity import SystemClock
from tests.builders import LEASE, NOW, REQUEST, claim, to_redis
from tests.contract.test_owner_watch import Client
from tests.doubles.readers import CountingObserver
from tests.integration.redis_index_bench import (
    TTL,
    Bench,
    Counted,
    Killed,
    completed,
    completing,
    indexed,
)
from tests.integration.redis_records import VERSIONS_BEFORE, OldRecord
from tests.integration.redis_records import Bench as Records
from tests.waiting import until


@pytest.fixture
async def bench(redis_url: str) -> AsyncIterator[Bench]:
    async with indexed(to_redis(redis_url)) as bench:
        yield bench


async def test_a_kill_between_entry_and_record_leaves_what_nothing_returns(bench: Bench) -> None:
    """And what the delivery that creates the task again replaces."""
    bench.counted.left = 1
    task = bench.task()
    with pytest.raises(Killed):
        await bench.counting.create(Task.submit(task.id, REQUEST, NOW, bench.owner))
    assert await bench.unfinished() == [task.id]
    assert await bench.listed() == []
    assert await bench.index.records([task.id]) == []
    await bench.tasks.create(Task.submit(task.id, REQUEST, NOW + 1, bench.owner))
    assert await bench.listed() == [task.id]
    assert await bench.index.unfinished(bench.owner, None, 100) == [Entry(NOW + 1, task.id)]


@pytest.mark.parametrize("fault", [Killed(), StoreUnavailable("Redis cannot be reached")])
@pytest.mark.parametrize("healed_by", ["page", "filtered page", "delivery", "repeated start"])
async def test_an_end_that_was_written_and_not_noted_is_noted_later(
    bench: Bench, fault: BaseException, healed_by: str
) -> None:
    """Until then the task is among the unfinished ones, of which every reader reads the records."""
    task_id = await bench.created()
    attempt, done = completing(await claim(bench.tasks, task_id))
    bench.counted.fault, bench.counted.left = fault, 1
    if isinstance(fault, Killed):
        with pytest.raises(Killed):
            await bench.counting.commit(attempt, done)
    else:
        await bench.counting.commit(attempt, done)  # the task has ended, whatever else fails
    assert (await bench.unfinished(), await bench.ended()) == ([task_id], [])
    assert [task.status for task in await bench.index.records([task_id])] == [Status.COMPLETED]
    if healed_by == "page":
        assert await bench.listed() == [task_id]
    elif healed_by == "filtered page":
        assert await bench.listed(Status.FAILED, Status.PENDING) == []
    elif healed_by == "delivery":
        await bench.tasks.claim(task_id, LEASE, NOW)
    else:
        await bench.tasks.create(Task.submit(task_id, REQUEST, NOW, bench.owner))
    assert (await bench.unfinished(), await bench.ended()) == ([], [task_id])
    cursors = await bench.index.ended(bench.owner, 0, 100)
    await bench.tasks.claim(task_id, LEASE, NOW)
    assert await bench.index.ended(bench.owner, 0, 100) == cursors, "a cursor does not change"


async def test_a_kill_before_the_entry_of_a_deleted_task_is_removed(bench: Bench) -> None:
    task_id = await bench.created()
    bench.counted.left = 2
    with pytest.raises(Killed):
        await bench.counting.delete(task_id)
    assert await bench.listed() == []
    with pytest.raises(DeletedTask):
        await bench.tasks.create(Task.submit(task_id, REQUEST, NOW, bench.owner))
    assert await bench.unfinished() == [], "a late delivery removes it"


async def test_an_end_of_another_time_is_noted_anew(bench: Bench) -> None:
    """A failover may have lost the first one together with the record."""
    task_id = await bench.created()
    await completed(bench.tasks, task_id)
    first = await bench.index.ended(bench.owner, 0, 10)
    await bench.connection.call("DEL", keys_of(task_id).record)
    await bench.tasks.create(Task.submit(task_id, REQUEST, NOW, bench.owner))
    assert (await bench.unfinished(), await bench.ended()) == ([task_id], [])
    assert await bench.listed(Status.PENDING) == [task_id]
    await bench.tasks.cancel(task_id, NOW + 1)
    (entry,) = await bench.index.ended(bench.owner, 0, 10)
    assert entry.cursor > first[0].cursor
    assert await bench.listed(Status.CANCELLED) == [task_id]


async def test_an_index_that_was_lost_is_written_by_the_next_changes(bench: Bench) -> None:
    pending, running = await bench.created(), await bench.created()
    attempt = await claim(bench.tasks, running)
    for name in owner_keys(bench.owner).index:
        await bench.connection.call("DEL", name)
    await bench.tasks.commit(*completing(attempt))
    await bench.tasks.cancel(pending, NOW)
    assert set(await bench.ended()) == {pending, running}
    assert set(await bench.listed()) == {pending, running}
    assert await bench.listed(Status.CANCELLED) == [pending]


async def test_a_task_of_the_version_before_is_listed_once_this_one_has_it(
    bench: Bench,
) -> None:
    records, bench.owner = Records(bench.connection, bench.tasks), "alice"
    for name in owner_keys("alice").index:
        await bench.connection.call("DEL", name)
    old = await OldRecord.written(records, VERSIONS_BEFORE["requests of version 2"])
    attempt = await claim(bench.tasks, old.id)
    assert await bench.unfinished() == [old.id]
    (task,) = (await bench.index.page("alice", TaskFilter(metadata={"k": "v"}), None, 10)).tasks
    assert (task.id, task.title) == (old.id, "Aé")
    await bench.tasks.commit(*completing(attempt))
    assert (await bench.unfinished(), await bench.ended()) == ([], [old.id])


async def test_a_task_of_another_owner_is_not_listed_because_its_id_was_asked_for(
    bench: Bench,
) -> None:
    theirs = await bench.created()
    other = f"{bench.owner}_other"
    existing = await bench.tasks.create(Task.submit(theirs, REQUEST, NOW + 5, other))
    assert existing.owner == bench.owner
    assert await bench.index.unfinished(other, None, 10) == []
    bench.counted.left = 1  # killed before it learns that the task is another's
    with pytest.raises(Killed):
        await bench.counting.create(Task.submit(theirs, REQUEST, NOW + 5, other))
    assert (await bench.index.page(other, TaskFilter(), None, 10)).tasks == []
    assert await bench.listed() == [theirs]


async def test_records_of_the_next_version_are_left_out_with_one_log_line(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    ids = [await bench.created(at=NOW + at) for at in range(4)]
    for task_id in ids[1:3]:
        await bench.connection.call("HSET", keys_of(task_id).record, "v", "3")
    assert await bench.listed() == [ids[3], ids[0]]
    lines = [each.getMessage() for each in caplog.records if "left out" in each.getMessage()]
    assert len(lines) == 1
    assert "number=2" in lines[0]


async def test_a_watch_knows_the_last_status_though_writers_are_killed_at_any_step(
    bench: Bench,
) -> None:
    hub = Hub(RedisBroker(bench.connection, CountingObserver()))
    clock, chance, ids = SystemClock(), random.Random(5), list[str]()
    orphans = FailOrphanedTasks(bench.tasks, clock, ORPHAN_TIMEOUT)
    watch_tasks = WatchTasks(bench.index, hub, clock, orphans, ping_interval=1.0, max_watchers=2)
    client, stopped = Client(), asyncio.Event()

    async def write() -> None:
        while not stopped.is_set():
            killed = Counted(bench.connection)
            killed.left = chance.randrange(1, 9)
            tasks, task = RedisTaskLog(killed, TTL), bench.task()
            ids.append(task.id)
            with suppress(Killed, LeaseLost):
                await tasks.create(Task.submit(task.id, REQUEST, NOW, bench.owner))
                attempt = await claim(tasks, task.id)
                if chance.random() < 0.3:
                    await tasks.commit(attempt, attempt.task.requeue(NOW, "x"))
                    attempt = await claim(tasks, task.id)
                if chance.random() < 0.3:
                    await tasks.cancel(task.id, NOW)
                await tasks.commit(*completing(attempt))
            await asyncio.sleep(chance.random() / 50)

    writers = [asyncio.create_task(write()) for _ in range(2)]
    rounds = 0
    while rounds < 10 or len(ids) < 80:  # so many that some were killed at each step
        rounds += 1
        watch = await watch_tasks(bench.owner, client.cursor)
        following = asyncio.create_task(client.follow(watch))
        await asyncio.sleep(chance.random() / 10)
        await watch.aclose()
        await following
    stopped.set()
    await asyncio.gather(*writers)
    there = {task.id: task for task in await bench.index.records(ids)}
    unnoted = [each for each in await bench.unfinished() if each in there]
    assert [each for each in unnoted if there[each].status.terminal]
    assert len(there) < len(ids)
    known = {task.id: (task.status, task.attempt) for task in there.values()}
    watch = await watch_tasks(bench.owner, client.cursor)
    following = asyncio.create_task(client.follow(watch))
    await until(lambda: client.known == known)
    await watch.aclose()
    await following
    await hub.aclose()
