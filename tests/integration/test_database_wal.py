"""The write-ahead log of the data file: it does not grow for as long as there are reads."""

import asyncio
import itertools
import sqlite3
import threading
from pathlib import Path

import pytest

from adapters.database import engine, open_database, opening
from tests.integration.test_database import NUMBERS, adding
from tests.waiting import until


async def test_the_log_is_restarted_although_reads_always_overlap(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name, value in (
        (opening, "LARGEST_IDLE_WAL", 1_000_000),
        (engine, "LARGEST_WAL", 2_000_000),
        (engine, "LOOK_PAUSE", 0.0),
        (engine, "BUSY_PAUSE", 0.0),
    ):
        monkeypatch.setattr(module, name, value)
    path = tmp_path / "longtask.db"
    database = open_database(path, [NUMBERS])
    begun, numbers, done = threading.Condition(), itertools.count(1), threading.Event()
    newest = 0

    def read_until_another_begins(connection: sqlite3.Connection) -> None:
        nonlocal newest
        connection.execute("SELECT count(*) FROM numbers").fetchone()
        with begun:
            mine = newest = next(numbers)
            begun.notify_all()
            begun.wait_for(lambda: newest > mine or done.is_set())

    async def keep_reading() -> None:
        while not done.is_set():
            await database.read(read_until_another_begins)

    reading = [asyncio.create_task(keep_reading()) for _ in range(2)]
    log = path.with_name("longtask.db-wal")
    await until(lambda: newest > 2)
    sizes = []
    for number in range(200):
        await database.write(adding(number, "x" * 100_000), durable=False)
        sizes.append(log.stat().st_size)
    done.set()
    with begun:
        begun.notify_all()
    await asyncio.gather(*reading)
    await database.aclose()
    assert max(sizes) < 10_000_000
