"""What every TaskIndex and ChangeFeed promise of tasks as they change: which have not ended, which
have ended since a cursor, and a notice of each change."""

import asyncio
import random
import time
from contextlib import suppress

import pytest

from adapters.redis import RedisTaskLog
from application.errors import LeaseLost, UnknownTask
from application.ports import EndedEntry, Entry, TaskIndex
from domain.errors import IllegalTransition
from tests.builders import LEASE, NOW, claim
from tests.contract.stores import Store
from tests.contract.test_task_index import FAILURE, completed, created, new_owner, unfinished_of
from tests.doubles.readers import RecordingWatcher
from tests.waiting import until

PAGE = 3


async def ended_since(index: TaskIndex, owner: str | None, since: int) -> list[EndedEntry]:
    entries: list[EndedEntry] = []
    while page := await index.ended(owner, since, PAGE):
        entries += page
        since = page[-1].cursor
    return entries


async def test_a_task_is_unfinished_until_it_has_ended(store: Store) -> None:
    tasks, owner = store.tasks, new_owner()
    waiting = await created(tasks, owner, NOW)
    running = await created(tasks, owner, NOW + 1)
    attempt = await claim(tasks, running)
    requeued = await created(tasks, owner, NOW + 2)
    lost = await claim(tasks, requeued)
    await tasks.commit(lost, lost.task.requeue(NOW, "x"))
    done, failed, cancelled = [await created(tasks, owner, NOW + 3 + each) for each in range(3)]
    await completed(tasks, done)
    await tasks.fail(failed, FAILURE, NOW)
    await tasks.cancel(cancelled, NOW)
    for limit in (1, 2, 100):
        assert await unfinished_of(store, owner, limit) == [requeued, running, waiting]
    assert [each.task_id for each in await ended_since(store.index, owner, 0)] == [
        done,
        failed,
        cancelled,
    ]
    await tasks.commit(attempt, attempt.task.fail(NOW, FAILURE))
    await tasks.delete(waiting)
    assert await unfinished_of(store, owner) == [requeued]
    assert (await ended_since(store.index, owner, 0))[-1].task_id == running
    assert await unfinished_of(store, new_owner()) == []
    assert await store.index.ended(new_owner(), 0, 10) == []


async def test_cursors_tell_when_tasks_ended_and_no_two_are_alike(store: Store) -> None:
    owner = new_owner()
    ids = [await created(store.tasks, owner) for _ in range(8)]
    before = round(time.time() * 1000)
    await asyncio.gather(*(store.tasks.cancel(task_id, NOW) for task_id in ids))
    after = round(time.time() * 1000)
    entries = await ended_since(store.index, owner, 0)
    cursors = [each.cursor for each in entries]
    assert sorted({each.task_id for each in entries}) == sorted(ids)
    assert cursors == sorted(set(cursors))
    # A server's clock may differ by some ms, and each cursor is behind the last one.
    assert before - 1000 <= cursors[0] <= cursors[-1] <= after + len(ids) + 1000
    for place, cursor in enumerate(cursors):
        assert await ended_since(store.index, owner, cursor) == entries[place + 1 :]
        assert await ended_since(store.index, owner, cursor - 1) == entries[place:]


async def test_a_deleted_task_is_neither_unfinished_nor_ended(store: Store) -> None:
    owner = new_owner()
    first, deleted, last = [await created(store.tasks, owner) for _ in range(3)]
    for task_id in (first, deleted, last):
        await completed(store.tasks, task_id)
    await store.tasks.delete(deleted)
    assert [each.task_id for each in await ended_since(store.index, owner, 0)] == [first, last]
    await store.tasks.delete(last)
    again = await created(store.tasks, owner)
    (remaining,) = await ended_since(store.index, owner, 0)
    await completed(store.tasks, again)
    (newest,) = await ended_since(store.index, owner, remaining.cursor)
    assert newest.task_id == again


async def test_nothing_falls_between_unfinished_and_ended(store: Store) -> None:
    """While tasks are created, end and are deleted, a reader that knows a cursor and reads what is
    unfinished, then what has ended since, always knows of every task that there was before."""
    owner, chance = new_owner(), random.Random(7)
    there: dict[str, None] = {}
    """Tasks that were created, and of which no delete has begun."""
    stopped = asyncio.Event()

    async def write() -> None:
        while not stopped.is_set():
            task_id = await created(store.tasks, owner, NOW + chance.randrange(50))
            there[task_id] = None
            await asyncio.sleep(chance.random() / 200)
            with suppress(UnknownTask, LeaseLost):  # another writer may delete it
                match chance.randrange(4):
                    case 0:
                        await completed(store.tasks, task_id)
                    case 1:
                        await store.tasks.cancel(task_id, NOW)
                    case 2:
                        await claim(store.tasks, task_id)
                if len(there) > 20:
                    chosen = chance.choice(list(there))
                    del there[chosen]
                    await store.tasks.delete(chosen)

    writers = [asyncio.create_task(write()) for _ in range(4)]
    since, known_ended = 0, set[str]()
    try:
        while len(known_ended) < 60:
            await asyncio.sleep(0)  # a store may read without a pause
            must_be_known = set(there)
            unfinished = await _unfinished(store.index, owner)
            ended = await ended_since(store.index, owner, since)
            known_ended |= {each.task_id for each in ended}
            since = ended[-1].cursor if ended else since
            lacking = must_be_known & there.keys() - unfinished - known_ended
            assert not lacking, f"{lacking} are in neither list"
    finally:
        stopped.set()
        await asyncio.gather(*writers)


async def _unfinished(index: TaskIndex, owner: str) -> set[str]:
    ids: set[str] = set()
    after: Entry | None = None
    while page := await index.unfinished(owner, after, PAGE):
        ids |= {each.task_id for each in page}
        after = page[-1]
    return ids


async def test_a_notice_goes_out_for_each_change(store: Store) -> None:
    tasks, owner, watcher = store.tasks, new_owner(), RecordingWatcher()
    waiting, failing, cancelling, deleted = [await created(tasks, owner) for _ in range(4)]
    completing, requeued = [await claim(tasks, await created(tasks, owner)) for _ in range(2)]
    await store.changes.watch(owner, watcher)

    async def told(task_id: str) -> None:
        await until(lambda: task_id in watcher.noticed)

    await told(await created(tasks, owner))
    await claim(tasks, waiting)
    await told(waiting)
    await tasks.commit(requeued, requeued.task.requeue(NOW, "x"))
    await told(requeued.task.id)
    await tasks.commit(completing, completing.task.fail(NOW, FAILURE))
    await told(completing.task.id)
    await tasks.fail(failing, FAILURE, NOW)
    await told(failing)
    await tasks.cancel(cancelling, NOW)
    await told(cancelling)
    await tasks.delete(deleted)
    await told(deleted)
    assert watcher.misses == 0


async def test_no_notice_goes_out_for_what_changes_nothing(store: Store) -> None:
    tasks, owner, watcher = store.tasks, new_owner(), RecordingWatcher()
    await store.changes.watch(owner, watcher)
    ended = await created(tasks, owner)
    await tasks.cancel(ended, NOW)
    # Redis tells of an end twice, and a Cluster's nodes tell each other late.
    notices = [ended] * (3 if isinstance(tasks, RedisTaskLog) else 2)
    await until(lambda: watcher.noticed == notices)
    with pytest.raises(IllegalTransition):
        await tasks.cancel(ended, NOW)
    marker = await created(tasks, owner)
    await until(lambda: marker in watcher.noticed)
    assert watcher.noticed == [*notices, marker]


async def test_a_notice_comes_once_the_record_can_be_read(store: Store) -> None:
    """A watcher that reads the record when it is told finds the change."""
    owner = new_owner()

    class Reading(RecordingWatcher):
        def __init__(self) -> None:
            super().__init__()
            self.reads: list[asyncio.Task[str]] = []

        def changed(self, task_id: str) -> None:
            super().changed(task_id)
            self.reads.append(asyncio.create_task(self._status(task_id)))

        async def _status(self, task_id: str) -> str:
            found = await store.index.records([task_id])
            return found[0].status.value if found else "gone"

    watcher = Reading()
    await store.changes.watch(owner, watcher)
    ids = [await created(store.tasks, owner) for _ in range(5)]
    await until(lambda: set(watcher.noticed) == set(ids))
    assert set(await asyncio.gather(*watcher.reads)) == {"pending"}
    watcher.reads.clear()
    watcher.noticed.clear()
    for task_id in ids:
        await store.tasks.cancel(task_id, NOW)
    await until(lambda: set(watcher.noticed) == set(ids))
    assert set(await asyncio.gather(*watcher.reads)) == {"cancelled"}


async def test_notices_are_for_the_owner_alone(store: Store) -> None:
    mine, theirs, keyless = RecordingWatcher(), RecordingWatcher(), RecordingWatcher()
    owner, other = new_owner(), new_owner()
    await store.changes.watch(owner, mine)
    await store.changes.watch(other, theirs)
    await store.changes.watch(None, keyless)
    second = RecordingWatcher()
    await store.changes.watch(owner, second)
    task_id = await created(store.tasks, owner)
    free = await created(store.tasks, None)
    await created(store.tasks, other)
    assert await mine.notices(1) == await second.notices(1) == [task_id]
    await theirs.notices(1)
    await until(lambda: free in keyless.noticed)
    assert task_id not in keyless.noticed
    assert (mine.noticed, theirs.noticed) == ([], [])


async def test_who_watches_no_more_is_told_nothing(store: Store) -> None:
    owner, left, stayed = new_owner(), RecordingWatcher(), RecordingWatcher()
    await store.changes.watch(owner, left)
    await store.changes.watch(owner, stayed)
    for _ in range(2):
        store.changes.unwatch(owner, left)
    task_id = await created(store.tasks, owner)
    assert await stayed.notices(1) == [task_id]
    store.changes.unwatch(owner, stayed)
    store.changes.unwatch(new_owner(), stayed)
    await claim(store.tasks, task_id, LEASE)
    await store.changes.watch(owner, stayed)  # anew
    other = await created(store.tasks, owner)
    await until(lambda: other in stayed.noticed)  # a Cluster may still tell of the claim
    assert left.noticed == []


async def test_watchers_are_closed_with_the_feed(store: Store) -> None:
    owner, before, after = new_owner(), RecordingWatcher(), RecordingWatcher()
    await store.changes.watch(owner, before)
    store.close_feed()
    assert before.is_closed
    await store.changes.watch(owner, after)
    assert after.is_closed
