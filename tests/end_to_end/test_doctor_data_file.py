"""What `longtask doctor` says of the data file."""

import os
from pathlib import Path

import pytest

from adapters.database import Schema, open_database
from entrypoints.doctor import data_file
from tests.commands import invoke
from tests.running import running_service, settings_for


def said(folder: Path, part: str = "store", **settings: str) -> str:
    """Of one part, the advice included."""
    lines = invoke(folder, "doctor", LONGTASK_PORT="1", **settings).stdout.splitlines()
    at = [n for n, line in enumerate(lines) if line[5:].startswith(f"{part}:")]
    return "\n".join(lines[at[0] : at[-1] + 2])


def test_a_file_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    shown = said(tmp_path, LONGTASK_DATA=".longtask")
    assert shown.startswith("ok   store: .longtask/longtask.db is made by the first start")
    assert "ok   queue: a local QStash, which keeps its messages in .longtask/longtask.db" in shown
    assert not list(tmp_path.iterdir())


def test_who_holds_the_file_is_told(tmp_path: Path) -> None:
    """With Redis it is the file of the queue."""
    with running_service(settings_for(data=str(tmp_path))):
        shown = said(tmp_path, LONGTASK_DATA=str(tmp_path))
        assert f"ok   store: {tmp_path}/longtask.db is held by process {os.getpid()} on " in shown
        shown = said(
            tmp_path, "queue", LONGTASK_DATA=str(tmp_path), REDIS_URL="redis://127.0.0.1:1"
        )
        assert f"ok   queue: {tmp_path}/longtask.db is held by process" in shown
    assert f"{tmp_path}/longtask.db is not in use now" in said(
        tmp_path, LONGTASK_DATA=str(tmp_path)
    )


def test_nothing_on_disk_is_warned_of(tmp_path: Path) -> None:
    for part in ("store", "queue"):
        shown = said(tmp_path, part, LONGTASK_DATA="memory")
        assert shown.startswith(f"warn {part}: ")
        assert "unset LONGTASK_DATA" in shown


def test_what_cannot_be_written_fails(tmp_path: Path) -> None:
    (tmp_path / "notes").touch()
    shown = said(tmp_path, LONGTASK_DATA="notes/folder")
    assert shown.startswith("fail store: ")
    assert "set LONGTASK_DATA to another folder" in shown


def test_a_file_that_cannot_be_opened_fails(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("notes" * 1000)
    assert "notes.db: file is not a database" in said(tmp_path, LONGTASK_DATA="notes.db")
    newer = [Schema("tasks", ("CREATE TABLE tasks (task);", *["SELECT 1;"] * 9))]
    open_database(tmp_path / "newer.db", newer).close()
    shown = said(tmp_path, LONGTASK_DATA="newer.db")
    assert "fail store: newer.db was written by a newer version" in shown
    assert "restore a backup" in shown


def test_a_disk_that_does_not_suit_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/a / ext4 rw 0 0\nserver:/tasks {tmp_path} nfs4 rw 0 0\n")
    monkeypatch.setattr(data_file, "MOUNTS", mounts)
    monkeypatch.setattr(data_file, "LITTLE_SPACE", 1 << 80)
    shown = said(tmp_path, LONGTASK_DATA=".longtask")
    assert "MiB are free where .longtask/longtask.db is" in shown
    assert "warn store: .longtask/longtask.db is on a network file system (nfs4)" in shown
    mounts.unlink()
    assert "network" not in said(tmp_path, LONGTASK_DATA=".longtask")
