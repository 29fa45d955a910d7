"""The local QStash of one destination that handles a certain number of deliveries at once."""

import threading
import time

import pytest

from entrypoints.local_qstash import sending
from entrypoints.local_qstash.delivery import Deliveries
from entrypoints.local_qstash.filters import Search
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.publish_headers import read_message
from tests.deliveries import named, publish_one
from tests.doubles.destination import Answer, Destination
from tests.waiting import until

KEY = "sig_of_a_test_that_has_32_bytes_or_more"


def _message(destination: Destination, path: str, **headers: str) -> QueuedMessage:
    return read_message(destination.url + path, named(headers), b"x", now=time.time())


async def test_more_deliveries_wait_and_callbacks_do_not(destination: Destination) -> None:
    gate, failed = threading.Event(), f"{destination.url}/callback"
    destination.answers.extend([Answer(gate=gate), Answer(489, FINAL, gate=gate), *[Answer()] * 3])
    deliveries = Deliveries(KEY, at_once=2)
    tasks = [_message(destination, f"/{n}", Failure_Callback=failed) for n in range(5)]
    await deliveries.publish_all(tasks)
    await until(lambda: len(destination.delivered) == 2)
    await publish_one(deliveries, _message(destination, "/callback/other"))
    await until(lambda: destination.at("/callback/other"))
    # One of those that wait can be cancelled.
    assert await deliveries.cancel(Search.of(tasks[3].id)) == 1
    paths = sorted(each.path for each in destination.delivered)
    assert paths == ["/0", "/1", "/callback/other"]
    gate.set()
    await until(lambda: not deliveries._tasks)
    paths = sorted(each.path for each in destination.delivered)
    assert paths == ["/0", "/1", "/2", "/4", "/callback", "/callback/other"]
    await deliveries.aclose()


FINAL = {"Upstash-NonRetryable-Error": "true"}


async def test_a_delivery_that_is_refused_for_now_costs_no_retry(destination: Destination) -> None:
    destination.answers.extend([Answer(429, {"Retry-After": "0"})] * 3)
    deliveries = Deliveries(KEY, at_once=2)
    await publish_one(deliveries, _message(destination, "/x", Retries="0"))
    await until(lambda: not deliveries._tasks)
    assert [each.headers["upstash-retried"] for each in destination.delivered] == ["0"] * 4
    await deliveries.aclose()


async def test_only_the_connecting_takes_turns(
    destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "CONNECTING", 1)
    gate = threading.Event()
    destination.answers.extend([Answer(gate=gate)] * 3)
    deliveries = Deliveries(KEY)
    await deliveries.publish_all([_message(destination, f"/{n}") for n in range(3)])
    await until(lambda: len(destination.delivered) == 3)
    gate.set()
    await until(lambda: not deliveries._tasks)
    await deliveries.aclose()
