"""A start with many unfinished tasks and a model that goes no further: the service stays usable, no
message is lost, and a stop is obeyed."""

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from tests.end_to_end.restarting import Home, Model, lost
from tests.running import Client
from tests.waiting import eventually, within

TASKS, AT_ONCE = 2_000, 300


@pytest.mark.soak
def test_a_start_with_many_unfinished_tasks(tmp_path: Path) -> None:
    model = Model()
    model.always = lost()
    many = {"LONGTASK_MAX_CONCURRENT_DELIVERIES": str(AT_ONCE)}
    with model.running():
        home = Home(tmp_path, model, LONGTASK_ADDRESS_LIMITS="tokens=1000000000", **many)
        with home.serving() as process, Client(home.url) as client, ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda _: client.start("x"), range(TASKS)))
            eventually(lambda: len(model.received) == AT_ONCE, timeout=60)
            process.kill()
        model.received.clear()
        with home.serving() as process, Client(home.url) as client:
            slowest = 0.0
            while len(model.received) < AT_ONCE:
                began = time.monotonic()
                assert client.http.get("/healthz").status_code == 200
                slowest = max(slowest, time.monotonic() - began)
                time.sleep(0.05)
            assert slowest < within(1)
            process.terminate()
            assert process.wait(within(20)) == 0
        log = home.log.read_text()
        assert len(model.received) == AT_ONCE
    assert [each for each in ("message given up", "no response", "Traceback") if each in log] == []
    with closing(sqlite3.connect(tmp_path / ".longtask" / "longtask.db")) as database:
        kept = database.execute("SELECT count(*), max(retried) FROM messages").fetchone()
    assert kept == (TASKS, 0)
