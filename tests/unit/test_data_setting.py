"""Where the settings keep tasks and the messages of the local queue."""

from pathlib import Path
from typing import Any

import pytest

from entrypoints.settings import SettingsError, load_settings
from tests.unit.test_settings import QSTASH

REDIS = {"redis_url": "redis://h", "workers": 2}
REST = {"upstash_redis_rest_url": "https://h", "upstash_redis_rest_token": "t", "workers": 2}
FILE = Path(".longtask/longtask.db")


@pytest.mark.parametrize(
    ("given", "kind", "file", "store", "queue"),
    [
        ({}, "file", FILE, f"file {FILE.absolute()}", f"local QStash, file {FILE.absolute()}"),
        ({"data": "memory"}, "memory", None, "memory", "local QStash, memory"),
        (QSTASH, "file", FILE, f"file {FILE.absolute()}", "https://qstash.upstash.io"),
        ({**QSTASH, "data": "memory"}, "memory", None, "memory", "https://qstash.upstash.io"),
        (REDIS, "redis", FILE, "Redis", f"local QStash, file {FILE.absolute()}"),
        ({**REDIS, "data": "memory"}, "redis", None, "Redis", "local QStash, memory"),
        ({**REDIS, **QSTASH}, "redis", None, "Redis", "https://qstash.upstash.io"),
        (REST, "rest", FILE, "Redis over REST", f"local QStash, file {FILE.absolute()}"),
        ({**REST, **QSTASH}, "rest", None, "Redis over REST", "https://qstash.upstash.io"),
    ],
)
def test_where_tasks_and_messages_are_kept(
    given: dict[str, Any], kind: str, file: Path | None, store: str, queue: str
) -> None:
    settings = load_settings(env_file=None, **given)
    assert (settings.store.kind, settings.data_file) == (kind, file)
    parts = settings.chosen_parts()
    assert (parts["store"], parts["queue"]) == (store, queue)


def test_data_is_a_folder_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a file").touch()
    (tmp_path / "folder.db").mkdir()

    def file(data: str) -> Path | None:
        return load_settings(env_file=None, data=data).data_file

    assert file(f"{tmp_path}/a folder") == tmp_path / "a folder" / "longtask.db"
    assert file(f"{tmp_path}/tasks.db") == tmp_path / "tasks.db"
    assert file(f"{tmp_path}/a file") == tmp_path / "a file"
    assert file(f"{tmp_path}/folder.db") == tmp_path / "folder.db" / "longtask.db"
    assert file("~/tasks") == tmp_path / "tasks" / "longtask.db"
    assert file(" memory\n") is None
    assert file(f" {tmp_path}/a folder ") == tmp_path / "a folder" / "longtask.db"
    with pytest.raises(SettingsError, match="LONGTASK_DATA: must name a folder or a file"):
        file("   ")
    assert file("./memory") == Path("memory/longtask.db")
