"""How a local QStash paces what it delivers, by the times at which it comes to the destination, and
what of that outlives a process."""

import threading
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.database import Database
from entrypoints.local_qstash.account import Account, AccountSettings
from entrypoints.local_qstash.at_start import left_in
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.publish_headers import read_message
from tests.deliveries import named, publish_one
from tests.doubles.destination import Answer, Destination
from tests.waiting import until

KEY = "sig_" + "x" * 28
PERIOD = 0.3


@pytest.fixture
async def account() -> AsyncIterator[Account]:
    account = Account(AccountSettings(token="t", current_key=KEY, next_key=KEY))
    account.resume()
    yield account
    await account.aclose()


def _restarted(database: Database) -> Account:
    settings = AccountSettings(
        token="t", current_key=KEY, next_key=KEY, database=database, left=left_in(database)
    )
    account = Account(settings)
    account.resume()
    return account


def _message(
    destination: Destination, path: str, queue: str | None = None, **headers: str
) -> QueuedMessage:
    return read_message(destination.url + path, named(headers), b"x", now=time.time(), queue=queue)


def _limited(destination: Destination, path: str, limits: str, **headers: str) -> QueuedMessage:
    flow = {"Flow_Control_Key": "k", "Flow_Control_Value": limits}
    return _message(destination, path, **flow, **headers)


def _flow(account: Account, key: str) -> dict[str, Any]:
    shown = account.flows.get(key)
    assert shown is not None
    return shown


@pytest.mark.parametrize("limits", ["rate=3, period={}", "rate=3, period={}, parallelism=2"])
async def test_a_rate_holds_at_the_destination(
    account: Account, destination: Destination, limits: str
) -> None:
    """Each period begins with its first delivery, so none of the fourth or later may come before
    the first period is over, and so on. A failed delivery counts, too."""
    destination.answers.append(Answer(500, {"Retry-After": "0"}))
    limits = limits.format(f"{int(PERIOD * 1000)}ms")
    began = time.monotonic()
    for number in range(10):
        await publish_one(account.deliveries, _limited(destination, f"/{number}", limits))
    await until(lambda: len(destination.delivered) == 11)
    for number, each in enumerate(destination.delivered):
        assert each.at - began >= number // 3 * PERIOD, f"number {number} came too early"


async def test_what_waits_for_the_parallelism_begins_in_order(
    account: Account, destination: Destination
) -> None:
    gates = [threading.Event() for _ in range(6)]
    destination.answers.extend(Answer(gate=gate) for gate in gates)
    for number in range(6):
        await publish_one(account.deliveries, _limited(destination, f"/{number}", "parallelism=2"))
    for number in range(4):
        await until(lambda: len(destination.delivered) == number + 2)  # noqa: B023
        (flow,) = account.flows.all()
        assert (flow["parallelismCount"], flow["waitListSize"]) == (2, 4 - number)
        gates[number].set()
    gates[4].set()
    gates[5].set()
    await until(lambda: not account.deliveries.waiting)
    paths = [each.path for each in destination.delivered]
    assert (sorted(paths[:2]), paths[2:]) == (["/0", "/1"], ["/2", "/3", "/4", "/5"])
    assert destination.most_at_once == 2


async def test_the_newest_message_says_the_limits_of_a_key(
    account: Account, destination: Destination
) -> None:
    gate = threading.Event()
    destination.answers.extend([Answer(gate=gate)] * 4)
    for number in range(3):
        await publish_one(account.deliveries, _limited(destination, f"/{number}", "parallelism=1"))
    await publish_one(
        account.deliveries, _limited(destination, "/later", "parallelism=3", Delay="1h")
    )
    await until(lambda: len(destination.delivered) == 3)
    gate.set()
    await until(lambda: account.deliveries.waiting == 1)


async def test_a_queue_waits_for_retries_and_callbacks(
    account: Account, destination: Destination
) -> None:
    destination.answers.extend([Answer(500, {"Retry-After": "0"}), Answer(500), Answer()])
    told = f"{destination.url}/callback"
    first = _message(
        destination, "/1", "q", Retries="1", Failure_Callback=told, Failure_Callback_Delay="200ms"
    )
    for message in (first, _message(destination, "/2", "q")):
        await publish_one(account.deliveries, message)
    assert account.queues.all()[0]["lag"] == 2
    await until(lambda: destination.at("/2"))
    assert [each.path for each in destination.delivered] == ["/1", "/1", "/callback", "/2"]


async def test_a_paused_queue_delivers_nothing(account: Account, destination: Destination) -> None:
    """Not even the retry of a message that holds its turn, or what also has a flow-control key."""
    gate = threading.Event()
    destination.answers.append(Answer(500, {"Retry-After": "0"}, gate=gate))
    await publish_one(account.deliveries, _message(destination, "/1", "q"))
    await publish_one(account.deliveries, _message(destination, "/2", "q"))
    await until(lambda: destination.delivered)
    await account.queues.pause("q")
    gate.set()
    await publish_one(account.deliveries, _message(destination, "/other", "other"))
    await until(lambda: destination.at("/other"))
    await until(lambda: account.flows.parallelism()["parallelismCount"] == 0)
    assert [each.path for each in destination.delivered] == ["/1", "/other"]
    await account.queues.resume("q")
    await until(lambda: destination.at("/2"))
    assert [each.path for each in destination.delivered] == ["/1", "/other", "/1", "/2"]


async def test_what_is_set_outlives_the_process(
    database: Database, destination: Destination
) -> None:
    account = _restarted(database)
    await account.queues.set("wide", 3, paused=True)
    await account.flows.pin("k", None, (1, 3600))
    await account.flows.pause("paused")
    for number in range(2):
        await publish_one(account.deliveries, _limited(destination, f"/k{number}", "parallelism=9"))
        await publish_one(account.deliveries, _message(destination, f"/q{number}", "wide"))
    held = {"Flow_Control_Key": "paused", "Flow_Control_Value": "parallelism=9"}
    await publish_one(account.deliveries, _message(destination, "/paused", **held))
    await until(lambda: account.deliveries.waiting == 4)
    shown = account.queues.all(), _flow(account, "k"), _flow(account, "paused")
    await account.aclose()

    account = _restarted(database)
    await publish_one(account.deliveries, _message(destination, "/q2", "wide"))
    await until(lambda: _flow(account, "k")["waitListSize"] == 1)
    flow = _flow(account, "k")
    assert (flow["rateMax"], flow["rateCount"], flow["ratePeriod"]) == (1, 1, 3600)
    assert abs(flow["ratePeriodStart"] - shown[1]["ratePeriodStart"]) <= 1
    await until(lambda: _flow(account, "paused") == shown[2])
    assert account.queues.all() == [{**shown[0][0], "lag": 3}]
    assert [each.path for each in destination.delivered] == ["/k0"]
    gate = threading.Event()
    destination.answers.extend([Answer(gate=gate)] * 3)
    await account.queues.resume("wide")
    await until(lambda: len(destination.delivered) == 4)
    gate.set()
    await account.flows.unpin("k", parallelism=False, rate=True)
    await publish_one(account.deliveries, _limited(destination, "/k2", "parallelism=9"))
    await account.flows.resume("paused")
    await until(lambda: not account.deliveries.waiting)
    assert destination.most_at_once >= 3
    await account.aclose()
    assert [(each.kind, each.name) for each in left_in(database).records] == [("queues", "wide")]


async def test_deleting_a_queue_cancels_its_messages(
    account: Account, destination: Destination
) -> None:
    """By the route: tests/official/qstash/test_queues.py. A queue of the same name begins anew."""
    await account.queues.set("q", 5, paused=True)
    await account.queues.delete("q")
    assert account.queues.get("q") is None
    gate = threading.Event()
    destination.answers.append(Answer(gate=gate))
    for number in range(2):
        await publish_one(account.deliveries, _message(destination, f"/{number}", "q"))
    await until(lambda: destination.delivered)
    queue = account.queues.get("q")
    assert queue is not None
    assert (queue["parallelism"], queue["paused"], queue["lag"]) == (1, False, 2)
    gate.set()
    await until(lambda: len(destination.delivered) == 2)
