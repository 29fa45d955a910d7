"""A watch of an owner's tasks: what it tells at first, of changes, and after what it missed."""

import asyncio

import pytest

from adapters.live import OwnerTopic
from application import owner_watch
from application.errors import StoreUnavailable, TooManyStreams
from application.owner_changes import Changed, Missed, Ping
from application.owner_watch import NOTICES
from application.ports import ORPHAN_TIMEOUT, Entry
from application.watch_tasks import BEGINNING, OVERLAP
from domain.events import TaskStatus
from tests.builders import NOW, claim
from tests.contract.test_task_index import FAILURE, completed, created
from tests.unit.watch_bench import OWNER, Bench, cursors, said
from tests.waiting import until


async def test_first_come_the_unfinished_and_then_what_has_ended_in_the_order_of_its_end() -> None:
    bench = Bench()
    ids = [await bench.create(NOW + at) for at in range(5)]
    await claim(bench.tasks, ids[4])
    for at in (3, 0, 1):
        await completed(bench.tasks, ids[at])
    watching = await bench.watch()
    told = await watching.next(5)
    assert said(told) == [
        (ids[4], "running"),
        (ids[2], "pending"),
        (ids[3], "completed"),
        (ids[0], "completed"),
        (ids[1], "completed"),
    ]
    assert len(cursors(told)) == 3
    again = await bench.watch(cursors(told)[0])
    assert said(await again.next(4))[2:] == [(ids[0], "completed"), (ids[1], "completed")]


async def test_each_change_is_told_once_and_the_cursor_moves_behind_it() -> None:
    bench = Bench()
    watching = await bench.watch()
    task_id = await bench.create()
    assert said(await watching.next(1)) == [(task_id, "pending")]
    attempt = await claim(bench.tasks, task_id)
    assert said(await watching.next(1)) == [(task_id, "running")]
    await bench.tasks.note_message(task_id, "msg_1")  # which no client sees
    bench.hub.notify(OWNER, task_id)
    await bench.tasks.commit(attempt, attempt.task.requeue(NOW + 1, "x"))
    assert said(await watching.next(1)) == [(task_id, "pending")]
    await bench.tasks.fail(task_id, FAILURE, NOW + 2)
    told = await watching.next(2)
    assert said(told) == [(task_id, "failed"), ("", "Reached")]
    bench.hub.notify(OWNER, task_id)  # comes late
    other = await bench.create()
    assert said(await watching.next(1)) == [(other, "pending")]
    again = await bench.watch(cursors(told)[-1])
    assert said(await again.next(1)) == [(other, "pending")]


async def test_what_is_deleted_is_gone_once() -> None:
    bench = Bench()
    waiting, done = await bench.create(), await bench.create(NOW - 1)
    await completed(bench.tasks, done)
    watching = await bench.watch()
    await watching.next(2)
    await bench.tasks.delete(waiting)
    assert said(await watching.next(1)) == [(waiting, "Gone")]
    await bench.tasks.delete(done)
    assert said(await watching.next(1)) == [(done, "Gone")]


async def test_changes_while_it_reads_the_index_are_told() -> None:
    bench = Bench()
    first, second = await bench.create(NOW + 1), await bench.create(NOW)

    async def meanwhile() -> None:
        await bench.tasks.delete(first)
        await completed(bench.tasks, second)
        await bench.create(NOW + 2)

    bench.index.before_records = meanwhile
    watching = await bench.watch()
    told = await watching.next(3)
    assert (first, "Gone") in said(told)
    assert [status for task_id, status in said(told) if task_id == second] == ["completed"]
    assert len({task_id for task_id, _ in said(told)} - {"", first, second}) == 1


async def test_what_was_missed_is_read_from_the_index() -> None:
    """Notices are lost here: only what is not told yet is."""
    bench = Bench()
    ids = [await bench.create(NOW + at) for at in range(4)]
    watching = await bench.watch()
    await watching.next(4)
    await watching.waits()
    bench.hub.unwatch(OWNER, watching.watch)
    await claim(bench.tasks, ids[0])
    await completed(bench.tasks, ids[1])
    await bench.tasks.delete(ids[2])
    new = await bench.create(NOW + 9)
    passing = await bench.create()
    await bench.tasks.delete(passing)
    await bench.hub.watch(OWNER, watching.watch)
    bench.hub.missed(OwnerTopic(OWNER))
    missed, *told = await watching.next(5)
    assert missed == Missed()
    assert sorted(said(told)) == sorted(
        [(new, "pending"), (ids[0], "running"), (ids[1], "completed"), (ids[2], "Gone")]
    )
    assert len(cursors(told)) == 1
    bench.hub.missed(OwnerTopic(OWNER))
    last = await bench.create()
    assert said(await watching.next(2)) == [("", "Missed"), (last, "pending")]


async def test_more_notices_than_may_wait_are_replaced_by_the_index() -> None:
    bench = Bench()
    watching = await bench.watch()
    ids = [await bench.create(NOW + at) for at in range(NOTICES + 50)]
    for task_id in ids[:-1]:
        await bench.tasks.cancel(task_id, NOW)
    assert len(watching.watch._noticed) <= NOTICES
    await until(lambda: len(watching.told) >= len(ids))
    told = [each for each in watching.told if isinstance(each, Changed)]
    assert {each.task.id: each.task.status for each in told} == {
        **dict.fromkeys(ids, TaskStatus.CANCELLED),
        ids[-1]: TaskStatus.PENDING,
    }
    assert len(told) == len(ids), "each was told once"


async def test_notices_that_come_after_too_many_are_read_as_usual() -> None:
    bench = Bench()
    watching = await bench.watch()
    await bench.create()
    for number in range(NOTICES + 1):
        bench.hub.notify(OWNER, f"gone_{number}")

    late = [f"late_{number}" for number in range(10)]

    async def meanwhile() -> None:
        for each in late:
            bench.hub.notify(OWNER, each)

    bench.index.before_records = meanwhile
    await until(lambda: {(each, "Gone") for each in late} <= {*said(watching.told)})
    assert said(watching.told).count(("", "Missed")) == 1


async def test_changes_that_follow_each_other_fast_are_read_together() -> None:
    bench = Bench()
    watching = await bench.watch()
    for at in range(500):
        last = await bench.create(NOW + at)
        await asyncio.sleep(0)  # the watch could read meanwhile
    await until(lambda: (last, "pending") in said(watching.told))
    assert len(watching.told) == 500
    assert bench.index.reads < 60


async def test_a_store_that_is_unavailable_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(owner_watch, "STORE_PAUSE", 0.01)
    bench = Bench(ping_interval=0.05)
    done = await bench.create()
    await completed(bench.tasks, done)
    watching = await bench.watch()
    await watching.next(1)
    bench.index.fails = True
    with pytest.raises(StoreUnavailable):
        await bench.watch(NOW)
    await bench.tasks.delete(done)
    task_id = await bench.create()
    told = await watching.next(2)
    assert said(told) == [("", "Ping"), ("", "Ping")], "the connection is kept open meanwhile"
    bench.index.fails = False
    await until(lambda: len([each for each in watching.told if not isinstance(each, Ping)]) == 2)
    assert {(task_id, "pending"), (done, "Gone")} <= set(said(watching.told))


async def test_it_pings_where_nothing_happens() -> None:
    watching = await Bench(ping_interval=0.01).watch()
    assert said(await watching.next(3))[:3] == [("", "Ping")] * 3


async def test_it_begins_an_hour_ago_or_where_the_client_was() -> None:
    bench = Bench()
    now = bench.clock.now()
    task_id = await bench.create()
    await completed(bench.tasks, task_id)
    (entry,) = await bench.tasks.index.ended(OWNER, 0, 10)

    async def begin(since: int | None) -> int:
        watch = await bench.watch_tasks(OWNER, since)
        await watch.aclose()
        return watch.since

    assert abs(await begin(None) - (now - BEGINNING)) < 10_000
    assert await begin(entry.cursor) == entry.cursor
    assert await begin(NOW) == NOW
    # Not there any more, or never: the store may have lost its end.
    assert await begin(entry.cursor - 1) <= bench.clock.now() - OVERLAP
    assert abs(await begin(now + 10**9) - (now - BEGINNING)) < 10_000
    assert abs(await begin(10**30) - (now - BEGINNING)) < 10_000


async def test_orphaned_tasks_are_failed_as_every_read_does() -> None:
    bench = Bench(ping_interval=0.02)
    task_id = await bench.create(bench.clock.now())
    watching = await bench.watch()
    await until(lambda: (task_id, "pending") in said(watching.told))
    bench.clock.ahead = round(ORPHAN_TIMEOUT * 1000) + 1
    await until(lambda: (task_id, "failed") in said(watching.told))


async def test_a_process_has_a_limit_of_watches() -> None:
    bench = Bench()
    first, second = [await bench.watch_tasks(OWNER, None) for _ in range(2)]
    with pytest.raises(TooManyStreams):
        await bench.watch_tasks("other", None)
    for _ in range(2):
        await first.aclose()
    third = await bench.watch_tasks(OWNER, None)
    with pytest.raises(TooManyStreams):
        await bench.watch_tasks(OWNER, None)
    await second.aclose()
    await third.aclose()
    bench.index.fails = True
    for _ in range(3):
        with pytest.raises(StoreUnavailable):
            await bench.watch_tasks(OWNER, 5)
    bench.index.fails = False
    await (await bench.watch_tasks(OWNER, None)).aclose()
    assert bench.hub._watchers == {}


async def test_it_ends_when_it_is_closed_and_when_the_process_stops() -> None:
    bench = Bench()
    closed, stopped = await bench.watch(), await bench.watch()
    await closed.watch.aclose()
    await closed.ended
    bench.hub.close()
    await stopped.ended
    await stopped.watch.aclose()
    late = await bench.watch()
    await late.ended
    assert late.told == []


async def test_nothing_of_what_has_ended_stays_in_memory() -> None:
    bench = Bench()
    watching = await bench.watch()
    for _ in range(5):
        task_id = await bench.create()
        await completed(bench.tasks, task_id)
    await until(lambda: cursors(watching.told))
    await until(lambda: not watching.watch._told)
    assert not watching.watch._awaited


async def test_other_owners_are_not_told_of() -> None:
    bench = Bench()
    theirs = await created(bench.tasks, "other")
    bench.index.foreign = [Entry(NOW, theirs)]  # as where an owner has asked for that id
    watching = await bench.watch()
    await completed(bench.tasks, theirs)
    mine = await bench.create()
    assert said(await watching.next(1)) == [(mine, "pending")]
