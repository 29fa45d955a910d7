"""`longtask serve` without any setting, in an empty folder: what it leaves there, and what is there
when it starts again. (test_restarts.py kills it under its tasks.)"""

import json
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.doubles.upstream import Script, Upstream, answer, refusal
from tests.processes import found_in, process_of, run_to_its_end
from tests.running import Client
from tests.waiting import eventually, within

DEFAULT = {"LONGTASK_DATA": "", "LONGTASK_LOG_FORMAT": "json", "LONGTASK_DEMO_SPEED": "0"}
"""The tests' commands keep nothing on disk unless they are told to. Empty is not set."""


def stopped(process: Any) -> bool:
    process.send_signal(signal.SIGINT)
    return bool(process.wait(within(15)) == 0)


@pytest.mark.soak
def test_what_was_there_is_there_again(tmp_path: Path) -> None:
    folder = tmp_path / ".longtask"
    with process_of(tmp_path, "serve", "--port", "0", **DEFAULT) as (process, log):
        url = found_in(log)
        with Client(url) as client:
            task_id = client.start()
            record, seen = client.wait_for(task_id, "completed"), client.events(task_id)
        names = {"longtask.db", "longtask.db-shm", "longtask.db-wal", "longtask.db.lock"}
        assert {each.name for each in folder.iterdir()} == {".gitignore", *names}
        assert {(folder / each).stat().st_mode & 0o777 for each in names} == {0o600}
        assert folder.stat().st_mode & 0o777 == 0o700
        told = json.loads(log.read_text().splitlines()[0])
        assert told["store"] == f"file {folder}/longtask.db"
        # Another one is told who has the file, although its port is taken, too.
        other = run_to_its_end(tmp_path, "serve", "--port", url.rpartition(":")[2], **DEFAULT)
        assert other.returncode == 1
        assert f".longtask/longtask.db is in use by process {process.pid} on " in other.stderr
        assert other.stderr.count("\n") == 1
        assert stopped(process)
    assert not (folder / "longtask.db-wal").exists()  # all is in the file, which can be copied
    with (
        process_of(tmp_path, "serve", "--port", "0", **DEFAULT) as (process, log),
        Client(found_in(log)) as client,
    ):
        again = client.record(task_id)
        assert {**again, "streamUrl": ""} == {**record, "streamUrl": ""}
        assert client.events(task_id).logged == seen.logged
        assert stopped(process)


@pytest.mark.soak
def test_with_redis_the_queue_is_in_the_file(
    tmp_path: Path, redis_url: str, upstream: Upstream
) -> None:
    """Its messages and its keys: workers that listen at another port go on with a task that waits
    for its second delivery."""
    upstream.then(refusal(500), Script(answer("After ", "the crash.")))
    words = ("serve", "--port", "0", "--workers", "2")
    settings = {
        **DEFAULT,
        "REDIS_URL": redis_url,
        "OPENAI_BASE_URL": upstream.url,
        "LONGTASK_QSTASH_RETRY_DELAY": "3000",
    }
    with process_of(tmp_path, *words, **settings) as (process, log):
        with Client(found_in(log)) as client:
            task_id = client.start()
            eventually(lambda: upstream.received)
            client.wait_for(task_id, "pending")
        process.kill()
    with (
        process_of(tmp_path, *words, **settings) as (process, log),
        Client(found_in(log)) as client,
    ):
        assert client.wait_for(task_id, "completed")["text"] == "After the crash."
        assert stopped(process)
    with closing(sqlite3.connect(tmp_path / ".longtask" / "longtask.db")) as file:
        assert file.execute("SELECT count(*) FROM tasks").fetchone() == (0,)
        assert file.execute("SELECT count(*) FROM messages").fetchone() == (0,)


@pytest.mark.soak
def test_a_question_leaves_nothing(tmp_path: Path) -> None:
    asked = run_to_its_end(tmp_path, "ask", "Hi.", **DEFAULT)
    assert asked.returncode == 0, asked.stderr
    assert not list(tmp_path.iterdir())
