"""The engine of the data file: writes in groups, reads, opening and closing, and how each fails."""

import asyncio
import itertools
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from adapters.database import (
    Database,
    DatabaseHeld,
    DatabaseUnavailable,
    Insert,
    Schema,
    Transaction,
    open_database,
    opening,
)
from tests.waiting import within

NUMBERS = Schema("numbers", ("CREATE TABLE numbers (number INTEGER PRIMARY KEY, text TEXT);",))
ROW = Insert("INSERT INTO numbers (number, text)", 2)


class Refused(Exception):
    pass


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "longtask.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    database = open_database(path, [NUMBERS])
    yield database
    await database.aclose()


def adding(number: int, text: str = "") -> Callable[[Transaction], int]:
    def work(transaction: Transaction) -> int:
        transaction.insert(ROW, (number, text))
        return number

    return work


def refusing(after: int | None = None) -> Callable[[Transaction], int]:
    """A work that raises, perhaps after it has written."""

    def work(transaction: Transaction) -> int:
        if after is not None:
            transaction.insert(ROW, (after, ""))
        raise Refused

    return work


async def numbers_of(database: Database) -> list[int]:
    statement = "SELECT number FROM numbers ORDER BY number"
    return [row[0] for row in await database.read(lambda file: file.execute(statement).fetchall())]


async def at_once(
    database: Database, works: Sequence[Callable[[Transaction], int]]
) -> list[object]:
    """Ask for all of them while the writer is busy, so that they are one group."""
    held = asyncio.Event()
    loop = asyncio.get_running_loop()
    first = asyncio.create_task(database.write(lambda _: _wait(loop, held)))
    writes = [asyncio.create_task(database.write(each)) for each in works]
    await asyncio.sleep(0)
    held.set()
    await first
    return await asyncio.gather(*writes, return_exceptions=True)


def _wait(loop: asyncio.AbstractEventLoop, held: asyncio.Event) -> None:
    asyncio.run_coroutine_threadsafe(held.wait(), loop).result()


async def test_a_write_that_fails_takes_no_other_with_it(database: Database) -> None:
    works = [adding(1), refusing(), adding(2), refusing(after=3), adding(1), adding(4)]
    one, refused, two, undone, twice, four = await at_once(database, works)
    assert [one, two, four] == [1, 2, 4]
    assert isinstance(refused, Refused)
    assert isinstance(undone, Refused)
    assert isinstance(twice, DatabaseUnavailable)  # the same number again
    assert await numbers_of(database) == [1, 2, 4]


async def test_what_is_kept_in_memory_is_forgotten_when_it_does_not_count(
    database: Database,
) -> None:
    counted: list[int] = []
    database.on_rollback(counted.clear)

    def counting(transaction: Transaction) -> int:
        counted.append(1)
        transaction.insert(ROW, (len(counted), ""))
        return len(counted)

    works = [counting, counting, refusing(after=9), counting]
    one, two, _, again = await at_once(database, works)
    assert (one, two) == (1, 2)
    assert isinstance(again, DatabaseUnavailable)  # it would have been 1 again
    assert await numbers_of(database) == [1, 2]


async def test_rows_that_are_inserted_are_there_for_the_next_statement(database: Database) -> None:
    def work(transaction: Transaction) -> int:
        for number in range(250):
            transaction.insert(ROW, (number, "a"))
        cursor = transaction.execute("UPDATE numbers SET text = 'b' WHERE text = 'a'")
        transaction.insert(ROW, (1_000, "a"))
        return cursor.rowcount

    assert await database.write(work) == 250
    assert len(await numbers_of(database)) == 251


async def test_callers_are_told_in_the_order_of_the_writes_even_if_they_left(
    database: Database,
) -> None:
    told: list[int] = []
    writes = [
        asyncio.create_task(
            database.write(adding(number), durable=number % 3 == 0, committed=told.append)
        )
        for number in range(50)
    ]
    await asyncio.sleep(0)
    for write in writes[::2]:
        write.cancel()
    done = await asyncio.gather(*writes, return_exceptions=True)
    assert [each for each in done if isinstance(each, int)] == list(range(1, 50, 2))
    await database.write(adding(50), committed=told.append)
    assert told == list(range(51))
    assert await numbers_of(database) == list(range(51))


async def test_a_reader_sees_one_moment_and_writes_nothing(database: Database) -> None:
    await database.write(adding(1))
    began, go_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def work(file: sqlite3.Connection) -> list[int]:
        counts = [file.execute("SELECT count(*) FROM numbers").fetchone()[0]]
        loop.call_soon_threadsafe(began.set)
        _wait(loop, go_on)
        return [*counts, file.execute("SELECT count(*) FROM numbers").fetchone()[0]]

    reading = asyncio.create_task(database.read(work))
    await began.wait()
    await database.write(adding(2))
    assert await numbers_of(database) == [1, 2]
    go_on.set()
    assert await reading == [1, 1]
    with pytest.raises(DatabaseUnavailable):
        await database.read(lambda file: file.execute("DELETE FROM numbers"))
    assert await numbers_of(database) == [1, 2]


async def test_a_full_disk_refuses_writes_until_there_is_room(database: Database) -> None:
    await database.write(adding(1))

    def limit(pages: int) -> Callable[[Transaction], object]:
        return lambda transaction: transaction.execute(f"PRAGMA max_page_count = {pages}")

    await database.write(limit(12))
    works = [adding(2, "x" * 200_000), adding(3), adding(4, "x" * 200_000)]
    too_long, short, longer = await at_once(database, works)
    assert isinstance(too_long, DatabaseUnavailable)
    assert isinstance(longer, DatabaseUnavailable)
    assert "full" in str(too_long)
    assert short == 3
    assert await numbers_of(database) == [1, 3]
    await database.write(limit(10_000))
    await database.write(adding(2, "x" * 200_000))
    assert await numbers_of(database) == [1, 2, 3]


async def test_a_file_that_another_program_has_locked_is_waited_for_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "BUSY_TIMEOUT", 0.5)
    database = open_database(path, [NUMBERS])
    works = [adding(number) for number in range(100)]
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        async with asyncio.timeout(within(15)):  # and not for 50 s
            writes = (database.write(each) for each in works)
            refused = await asyncio.gather(*writes, return_exceptions=True)
    assert all(isinstance(each, DatabaseUnavailable) for each in refused)
    assert await at_once(database, works) == list(range(100))
    await database.aclose()


async def test_closing_carries_out_what_was_asked_for(path: Path) -> None:
    database = open_database(path, [NUMBERS])
    writes = [asyncio.create_task(database.write(adding(number))) for number in range(9)]
    await asyncio.sleep(0)
    await database.aclose()
    await database.aclose()
    database.close()
    assert await asyncio.gather(*writes) == list(range(9))
    with pytest.raises(DatabaseUnavailable):
        await database.write(adding(10))
    with pytest.raises(DatabaseUnavailable):
        await numbers_of(database)
    assert sorted(each.name for each in path.parent.iterdir()) == [
        "longtask.db",
        "longtask.db.lock",
    ]
    database = open_database(path, [NUMBERS])
    assert await numbers_of(database) == list(range(9))
    database.close()


CHILD = """
import asyncio, itertools, sys
from pathlib import Path
from adapters.database import open_database
from tests.integration.test_database import NUMBERS, adding

async def write(database, numbers, durable):
    for number in numbers:
        print(await database.write(adding(number, "x" * 300), durable=durable), flush=True)

async def main():
    database = open_database(Path(sys.argv[1]), [NUMBERS])
    print("open", flush=True)
    await asyncio.gather(*(
        write(database, itertools.count(first, 8), first % 2 == 0) for first in range(8)))

asyncio.run(main())
"""


def test_a_process_that_is_killed_has_written_what_it_acknowledged(path: Path) -> None:
    command = [sys.executable, "-c", CHILD, str(path)]
    with subprocess.Popen(  # noqa: S603
        command, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "open\n"
        with pytest.raises(DatabaseHeld, match=f"in use by process {child.pid} on "):
            open_database(path, [NUMBERS])
        acknowledged = [int(line) for line in itertools.islice(child.stdout, 400)]
        os.kill(child.pid, signal.SIGKILL)
        rest = child.stdout.read().splitlines(keepends=True)
        acknowledged += [int(line) for line in rest if line.endswith("\n")]
    open_database(path, [NUMBERS]).close()
    with closing(sqlite3.connect(path)) as file:
        written = {number for (number,) in file.execute("SELECT number FROM numbers")}
        assert file.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert set(acknowledged) <= written
