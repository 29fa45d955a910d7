"""What every TaskIndex promises (application/ports/task_index.py): pages of an owner's tasks."""

import secrets
from collections.abc import Sequence
from dataclasses import replace

import pytest

from application.errors import UnknownTask
from application.ports import EXAMINED, Entry, TaskLog
from domain.answer import Answer
from domain.events import TaskStatus
from domain.failure import Failure
from domain.request import TaskRequest
from domain.task import Task
from domain.task_filter import TaskFilter
from tests.builders import NOW, REQUEST, claim
from tests.contract.stores import Store, in_time
from tests.waiting import until

FAILURE = Failure("model_error", "It failed.", True)
ALL = TaskFilter()
BRIEF = replace(REQUEST, ttl=1)


def new_owner() -> str:
    """Of a test: a server keeps what earlier ones have left."""
    return f"owner_{secrets.token_hex(6)}"


async def created(
    tasks: TaskLog,
    owner: str | None,
    at: int = NOW,
    task_id: str = "",
    request: TaskRequest = REQUEST,
) -> str:
    task_id = task_id or f"task_{at}_{secrets.token_hex(6)}"
    await tasks.create(Task.submit(task_id, request, at, owner))
    return task_id


async def completed(tasks: TaskLog, task_id: str, model: str = "m") -> None:
    attempt = await claim(tasks, task_id)
    done = attempt.task.complete(
        NOW, answer=Answer(""), finish_reason="stop", model=model, usage=None
    )
    await tasks.commit(attempt, done)


async def listed(
    store: Store, owner: str | None, wanted: TaskFilter = ALL, limit: int = 100
) -> list[str]:
    """All that match, read in pages."""
    ids: list[str] = []
    after: Entry | None = None
    while True:
        page = await store.index.page(owner, wanted, after, limit)
        assert len(page.tasks) <= limit
        ids += [task.id for task in page.tasks]
        if page.next is None:
            return ids
        assert after is None or page.next < after
        after = page.next


async def test_pages_have_the_newest_first_and_ties_in_the_order_of_their_ids(
    store: Store,
) -> None:
    owner = new_owner()
    suffix = secrets.token_hex(4)
    places = [(NOW + 1, f"{letter}-{suffix}") for letter in "zAb0"]
    places += [(NOW, f"zz{suffix}"), (NOW + 1, f"A_b-{suffix}"), (NOW + 1000, f"a{suffix}")]
    for at, task_id in sorted(places, key=lambda _: secrets.token_hex(4)):
        await created(store.tasks, owner, at, task_id)
    expected = [task_id for _, task_id in sorted(places, reverse=True)]
    for limit in (1, 2, 3, 100):
        assert await listed(store, owner, limit=limit) == expected
    page = await store.index.page(owner, ALL, None, len(expected))
    assert page.next is None, "there is no more behind the last one"
    assert [await store.tasks.get(task_id) for task_id in expected] == list(page.tasks)


async def test_a_cursor_stays_where_it_is_while_tasks_come_and_go(store: Store) -> None:
    owner = new_owner()
    ids = [await created(store.tasks, owner, NOW + at) for at in range(6)]
    page = await store.index.page(owner, ALL, None, 2)
    assert [task.id for task in page.tasks] == [ids[5], ids[4]]
    assert page.next is not None
    await created(store.tasks, owner, NOW + 10)
    await store.tasks.delete(ids[4])  # the one that the cursor names
    await store.tasks.delete(ids[3])  # and the next
    late = await created(store.tasks, owner, NOW + 1)
    page = await store.index.page(owner, ALL, page.next, 100)
    assert [task.id for task in page.tasks] == [ids[2], *sorted((ids[1], late))[::-1], ids[0]]
    assert page.next is None


async def test_a_list_has_what_matches_the_filter(store: Store) -> None:
    tasks, owner = store.tasks, new_owner()
    red = replace(REQUEST, metadata={"colour": "red", "size": "1"})
    other = replace(REQUEST, model="other")
    pending = await created(tasks, owner, NOW, request=red)
    running = await created(tasks, owner, NOW + 1)
    await claim(tasks, running)
    done = await created(tasks, owner, NOW + 2, request=red)
    await completed(tasks, done, model="m-2")
    failed = await created(tasks, owner, NOW + 3, request=other)
    await tasks.fail(failed, FAILURE, NOW)
    cancelled = await created(tasks, owner, NOW + 4)
    await tasks.cancel(cancelled, NOW)

    async def matching(**wanted: object) -> list[str]:
        return await listed(store, owner, TaskFilter(**wanted))  # type: ignore[arg-type]

    for status, task_id in {
        TaskStatus.PENDING: pending,
        TaskStatus.RUNNING: running,
        TaskStatus.COMPLETED: done,
        TaskStatus.FAILED: failed,
        TaskStatus.CANCELLED: cancelled,
    }.items():
        assert await matching(statuses=frozenset({status})) == [task_id]
    assert await matching(statuses=frozenset({TaskStatus.PENDING, TaskStatus.RUNNING})) == [
        running,
        pending,
    ]
    assert await matching(statuses=frozenset({TaskStatus.RUNNING, TaskStatus.FAILED})) == [
        failed,
        running,
    ]
    assert await matching(model="other") == [failed]
    assert await matching(model="m-2") == [done]
    assert await matching(model="m") == [cancelled, done, running, pending]
    assert await matching(metadata={"colour": "red"}) == [done, pending]
    assert await matching(metadata={"colour": "red", "size": "2"}) == []
    assert await matching(created_after=NOW + 2) == [cancelled, failed]
    assert await matching(created_before=NOW + 2) == [running, pending]
    assert await matching(created_after=NOW, created_before=NOW + 3, model="m") == [done, running]
    assert await matching(created_after=NOW + 9) == []
    assert await matching(statuses=frozenset({TaskStatus.COMPLETED}), metadata={"size": "1"}) == [
        done
    ]


@pytest.mark.soak
async def test_a_page_examines_a_bounded_number_of_tasks(store: Store) -> None:
    owner = new_owner()
    rare = await created(store.tasks, owner, NOW, request=replace(REQUEST, model="rare"))
    ids = [await created(store.tasks, owner, NOW + 1 + at // 7) for at in range(EXAMINED + 20)]
    for wanted in (TaskFilter(model="rare"), TaskFilter(model="rare", created_after=NOW - 1)):
        page = await store.index.page(owner, wanted, None, 10)
        assert page.tasks == []
        assert (
            page.next
            == sorted(Entry(NOW + 1 + at // 7, task_id) for at, task_id in enumerate(ids))[
                -EXAMINED
            ]
        )
        page = await store.index.page(owner, wanted, page.next, 10)
        assert [task.id for task in page.tasks] == [rare]
        assert page.next is None
    await completed(store.tasks, rare)
    done = TaskFilter(frozenset({TaskStatus.COMPLETED}))
    page = await store.index.page(owner, done, None, 1)
    assert (page.tasks, page.next is None) == ([], False)
    assert await listed(store, owner, done) == [rare]
    assert len(await listed(store, owner)) == len(ids) + 1


async def test_the_tasks_of_others_are_in_no_page(store: Store) -> None:
    first, second = new_owner(), new_owner()
    mine = await created(store.tasks, first)
    theirs = await created(store.tasks, second)
    keyless = await created(store.tasks, None, NOW + 10**9)
    assert await listed(store, first) == [mine]
    assert await listed(store, second) == [theirs]
    newest = await store.index.page(None, TaskFilter(created_after=NOW + 10**9 - 1), None, 100)
    assert keyless in [task.id for task in newest.tasks]
    assert not {mine, theirs} & {task.id for task in newest.tasks}
    assert await listed(store, new_owner()) == []
    assert await listed(store, "") == []


async def test_the_records_of_ids_come_in_their_order_without_those_that_are_gone(
    store: Store,
) -> None:
    owner = new_owner()
    first, gone, last = [await created(store.tasks, owner) for _ in range(3)]
    await store.tasks.delete(gone)
    wanted = [last, "task_1_nobody", gone, first]
    assert [task.id for task in await store.index.records(wanted)] == [last, first]
    assert list(await store.index.records([])) == []


async def test_ids_that_a_developer_chose_are_listed(store: Store) -> None:
    owner = new_owner()
    ids = [f"{name}{secrets.token_hex(4)}" for name in ("A-b_c", "0", "x" * 100)]
    for at, task_id in enumerate(ids):
        await created(store.tasks, owner, NOW + at, task_id)
    assert await listed(store, owner, limit=1) == ids[::-1]


async def test_a_task_that_is_created_twice_is_listed_once(store: Store) -> None:
    owner = new_owner()
    task_id = await created(store.tasks, owner)
    await completed(store.tasks, task_id)
    await created(store.tasks, owner, task_id=task_id)
    assert await listed(store, owner) == [task_id]
    assert await unfinished_of(store, owner) == []
    assert len(await store.index.ended(owner, 0, 10)) == 1


async def test_a_task_without_its_request_is_listed(store: Store) -> None:
    """One that a delivery has created again."""
    owner = new_owner()
    task_id = f"task_{NOW}_{secrets.token_hex(6)}"
    await store.tasks.create(Task.restore(task_id, None, "m", NOW, owner, None))
    assert await listed(store, owner) == [task_id]


async def test_what_is_deleted_is_in_no_list(store: Store) -> None:
    owner = new_owner()
    pending, done = await created(store.tasks, owner), await created(store.tasks, owner)
    await completed(store.tasks, done)
    for task_id in (pending, done):
        await store.tasks.delete(task_id)
    assert await listed(store, owner) == []
    assert await store.index.records([pending, done]) == []
    stay = await created(store.tasks, owner)
    assert await listed(store, owner) == [stay]


async def test_what_has_expired_is_in_no_list(forgetful_store: Store) -> None:
    store, owner = forgetful_store, new_owner()
    pending = await created(store.tasks, owner)

    async def one_that_has_ended() -> str:
        task_id = await created(store.tasks, owner)
        await completed(store.tasks, task_id)
        return task_id

    done = await in_time(one_that_has_ended)
    await until(lambda: _gone(store.tasks, [pending, done]))
    assert await listed(store, owner) == []
    assert await listed(store, owner, TaskFilter(frozenset({TaskStatus.PENDING}))) == []
    assert await store.index.records([pending, done]) == []

    async def listed_again() -> bool:
        again = await created(store.tasks, owner, task_id=pending)  # from a late delivery
        return await listed(store, owner) == await unfinished_of(store, owner) == [again]

    await until(listed_again)


@pytest.mark.soak
async def test_what_was_to_be_kept_for_a_short_time_leaves_the_list_then(store: Store) -> None:
    owner = new_owner()
    task_id = await created(store.tasks, owner, request=BRIEF)
    await completed(store.tasks, task_id)
    assert await listed(store, owner) == [task_id]
    await until(lambda: _gone(store.tasks, [task_id]))
    assert await listed(store, owner) == []


async def _gone(tasks: TaskLog, task_ids: Sequence[str]) -> bool:
    for task_id in task_ids:
        try:
            await tasks.get(task_id)
        except UnknownTask:
            continue
        return False
    return True


async def unfinished_of(store: Store, owner: str | None, limit: int = 100) -> list[str]:
    """All of the index, read in pages."""
    ids: list[str] = []
    after: Entry | None = None
    while entries := await store.index.unfinished(owner, after, limit):
        assert entries == sorted(entries, reverse=True)
        ids += [each.task_id for each in entries]
        after = entries[-1]
    return ids
