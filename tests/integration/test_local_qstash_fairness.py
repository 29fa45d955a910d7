"""What publishes thousands of messages at once does not hold up the others."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.database import open_database
from entrypoints.local_qstash.delivery import Deliveries
from entrypoints.local_qstash.filters import Search
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.publish_headers import read_message
from entrypoints.local_qstash.states import State
from entrypoints.local_qstash.tables import QUEUE
from tests.deliveries import publish_one

MANY = 3_000
HELD = 0.1
"""Seconds of CPU. In one go they took three times that, in portions a tenth."""


@pytest.fixture(params=["memory", "file"])
async def deliveries(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Deliveries]:
    database = open_database(tmp_path / "queue.db", [QUEUE]) if request.param == "file" else None
    held = Deliveries("sig_of_a_test_that_has_32_bytes_or_more", database=database)
    yield held
    await held.aclose()
    if database is not None:
        await database.aclose()


def _messages(number: int) -> list[QueuedMessage]:
    headers = {"Upstash-Delay": "1h", "Upstash-Retries": "3", "Upstash-Forward-A": "b"}
    one = read_message("http://127.0.0.1:1/", headers, b"x" * 100, now=time.time(), queue="q")
    return [replace(one, id=f"msg_{each}") for each in range(number)]


async def _longest_hold() -> float:
    """The most CPU that this thread used between two turns of the event loop, until cancelled."""
    longest, since = 0.0, time.thread_time()
    try:
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            longest, since = max(longest, now - since), now
    except asyncio.CancelledError:
        return longest


async def test_a_publish_of_thousands_leaves_the_event_loop_to_others(
    deliveries: Deliveries,
) -> None:
    messages = _messages(MANY)
    gc.disable()  # the objects of all tests are no work of the queue
    looking = asyncio.create_task(_longest_hold())
    await asyncio.sleep(0)
    results = await deliveries.publish_all(messages)
    looking.cancel()
    held = await looking
    gc.enable()
    assert held < HELD
    assert results == [(each.id, False) for each in messages]
    assert deliveries.waiting == MANY, "the deliveries begin before the answer"
    assert deliveries.turns.in_queue("q") == [each.id for each in messages]


async def test_what_is_kept_meanwhile_waits_and_what_is_cancelled_does_not_begin(
    deliveries: Deliveries,
) -> None:
    publishing = asyncio.create_task(deliveries.publish_all(_messages(MANY)))
    while not deliveries.waiting:
        await asyncio.sleep(0)
    assert deliveries.waiting < MANY
    last = f"msg_{MANY - 1}"
    assert await deliveries.cancel(Search.of(last)) == 1
    later = _messages(1)[0]
    later.id = "msg_later"
    await publish_one(deliveries, later)
    await publishing
    begun = deliveries.turns.in_queue("q")
    assert begun == [f"msg_{each}" for each in range(MANY - 1)] + ["msg_later"]
    states = [each.state for each in deliveries.journal.page(Search.of(last))[0]]
    assert states == [State.CANCELED, State.CANCEL_REQUESTED, State.CREATED]
