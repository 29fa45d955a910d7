"""The data file: how it is made, who may read it, and what a person is told where it cannot be
opened."""

import contextlib
import os
import re
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from entrypoints.data_file import DataFileError, open_data_file
from entrypoints.queue_server import serve_local_qstash
from entrypoints.server import Service
from tests.running import settings_for

NOBODY = 65534


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def told(path: Path) -> str:
    """What a person is told: one sentence."""
    with pytest.raises(DataFileError) as error:
        open_data_file(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_folder_is_made_for_this_user_alone_and_ignored_by_git(tmp_path: Path) -> None:
    folder = tmp_path / "new" / ".longtask"
    for _ in range(2):
        open_data_file(folder / "longtask.db").close()
        assert mode(folder) == 0o700
        assert mode(folder / "longtask.db") == 0o600
        assert (folder / ".gitignore").read_text() == "*\n"


def test_a_start_that_was_killed_before_it_told_git_is_made_up_for(tmp_path: Path) -> None:
    folder = tmp_path / ".longtask"
    folder.mkdir(0o700)
    open_data_file(folder / "longtask.db").close()
    assert (folder / ".gitignore").read_text() == "*\n"


def test_a_folder_that_exists_stays_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    open_data_file(tmp_path / "tasks.db").close()
    assert mode(tmp_path) == 0o755
    assert mode(tmp_path / "tasks.db") == 0o600
    assert not (tmp_path / ".gitignore").exists()


def test_a_file_in_use_is_not_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "longtask.db"
    with closing(open_data_file(path)):
        said = told(path)
        link = tmp_path / "link.db"
        link.symlink_to(path)
        assert f"{link} is in use by process {os.getpid()} on " in told(link)
    assert f"{path} is in use by process {os.getpid()} on " in said
    assert "stop that process, or set LONGTASK_DATA to another folder" in said
    open_data_file(path).close()


def test_a_file_of_a_newer_version_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "longtask.db"
    open_data_file(path).close()
    with closing(sqlite3.connect(path)) as file, file:
        file.execute("UPDATE schemas SET version = 99 WHERE name = 'tasks'")
    assert f"{path} was written by a newer version of longtask (tasks 99" in told(path)


def test_what_is_no_file_of_ours_is_left_alone(tmp_path: Path) -> None:
    other, text, folder = (tmp_path / name for name in ("other.db", "text.db", "folder.db"))
    with closing(sqlite3.connect(other)) as file:
        file.execute("CREATE TABLE theirs (a)")
    text.write_text("Not a database, but longer than the header of one. " * 10)
    folder.mkdir()
    before = other.read_bytes(), text.read_bytes()
    assert f"{other} is a database of another program; set LONGTASK_DATA" in told(other)
    assert f"cannot use {text}: file is not a database; set LONGTASK_DATA" in told(text)
    assert f"cannot use {folder}: " in told(folder)
    assert (other.read_bytes(), text.read_bytes()) == before


def test_what_is_beside_the_file_is_not_overwritten(tmp_path: Path) -> None:
    """By the lock: a file of something else, or what a link leads to."""
    precious = tmp_path / "precious"
    precious.write_text("precious")
    path, lock = tmp_path / "longtask.db", tmp_path / "longtask.db.lock"
    lock.symlink_to(precious)
    assert f"{lock} is a link or folder, not a file; set LONGTASK_DATA" in told(path)
    lock.unlink()
    precious.rename(lock)
    assert f"{lock} is a file of something else, and is not overwritten; set" in told(path)
    assert lock.read_text() == "precious"
    lock.write_bytes(bytes(16))  # as a power cut may leave it
    open_data_file(path).close()


def test_a_file_is_for_its_owner_alone_also_behind_a_link(tmp_path: Path) -> None:
    link, path = tmp_path / "link.db", tmp_path / "longtask.db"
    link.symlink_to(path)
    open_data_file(link).close()
    assert mode(path) == 0o600


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "longtask.db"
    open_data_file(path).close()
    damaged = bytearray(path.read_bytes())
    damaged[4096::97] = bytes(0xFF ^ each for each in damaged[4096::97])
    for content in (damaged, path.read_bytes()[:8209]):
        path.write_bytes(content)
        assert re.search(f"cannot use {path}: .*(damaged|malformed).*; set", told(path))
        assert path.read_bytes() == content


@pytest.mark.parametrize(
    "damage", ["DROP TABLE messages", "UPDATE messages SET queue = '[' || number"]
)
def test_messages_that_cannot_be_read_are_told_before_anything_starts(
    tmp_path: Path, damage: str
) -> None:
    path = tmp_path / "longtask.db"
    open_data_file(path).close()
    with closing(sqlite3.connect(path)) as file, file:
        file.execute(
            "INSERT INTO messages (id, created_at, not_before, retried, size, head)"
            " VALUES ('msg', 0, 0, 0, 0, '{}')"
        )
        file.execute(damage)
    told = f"^cannot use {path}: (no such table|the file is damaged)"
    with pytest.raises(DataFileError, match=told):
        Service(settings_for(data=str(path)))
    with pytest.raises(DataFileError, match=told):
        serve_local_qstash("127.0.0.1", 0, (), path, lambda *_: pytest.fail("it listens"))


def test_a_name_is_not_taken_for_a_uri(tmp_path: Path) -> None:
    with contextlib.chdir(tmp_path):
        open_data_file(Path("file:x?mode=memory&y=.db")).close()
    assert (tmp_path / "file:x?mode=memory&y=.db").stat().st_size > 0


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / ".longtask" / "longtask.db"
    assert f"cannot use {path}: Not a directory; set LONGTASK_DATA" in told(path)
    assert "null byte" in told(tmp_path / "a\0b" / "longtask.db")


@contextmanager
def as_another_user() -> Iterator[None]:
    """Root may write everywhere."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)


def test_what_must_not_be_written_is_told() -> None:
    """The folder, the file beside which the lock is, and a folder that must not be searched."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "longtask.db"
        open_data_file(path).close()
        for allowed in (0o555, 0o000):
            folder.chmod(allowed)
            with as_another_user():
                assert f"cannot use {path}: Permission denied; set LONGTASK_DATA" in told(path)
                below = folder / ".longtask" / "longtask.db"
                assert f"cannot use {below}: Permission denied" in told(below)
        folder.chmod(0o777)
        (folder / "longtask.db.lock").chmod(0o666)
        path.chmod(0o444)
        with as_another_user():
            assert f"cannot use {path}: attempt to write a readonly database" in told(path)
        folder.chmod(0o700)
