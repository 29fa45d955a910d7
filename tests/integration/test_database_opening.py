"""Opening the data file: new, of an older version, and every file that is refused."""

import fcntl
import os
import re
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from adapters.database import (
    DatabaseError,
    DatabaseHeld,
    DatabaseNewer,
    DatabaseUnusable,
    Schema,
    holder_of,
    open_database,
    opening,
)
from tests.integration.test_database import NUMBERS, adding


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "longtask.db"


async def test_the_tables_are_brought_to_the_newest_version(path: Path) -> None:
    database = open_database(path, [NUMBERS])
    await database.write(adding(1, "kept"))
    await database.aclose()
    broken = Schema("numbers", (*NUMBERS.migrations, "ALTER TABLE numbers ADD COLUMN new;\nNO;"))
    with pytest.raises(DatabaseUnusable, match=f'^cannot use {path}: near "NO"'):
        open_database(path, [broken])
    newer = Schema("numbers", (*NUMBERS.migrations, "ALTER TABLE numbers ADD COLUMN new;"))
    other = Schema("others", ("CREATE TABLE others (x);\nCREATE TABLE more (x);",))
    for _ in range(2):
        database = open_database(path, [newer, other])
        row = await database.read(lambda file: file.execute("SELECT * FROM numbers").fetchone())
        assert row == (1, "kept", None)
        await database.aclose()
    with pytest.raises(DatabaseNewer, match=r"a newer version of longtask \(numbers 2") as refused:
        open_database(path, [NUMBERS])
    assert str(path) in str(refused.value)


def test_a_new_file_is_for_its_owner_alone(path: Path) -> None:
    open_database(path, [NUMBERS]).close()
    for each in path.parent.iterdir():
        assert each.stat().st_mode & 0o777 == 0o600


def _of_another_program(path: Path) -> None:
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE theirs (x)")
    other.close()


UNUSABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "of another program": (_of_another_program, "is a database of another program"),
    "no database": (lambda path: path.write_bytes(b"not a database" * 100), "not a database"),
    "a folder": (lambda path: path.mkdir(), "unable to open"),
}


@pytest.mark.parametrize("name", UNUSABLE)
def test_a_file_that_is_none_of_ours_is_refused_and_left_alone(path: Path, name: str) -> None:
    make, words = UNUSABLE[name]
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(DatabaseUnusable, match=words) as refused:
        open_database(path, [NUMBERS])
    assert re.fullmatch(rf"[^\n]*{re.escape(str(path))}[^\n]*", str(refused.value))
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_look_at_who_holds_the_file_does_not_stop_a_start(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_database(path, [NUMBERS]).close()
    looking = os.open(path.with_name("longtask.db.lock"), os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    monkeypatch.setattr(opening, "sleep", lambda _: os.close(looking))
    database = open_database(path, [NUMBERS])
    monkeypatch.undo()
    with pytest.raises(DatabaseHeld):
        open_database(path, [NUMBERS])
    assert holder_of(path) == f"process {os.getpid()} on {socket.gethostname()}"
    database.close()
    assert holder_of(path) is None


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="No such file or directory"):
        open_database(tmp_path / "nowhere" / "longtask.db", [NUMBERS])
