"""The data file is deleted or replaced while it is open."""

import os
import shutil
from contextlib import closing
from pathlib import Path

import pytest

from adapters.database import DatabaseUnavailable, back_up, identity, open_database
from tests.integration.test_database import NUMBERS, adding


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(identity, "LOOKED_AT_EVERY", 0.0)
    return tmp_path / "longtask.db"


async def test_what_a_deleted_file_cannot_keep_is_refused(path: Path) -> None:
    database = open_database(path, [NUMBERS])
    await database.write(adding(1))
    os.unlink(path)
    with pytest.raises(DatabaseUnavailable, match="deleted or replaced while it was open"):
        await database.write(adding(2))
    with pytest.raises(DatabaseUnavailable, match="deleted or replaced while it was open"):
        await database.read(lambda file: file.execute("SELECT 1").fetchone())
    await database.aclose()
    assert list(path.parent.glob("*.lost-*"))


async def test_a_copy_that_is_put_in_the_place_of_an_open_file_stays_whole(path: Path) -> None:
    copy = path.with_name("copy.db")
    database = open_database(path, [NUMBERS])
    await database.write(adding(1))
    back_up(path, copy, "numbers")
    await database.write(adding(2))
    os.replace(copy, path)
    with pytest.raises(DatabaseUnavailable):
        await database.write(adding(3))
    await database.aclose()
    with closing(open_database(path, [NUMBERS])) as restored:
        rows = await restored.read(lambda file: file.execute("SELECT * FROM numbers").fetchall())
        assert rows == [(1, "")]


async def test_a_log_that_came_with_another_file_is_left_to_it(path: Path) -> None:
    """A crash image that is put in the place of an open file."""
    other, logs = path.with_name("other.db"), ("", "-wal")
    writing = open_database(other, [NUMBERS])
    await writing.write(adding(7))
    for each in logs:
        shutil.copy(f"{other}{each}", f"{other}{each}.image")
    await writing.aclose()
    database = open_database(path, [NUMBERS])
    await database.write(adding(1))
    for each in logs:
        os.replace(f"{other}{each}.image", f"{path}{each}")
    await database.aclose()
    with closing(open_database(path, [NUMBERS])) as restored:
        rows = await restored.read(lambda file: file.execute("SELECT * FROM numbers").fetchall())
        assert rows == [(7, "")]
