"""Flow control, by every call of the SDK, and as the destination sees it."""

import threading
import time

import pytest
from qstash.errors import QStashError

from tests.doubles.destination import Answer, Destination
from tests.integration.sdk import Sdk, one
from tests.waiting import eventually


def test_parallelism_shown_pinned_and_paused(sdk: Sdk, destination: Destination) -> None:
    gates = [threading.Event() for _ in range(6)]
    destination.answers.extend(Answer(gate=gate) for gate in gates)
    flow = {"key": "calls", "parallelism": 1}
    before = sdk("flow_control.get_global_parallelism")
    for number in range(5):
        sdk("message.publish", url=f"{destination.url}/{number}", body="x", flow_control=flow)

    def state() -> tuple[int, int, int]:
        shown = sdk("flow_control.get", "calls")
        return shown.wait_list_size, shown.parallelism_count, shown.parallelism_max

    eventually(lambda: state() == (4, 1, 1))
    at_once = sdk("flow_control.get_global_parallelism")
    assert at_once.parallelism_count == before.parallelism_count + 1
    assert at_once.parallelism_max >= 1
    shown = sdk("flow_control.get", "calls")
    assert (shown.key, shown.rate_max, shown.is_paused) == ("calls", 0, False)
    assert (shown.is_pinned_parallelism, shown.is_pinned_rate) == (False, False)

    sdk("flow_control.pin", "calls", {"parallelism": 3})
    eventually(lambda: state() == (2, 3, 3))
    eventually(lambda: destination.most_at_once == 3)
    assert sdk("flow_control.get", "calls").is_pinned_parallelism
    sdk("message.publish", url=f"{destination.url}/5", body="x", flow_control=flow)
    assert state() == (3, 3, 3)  # a message cannot change what is pinned

    sdk("flow_control.pause", "calls")
    sdk("flow_control.pause", "calls")
    for gate in gates:
        gate.set()
    eventually(lambda: state() == (3, 0, 3))
    assert sdk("flow_control.get", "calls").is_paused
    sdk("message.publish", url=f"{destination.url}/of-no-key", body="x")
    one(destination, "/of-no-key")
    assert len(destination.delivered) == 4

    sdk("flow_control.unpin", "calls", {"parallelism": True, "rate": False})
    assert not sdk("flow_control.get", "calls").is_pinned_parallelism
    sdk("flow_control.resume", "calls")
    eventually(lambda: len(destination.delivered) == 7)
    assert not sdk("flow_control.get", "calls").is_paused
    assert destination.most_at_once == 3


def test_a_rate_shown_reset_and_pinned(sdk: Sdk, destination: Destination) -> None:
    began = time.time()
    flow = {"key": "slowly", "rate": 1, "period": "1h"}
    for number in range(5):
        sdk("message.publish", url=f"{destination.url}/{number}", body="x", flow_control=flow)
    eventually(lambda: len(destination.delivered) == 1)
    eventually(lambda: sdk("flow_control.get", "slowly").wait_list_size == 4)
    shown = sdk("flow_control.get", "slowly")
    assert (shown.rate_max, shown.rate_count, shown.rate_period) == (1, 1, 3600)
    assert began - 1 <= shown.rate_period_start <= time.time()
    assert shown.parallelism_max == 0

    sdk("flow_control.reset_rate", "slowly")
    eventually(lambda: len(destination.delivered) == 2)
    eventually(lambda: sdk("flow_control.get", "slowly").wait_list_size == 3)

    sdk("flow_control.pin", "slowly", {"rate": 2, "period": 1800})
    eventually(lambda: len(destination.delivered) == 4)
    shown = sdk("flow_control.get", "slowly")
    assert (shown.rate_max, shown.rate_count, shown.rate_period) == (2, 2, 1800)
    assert (shown.is_pinned_rate, shown.is_pinned_parallelism) == (True, False)
    sdk("flow_control.unpin", "slowly", {"rate": True})
    assert not sdk("flow_control.get", "slowly").is_pinned_rate
    assert len(destination.delivered) == 4
    assert sdk("message.cancel_all") == 1


@pytest.mark.parametrize("key", ["team/a b", "/two//parts", "50%", "é", "a/pause"])
def test_a_key_of_any_characters(sdk: Sdk, key: str) -> None:
    """The SDK does not encode it."""
    sdk("flow_control.pin", key, {"parallelism": 3})
    sdk("flow_control.pause", key)
    shown = sdk("flow_control.get", key)
    assert (shown.key, shown.parallelism_max, shown.is_paused) == (key, 3, True)
    sdk("flow_control.resume", key)
    sdk("flow_control.unpin", key, {"parallelism": True})
    assert not sdk("flow_control.get", key).is_pinned_parallelism


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("get", ["unknown"]),
        ("pin", ["a-key", {}]),
        ("pin", ["a-key", {"parallelism": -1}]),
        ("pin", ["a-key", {"rate": "many"}]),
        ("pin", ["a-key", {"rate": 1, "period": 0}]),
    ],
)
def test_what_flow_control_cannot_do_is_refused(
    sdk: Sdk, call: str, arguments: list[object]
) -> None:
    with pytest.raises(QStashError, match=r"status: 4\d\d.*error"):
        sdk(f"flow_control.{call}", *arguments)
