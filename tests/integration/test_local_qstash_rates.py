"""The rates of flow control in a local QStash with a file."""

import time

import pytest

from adapters.database import Database
from entrypoints.local_qstash import at_start, file_store
from entrypoints.local_qstash.at_start import left_in
from entrypoints.local_qstash.delivery import Deliveries
from entrypoints.local_qstash.file_store import FileStore
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.publish_headers import read_message
from entrypoints.local_qstash.slots import Period
from tests.deliveries import publish_one
from tests.doubles.destination import Destination
from tests.waiting import until

KEY = "sig_" + "x" * 28


def _message(url: str, key: str) -> QueuedMessage:
    flow = {
        "Upstash-Flow-Control-Key": key,
        "Upstash-Flow-Control-Value": "rate=3, period=1h",
    }
    return read_message(url, flow, b"x", now=time.time())


async def test_a_start_goes_on_with_the_period_of_a_rate(
    database: Database, destination: Destination
) -> None:
    """Else as many messages could begin with each start."""
    deliveries = Deliveries(KEY, database=database)
    for number in range(2):
        await publish_one(deliveries, _message(f"{destination.url}/{number}", "a"))
    await until(lambda: len(destination.delivered) == 2)
    await until(lambda: not deliveries._tasks)
    await deliveries.aclose()

    deliveries = Deliveries(KEY, database=database)
    deliveries.resume(left_in(database).messages, left_in(database).periods)
    for number in range(2, 5):
        await publish_one(deliveries, _message(f"{destination.url}/{number}", "a"))
    await publish_one(deliveries, _message(f"{destination.url}/other", "b"))
    await until(lambda: destination.at("/other") and len(deliveries._tasks) == 2)
    assert len(destination.delivered) == 4, "two wait for the next period"
    await deliveries.aclose()
    left = {each.name: each.begun for each in left_in(database).periods}
    assert left == {"flow:a": 3, "flow:b": 1}


async def test_periods_are_bounded_in_number(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that end last are kept. Between two sweeps there may be more, but a start reads no more
    than that."""
    store = FileStore(database, lambda _: None, lambda _: None)
    now = int(1000 * time.time())
    for number in range(10):
        await store.note_period(Period(f"flow:{number}", now + 86_400_000 + number, 1))
    monkeypatch.setattr(at_start, "PERIODS", 4)
    monkeypatch.setattr(file_store, "PERIODS", 3)
    assert [each.name for each in left_in(database).periods] == [f"flow:{n}" for n in (6, 7, 8, 9)]
    await store.sweep(time.time())
    assert [each.name for each in left_in(database).periods] == [f"flow:{n}" for n in (7, 8, 9)]
