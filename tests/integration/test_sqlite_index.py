"""The index of tasks in the data file: a file of the version before it, and 100,000 tasks of one
owner."""

import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path

import pytest

from adapters.database import Schema, open_database
from adapters.record_codec import encode_task
from adapters.sqlite import KEYS, LIMITS, TASKS
from application.ports import TaskIndex
from domain.events import TaskStatus
from domain.task import Task
from domain.task_filter import TaskFilter
from tests.builders import NOW, REQUEST, begun
from tests.contract.test_task_changes import ended_since
from tests.contract.test_task_index import completed, created
from tests.integration.sqlite_bench import opened
from tests.waiting import within

BEFORE = Schema("tasks", TASKS.migrations[:1])
FAILED = TaskFilter(frozenset({TaskStatus.FAILED}))
FOR_LONG = 10**14
FILL = """
INSERT INTO tasks (id, v, status, attempt, state, epochs, expires)
WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < ? - 1)
SELECT 'task_' || n, 1, CASE WHEN n % 10 THEN 'failed' ELSE 'pending' END, 0,
    CAST(json_set(?, '$.id', 'task_' || n, '$.created_at', ? + n / 3,
        '$.owner', CASE WHEN n % 1000 = 1 THEN NULL ELSE 'me' END,
        '$.finished_at', CASE WHEN n % 10 THEN ? - n / 4 END,
        '$.status', CASE WHEN n % 10 THEN 'failed' ELSE 'pending' END) AS BLOB),
    '1-e', CASE WHEN n % 10 THEN ? END
FROM numbers
"""


async def _file_of_before(path: Path, tasks: int) -> None:
    state = encode_task(Task.submit("t", REQUEST, NOW, "me").task).decode()
    with closing(open_database(path, [BEFORE, LIMITS, KEYS])) as database:
        values = (tasks, state, NOW, NOW, FOR_LONG)
        await database.write(lambda transaction: transaction.execute(FILL, values).rowcount)


async def test_the_tasks_of_a_file_of_the_version_before_are_listed(tmp_path: Path) -> None:
    path, count = tmp_path / "longtask.db", 3_000
    await _file_of_before(path, count)
    with closing(open_database(path, [BEFORE, LIMITS, KEYS])) as database:
        await database.write(
            lambda transaction: (
                transaction.execute(
                    "UPDATE tasks SET v = 0, state = x'00ff' WHERE id = 'task_5'"
                ).rowcount
            )
        )
    async with opened(path, pause=None) as file:
        index = file.tasks.index
        page = await index.page("me", TaskFilter(), None, 100)
        newest = [task.id for task in page.tasks[:3]]
        assert newest == [f"task_{count - each}" for each in (1, 2, 3)]
        unfinished = [each.task_id for each in await index.unfinished("me", None, count)]
        assert len(unfinished) == count // 10
        assert (await index.unfinished(None, None, count)) == []
        ended = await ended_since(index, "me", 0)
        assert len(ended) == count - count // 10 - 3 - 1  # without owner, and the one unreadable
        assert [each.task_id for each in ended[-2:]] == ["task_2", "task_3"]  # which ended last
        assert len({each.cursor for each in ended}) == len(ended)
        keyless = await index.page(None, TaskFilter(), None, 100)
        assert {task.id for task in keyless.tasks} == {"task_1", "task_1001", "task_2001"}
        await completed(file.tasks, unfinished[0])
        (last,) = await index.ended("me", ended[-1].cursor, 10)
        assert last.task_id == unfinished[0]


async def test_cursors_go_on_behind_the_last_one_when_the_file_is_opened_again(
    tmp_path: Path,
) -> None:
    path, future = tmp_path / "longtask.db", time.time() + 1000
    async with opened(path, wall=lambda: future) as file:
        first = await created(file.tasks, "me")
        await completed(file.tasks, first)
    async with opened(path) as file:  # with a clock that was set back
        second = await created(file.tasks, "me")
        await completed(file.tasks, second)
        ended = await file.tasks.index.ended("me", 0, 10)
        assert [each.task_id for each in ended] == [first, second]
        assert ended[1].cursor == ended[0].cursor + 1


async def test_nothing_of_what_is_deleted_is_left_in_the_index(tmp_path: Path) -> None:
    async with opened(tmp_path / "longtask.db", pause=None) as file:
        attempt = await begun(file.tasks)
        done = await created(file.tasks, None)
        await completed(file.tasks, done)
        for task_id in (attempt.task.id, done):
            await file.tasks.delete(task_id)
        for name in ("tasks_listed", "tasks_unfinished_of", "tasks_ended_of"):
            condition = {"tasks_listed": "id IS NOT NULL", "tasks_ended_of": "ended IS NOT NULL"}
            where = condition.get(name, "expires IS NULL")
            statement = f"SELECT count(*) FROM tasks INDEXED BY {name} WHERE {where}"  # noqa: S608
            assert await file.rows(statement) == [(0,)]


async def _fastest(call: Callable[[], Awaitable[object]]) -> float:
    took = []
    for _ in range(10):
        began = time.perf_counter()
        await call()
        took.append(time.perf_counter() - began)
    return min(took)


@pytest.mark.soak
async def test_a_page_of_100_000_tasks_takes_milliseconds(tmp_path: Path) -> None:
    """Also of a file that has just been migrated, which takes seconds."""
    path = tmp_path / "longtask.db"
    await _file_of_before(path, 100_000)
    began = time.perf_counter()
    async with opened(path, pause=None) as file:
        assert time.perf_counter() - began < within(10.0)
        await _assert_fast(file.tasks.index)


async def _assert_fast(index: TaskIndex) -> None:
    for wanted in (
        TaskFilter(),
        FAILED,
        TaskFilter(frozenset({TaskStatus.PENDING})),
        TaskFilter(frozenset({TaskStatus.CANCELLED})),
        TaskFilter(frozenset({TaskStatus.RUNNING})),
        TaskFilter(created_before=NOW + 100),
    ):
        assert await _fastest(lambda: index.page("me", wanted, None, 100)) < within(0.02)  # noqa: B023
    assert await _fastest(lambda: index.unfinished("me", None, 100)) < within(0.02)
    assert await _fastest(lambda: index.ended("me", NOW, 100)) < within(0.02)
