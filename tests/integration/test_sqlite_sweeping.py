"""What is over leaves the file: in small steps, while others write, and the file shrinks."""

import asyncio
import sqlite3
import time
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from adapters.database import Transaction
from adapters.sqlite import TASKS
from adapters.sqlite.sweeping import sweep
from application.errors import UnknownTask
from domain.events import ContentAdded
from domain.failure import Failure
from domain.request import TaskRequest
from tests.builders import LEASE, NOW, begun, submit
from tests.contract.stores import events_of
from tests.integration.sqlite_bench import Opened, opened
from tests.waiting import until

MIB = 1024 * 1024
ROWS = """
SELECT (SELECT count(*) FROM tasks) + (SELECT count(*) FROM requests)
    + (SELECT count(*) FROM batches) + (SELECT count(*) FROM tombstones)
    + (SELECT count(*) FROM windows) + (SELECT count(*) FROM slots)
    + (SELECT count(*) FROM idempotency_keys)
"""


async def _rows(file: Opened) -> int:
    ((rows,),) = await file.rows(ROWS)
    return int(rows)


async def test_a_swept_file_shrinks(tmp_path: Path) -> None:
    path = tmp_path / "longtask.db"
    async with opened(path, pause=None) as file:
        kept = await submit(file.tasks)
        for _ in range(3):
            task_id = await submit(file.tasks, TaskRequest(model="m", prompt="x" * 4 * MIB))
            await file.tasks.cancel(task_id, NOW)
            await file.change("UPDATE tasks SET expires = 1 WHERE id = ?", task_id)
    large = path.stat().st_size
    assert large > 12 * MIB
    async with opened(path) as file:
        await until(lambda: _is_small(file))
        assert (await file.tasks.get(kept)).id == kept
    assert path.stat().st_size < 3 * MIB


async def _is_small(file: Opened) -> bool:
    ((pages,),) = await file.rows("PRAGMA page_count")
    return bool(pages < 600)


async def test_expired_rows_leave_in_small_steps_between_the_writes_of_others(
    tmp_path: Path,
) -> None:
    def fill(transaction: Transaction) -> None:
        transaction.execute(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 100000)"
            " INSERT INTO batches"
            " SELECT (1000 + n / 200 << 28) + n % 200 + 1, 1, 11, 'x', NULL FROM n"
        )
        transaction.execute(
            "INSERT INTO tasks SELECT DISTINCT key >> 28, 'old' || (key >> 28), 1, 'failed', 1,"
            " '{}', NULL, '1-e', 1, NULL, 1, key >> 28 FROM batches"
        )
        transaction.execute("INSERT INTO requests SELECT task, 1, '{}' FROM tasks WHERE expires=1")
        transaction.execute("INSERT INTO tombstones SELECT id, 1, 0 FROM tasks WHERE expires = 1")

    async with opened(tmp_path / "longtask.db", pause=None) as file:
        await file.database.write(fill)
        assert await _rows(file) > 100_000
    async with opened(tmp_path / "longtask.db") as file:
        with pytest.raises(UnknownTask):
            await file.tasks.get("old1001")
        attempt = await begun(file.tasks)
        left, appends = [await _rows(file)], 0
        while left[-1] > 10:
            attempt = await file.tasks.append(attempt, [ContentAdded(NOW, "a")], LEASE)
            appends += 1
            left.append(await _rows(file) - appends)
        assert max(before - after for before, after in pairwise(left)) < 5_000
        assert len(await events_of(file.tasks, attempt.task.id)) == 2 + appends


async def test_a_deleted_task_is_soon_gone_from_the_file(tmp_path: Path) -> None:
    async with opened(tmp_path / "longtask.db") as file:
        await file.tasks.delete((await begun(file.tasks)).task.id)
        await until(lambda: _only_the_tombstone(file))


async def _only_the_tombstone(file: Opened) -> bool:
    return await _rows(file) == 1


async def test_counts_and_keys_that_are_over_leave_too(tmp_path: Path) -> None:
    async with opened(tmp_path / "longtask.db") as file:
        await file.change("INSERT INTO windows VALUES ('c', 1, 1, 1)")
        await file.change("INSERT INTO slots VALUES ('c', 'h', 1)")
        await file.change("INSERT INTO idempotency_keys VALUES (x'00', 'f', 't', 1, 1)")
        await until(lambda: _empty(file))


async def _empty(file: Opened) -> bool:
    return await _rows(file) == 0


async def test_nothing_of_a_task_that_is_over_stays_in_memory(tmp_path: Path) -> None:
    async with opened(tmp_path / "longtask.db") as file:
        attempt, deleted = await begun(file.tasks), await submit(file.tasks)
        await file.tasks.commit(attempt, attempt.task.fail(NOW, Failure("c", "m", True)))
        await file.tasks.note_message(attempt.task.id, "late")
        deleting = asyncio.create_task(file.tasks.delete(deleted))
        await asyncio.sleep(0)
        deleting.cancel()
        await file.tasks.check()
        assert (await file.tasks.get(attempt.task.id)).message_id == "late"
        assert file.tasks._live._signs == {}


async def test_a_step_takes_no_longer_if_many_large_requests_wait(tmp_path: Path) -> None:
    """Of 100 requests one goes in each step; the others are not read."""

    def fastest_step(requests: int) -> float:
        def fill(transaction: Transaction) -> None:
            for task in range(1, requests + 1):
                transaction.execute(
                    "INSERT INTO tasks VALUES"
                    " (?, NULL, 1, 'failed', 1, '{}', NULL, '1-e', 0, NULL, 1, NULL)",
                    (task,),
                )
                transaction.execute("INSERT INTO requests VALUES (?, 1, zeroblob(?))", (task, MIB))

        with closing(sqlite3.connect(tmp_path / f"{requests}.db", isolation_level=None)) as file:
            file.executescript("".join(TASKS.migrations))
            transaction = Transaction(file)
            file.execute("BEGIN")
            fill(transaction)
            file.execute("COMMIT")
            took = []
            for _ in range(min(requests, 5)):
                began = time.thread_time()
                assert sweep(transaction, 1)
                took.append(time.thread_time() - began)
            return min(took)

    assert await asyncio.to_thread(fastest_step, 100) < 5 * await asyncio.to_thread(fastest_step, 5)
