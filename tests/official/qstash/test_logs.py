"""The log, by every filter of the SDK."""

import base64
import time
from typing import Any

import pytest
from qstash.errors import QStashError
from qstash.log import Log, LogState

from tests.doubles.destination import Answer, Destination
from tests.integration.sdk import Sdk, one
from tests.waiting import eventually


def _states(logs: list[Log], message_id: str) -> list[str]:
    """In the order in which they were; the log has the newest first."""
    return [each.state.value for each in reversed(logs) if each.message_id == message_id]


def test_every_state_of_a_message_is_told(sdk: Sdk, destination: Destination) -> None:
    url, began = destination.url, time.time() * 1000 - 1
    destination.answers.append(Answer(500, {"X-Why": "because"}, b"why"))
    options = {
        "headers": {"X": "y"},
        "callback": f"{url}/callback",
        "callback_headers": {"C": "c"},
        "failure_callback": f"{url}/callback/failure",
        "failure_callback_headers": {"F": "f"},
        "retries": 1,
        "retry_delay": "1 + retried",
        "timeout": 30,
        "method": "PUT",
        "label": "told",
        "flow_control": {"key": "logged", "parallelism": 5},
    }
    told = sdk("message.publish", url=f"{url}/told", body="told", **options).message_id
    eventually(lambda: len(destination.at("/told")) == 2)
    only = {"filter": {"message_id": told}}
    eventually(lambda: sdk("log.list", **only).logs[0].state == LogState.DELIVERED)
    logs = sdk("log.list", **only).logs
    states = _states(logs, told)
    assert (states[0], states[-1]) == ("CREATED", "DELIVERED")
    assert [each for each in states if each != "RETRY"] == [
        "CREATED",
        "ACTIVE",
        "ERROR",
        "ACTIVE",
        "DELIVERED",
    ]
    times = [each.time for each in logs]
    assert times == sorted(times, reverse=True)
    assert began <= times[-1] <= times[0] <= time.time() * 1000 + 1
    for each in logs:
        assert (each.message_id, each.url, each.method) == (told, f"{url}/told", "PUT")
        assert (each.label, each.max_retries, each.timeout) == ("told", 1, 30_000)
        assert (each.callback, each.failure_callback) == (
            options["callback"],
            options["failure_callback"],
        )
        assert each.headers is not None
        assert each.headers["X"] == ["y"]
        assert each.retry_delay_expression == "1 + retried"
        assert each.flow_control is not None
        assert (each.flow_control.key, each.flow_control.parallelism) == ("logged", 5)
        assert base64.b64decode(each.body_base64 or "") == b"told"
    (error,) = [each for each in logs if each.state == LogState.ERROR]
    assert (error.response_status, base64.b64decode(error.response_body or "")) == (500, b"why")
    headers = {name.lower(): values for name, values in (error.response_headers or {}).items()}
    assert headers["x-why"] == ["because"]
    assert error.error
    waits = [each.next_delivery_time for each in logs if each.next_delivery_time is not None]
    assert all(began <= each <= time.time() * 1000 for each in waits)
    assert waits

    destination.answers.append(Answer(489, {"Upstash-NonRetryable-Error": "true"}))
    lost = sdk("message.publish", url=f"{url}/lost", body="x").message_id
    eventually(lambda: _states(sdk("log.list").logs, lost)[-1:] == ["FAILED"])
    assert _states(sdk("log.list").logs, lost) == ["CREATED", "ACTIVE", "ERROR", "FAILED"]

    stopped = sdk("message.publish", url=f"{url}/stopped", body="x", delay=3600).message_id
    sdk("message.cancel", stopped)
    eventually(lambda: _states(sdk("log.list").logs, stopped)[-1:] == ["CANCELED"])
    assert _states(sdk("log.list").logs, stopped) == ["CREATED", "CANCEL_REQUESTED", "CANCELED"]


def test_every_filter_and_the_pages(sdk: Sdk, destination: Destination) -> None:
    url = destination.url
    began = int(time.time() * 1000)

    def published(path: str, **options: Any) -> str:
        return str(sdk("message.publish", url=f"{url}/{path}", body="x", **options).message_id)

    late = {"delay": 3600}
    ids = [published(f"at/{number}", **late) for number in range(7)]
    labelled = published("labelled", label="a,b", **late)
    queued = sdk("message.enqueue", queue="of-logs", url=f"{url}/queued", body="x").message_id
    one(destination, "/queued")

    def found(**criteria: Any) -> set[str]:
        return {each.message_id for each in sdk("log.list", filter=criteria).logs}

    assert found(message_id=ids[0]) == {ids[0]}
    assert found(message_ids=ids[1:3]) == set(ids[1:3])
    assert found(url=f"{url}/at/3") == {ids[3]}
    assert found(label="b") == found(label="a") == {labelled}
    assert found(queue="of-logs") == {queued}
    assert found(queue="of-logs", url=f"{url}/at/3") == set()
    assert found(url_group="none") == found(schedule_id="none") == set()
    assert found(from_time=began, state=LogState.CREATED) == {*ids, labelled, queued}
    assert found(to_time=began - 1, message_ids=ids) == found(to_time=began - 1, label="a") == set()
    eventually(lambda: found(from_time=began, state=LogState.DELIVERED) == {queued})
    assert queued in found(state=LogState.IN_PROGRESS)
    assert found(state=LogState.FAILED, from_time=began) == set()

    seen: list[str] = []
    cursor = None
    while True:
        page = sdk("log.list", count=3, cursor=cursor, filter={"message_ids": ids})
        assert len(page.logs) <= 3
        seen += [each.message_id for each in page.logs]
        cursor = page.cursor
        if not cursor:
            break
    assert seen == ids[::-1]
    sdk("message.cancel_all")


@pytest.mark.parametrize(
    "arguments",
    [
        {"count": -1},
        {"cursor": "no cursor"},
        {"filter": {"from_time": "yesterday"}},
        {"filter": {"to_time": ""}},
    ],
)
def test_what_no_log_can_be_asked_is_refused(sdk: Sdk, arguments: dict[str, Any]) -> None:
    with pytest.raises(QStashError, match=r"status: 400.*error"):
        sdk("log.list", **arguments)
