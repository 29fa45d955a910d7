"""`longtask backup`: a copy of one moment, made by another process while this one writes."""

import asyncio
import os
import sqlite3
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.database import Database, Insert, Schema, Transaction, open_database
from entrypoints.data_file import SCHEMAS
from tests.commands import invoke
from tests.processes import environment, longtask, run_to_its_end
from tests.waiting import until, within

PAIRS = Schema(
    "pairs", ("CREATE TABLE lefts (n INT);\nCREATE TABLE rights (n INT, filling BLOB);",)
)
LEFT, RIGHT = Insert("INSERT INTO lefts (n)", 1), Insert("INSERT INTO rights (n, filling)", 2)
DATA = {"LONGTASK_DATA": "longtask.db"}
FILLING = b"x" * 4096


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = open_database(tmp_path / "longtask.db", [*SCHEMAS, PAIRS])
    try:
        yield database
    finally:
        await database.aclose()


def write_pair(tx: Transaction) -> None:
    """Write to two tables: a copy has as many rows of one as of the other."""
    tx.insert(LEFT, (1,))
    tx.execute("SELECT 1")  # sends the row, so that the other one comes in a statement of its own
    tx.insert(RIGHT, (1, FILLING))


async def test_a_copy_is_of_one_moment_though_the_service_writes(
    database: Database, tmp_path: Path
) -> None:
    written = 0

    async def write() -> None:
        nonlocal written
        while True:
            await database.write(write_pair, durable=False)
            written += 1
            await asyncio.sleep(0.001)  # leaves the other process a core

    writing = asyncio.create_task(write())
    try:
        await until(lambda: written > 200)
        before = written
        command = await asyncio.to_thread(run_to_its_end, tmp_path, "backup", "copy.db", **DATA)
        after = written
    finally:
        writing.cancel()
    copy = tmp_path / "copy.db"
    assert command.returncode == 0, command.stderr
    assert command.stdout == f"copy.db: {copy.stat().st_size:,} bytes, 0 tasks\n"
    assert copy.stat().st_mode & 0o777 == 0o600
    assert [each for each in os.listdir(tmp_path) if "copy" in each] == ["copy.db"]
    restored = open_database(copy, [*SCHEMAS, PAIRS])
    try:
        lefts, rights = await restored.read(_counts)
        assert lefts == rights
        assert before <= lefts <= after
        await restored.write(write_pair)
    finally:
        await restored.aclose()


def _counts(connection: sqlite3.Connection) -> tuple[int, int]:
    (sound,) = connection.execute("PRAGMA integrity_check").fetchone()
    assert sound == "ok"
    (lefts,) = connection.execute("SELECT count(*) FROM lefts").fetchone()
    (rights,) = connection.execute("SELECT count(*) FROM rights").fetchone()
    return lefts, rights


@pytest.mark.parametrize("target", ["there.db", "linked.db", "longtask.db"])
def test_nothing_is_overwritten(tmp_path: Path, target: str) -> None:
    open_database(tmp_path / "longtask.db", SCHEMAS).close()
    (tmp_path / "there.db").write_text("precious")
    (tmp_path / "linked.db").symlink_to("nowhere")
    refused = invoke(tmp_path, "backup", target, **DATA)
    assert refused.exit_code == 1
    assert refused.output == f"Error: {target} is there already, and is not overwritten\n"
    assert (tmp_path / "there.db").read_text() == "precious"


def test_a_name_need_not_be_text(tmp_path: Path) -> None:
    open_database(tmp_path / "longtask.db", SCHEMAS).close()
    target = os.fsdecode(b"\xff.db")
    assert invoke(tmp_path, "backup", target, **DATA).exit_code == 0
    assert (tmp_path / target).is_file()


@pytest.mark.soak
async def test_a_copy_that_fails_leaves_nothing(database: Database, tmp_path: Path) -> None:
    for _ in range(50):
        await database.write(write_pair, durable=False)
    (tmp_path / "other").mkdir()
    limited = ["sh", "-c", 'ulimit -f 64 && exec "$@"', "sh", *longtask("backup", "other/copy.db")]
    failed = await asyncio.to_thread(
        subprocess.run,
        limited,
        cwd=tmp_path,
        env=environment(**DATA),
        capture_output=True,
        text=True,
        timeout=within(60),
        check=False,
    )
    assert failed.returncode == 1
    assert failed.stderr.startswith("Error: cannot copy longtask.db to other/copy.db: ")
    assert failed.stderr.count("\n") == 1
    assert os.listdir(tmp_path / "other") == []


def test_where_there_is_nothing_to_copy_or_no_place_for_it(tmp_path: Path) -> None:
    assert "no data file" in invoke(tmp_path, "backup", "copy.db").output
    missing = invoke(tmp_path, "backup", "copy.db", LONGTASK_DATA="elsewhere")
    assert "there is no elsewhere/longtask.db" in missing.output
    open_database(tmp_path / "longtask.db", SCHEMAS).close()
    no_folder = invoke(tmp_path, "backup", "no/copy.db", **DATA)
    assert no_folder.output == "Error: cannot write no/copy.db: No such file or directory\n"
    too_long = invoke(tmp_path, "backup", "y" * 300, **DATA)
    assert too_long.output.endswith(": File name too long\n")
    foreign = sqlite3.connect(tmp_path / "foreign.db")
    foreign.execute("CREATE TABLE t (x)")
    foreign.close()
    (tmp_path / "text.db").write_text("This is no database. " * 100)
    for name, words in (("foreign.db", "another program"), ("text.db", "not a database")):
        refused = invoke(tmp_path, "backup", "copy.db", LONGTASK_DATA=name)
        assert (refused.exit_code, words in refused.output) == (1, True)
    assert not list(tmp_path.glob("copy.db*"))
