"""A message that ends each process which delivers it: what is delivered beside it is spared."""

import threading
import time
from functools import partial
from pathlib import Path

import pytest

from adapters.database import open_database
from entrypoints.local_qstash import resuming
from entrypoints.local_qstash.at_start import left_in
from entrypoints.local_qstash.delivery import Deliveries
from entrypoints.local_qstash.file_store import FileStore
from entrypoints.local_qstash.publish_headers import read_message
from entrypoints.local_qstash.tables import QUEUE
from tests.doubles.destination import Answer, Destination
from tests.waiting import until

KEY = "sig_of_a_test_that_has_32_bytes_or_more"
PROCESSES = 12


async def test_what_ends_each_process_is_soon_delivered_alone(
    tmp_path: Path, destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resuming, "TRIAL", 0.3)
    gate = threading.Event()
    destination.answers.extend(Answer(gate=gate) for _ in range(PROCESSES * 4))
    database = open_database(tmp_path / "queue.db", [QUEUE])
    earlier = FileStore(database, lambda _: None, lambda _: None)
    paths = ["/a", "/b", "/bad", "/c"]
    new = [read_message(destination.url + path, {}, b"x", now=time.time()) for path in paths]
    await earlier.publish(new, time.time())

    def is_there(process: int) -> bool:
        return len(destination.at("/bad")) == process

    for process in range(1, resuming.MAX_INTERRUPTIONS + 1):
        deliveries = Deliveries(KEY, database=database)
        deliveries.resume(left_in(database).messages)
        await until(partial(is_there, process))
        await deliveries.aclose()  # as if the process were killed
    assert all(len(destination.at(path)) <= 7 for path in ("/a", "/b", "/c"))
    (most,) = [each.id for each in left_in(database).messages if each.interruptions == 10]
    assert most == new[2].id
    gate.set()
    deliveries = Deliveries(KEY, database=database)
    deliveries.resume(left_in(database).messages)
    await until(lambda: deliveries.waiting == 1)  # the bad one waits for its retry
    assert len(destination.at("/bad")) == resuming.MAX_INTERRUPTIONS
    await deliveries.aclose()
    await database.aclose()
