"""What is cancelled and deleted in bulk, and a message after its end."""

import time
from typing import Any

import pytest
from qstash.errors import QStashError

from tests.doubles.destination import Answer, Destination
from tests.integration.sdk import Sdk, one
from tests.waiting import eventually

FINAL = Answer(489, {"Upstash-NonRetryable-Error": "true"}, b"why")


def test_of_many_only_those_named_are_cancelled(sdk: Sdk, destination: Destination) -> None:
    def waiting() -> str:
        found = sdk("message.publish", url=f"{destination.url}/x", body="x", delay=3600)
        return str(found.message_id)

    ids = [waiting() for _ in range(5)]
    assert sdk("message.cancel_many", []) == 0
    assert sdk("message.cancel_many", ["msg_unknown"]) == 0
    assert sdk("message.cancel_many", [ids[0], ids[1], ids[1], "msg_unknown"]) == 2
    assert sdk("message.cancel_many", ids[:3]) == 1
    with pytest.raises(QStashError, match="404"):
        sdk("message.cancel", "msg_unknown")
    sdk("message.cancel", ids[3])
    assert sdk("message.cancel_all") == 1
    assert sdk("message.cancel_all") == 0


def test_a_message_stays_known_after_its_end(sdk: Sdk, destination: Destination) -> None:
    options: dict[str, Any] = {"label": "known", "headers": {"X": "y"}, "method": "PATCH"}
    for number in range(20):  # each may be delivered before it is asked for
        url = f"{destination.url}/{number}"
        given = sdk("message.publish", url=url, body=f"of {number}", **options)
        found = sdk("message.get", given.message_id)
        assert (found.url, found.body, found.method) == (url, f"of {number}", "PATCH")
        assert (found.label, found.headers["X"]) == ("known", ["y"])
    destination.answers.append(FINAL)
    lost = sdk("message.publish", url=f"{destination.url}/lost", body="lost").message_id
    eventually(lambda: sdk("dlq.list").messages)
    assert sdk("message.get", lost).body == "lost"
    with pytest.raises(QStashError, match="404"):
        sdk("message.get", "msg_unknown")


def test_dead_letters_by_every_filter(sdk: Sdk, destination: Destination) -> None:
    url, began = destination.url, int(time.time() * 1000)
    destination.answers.extend(FINAL for _ in range(3))
    plain = sdk("message.publish", url=f"{url}/plain", body=b"\xff\x00", label="x,y").message_id
    one(destination, "/plain")
    queued = sdk(
        "message.enqueue", queue="of-letters", url=f"{url}/queued", body="x", timeout="5s"
    ).message_id
    one(destination, "/queued")
    flow = {"key": "of-letters", "rate": 5, "period": "1m"}
    kept = sdk("message.publish", url=f"{url}/kept", body="x", flow_control=flow).message_id

    def found(**criteria: Any) -> set[str]:
        return {each.message_id for each in sdk("dlq.list", filter=criteria).messages}

    eventually(lambda: len(found(from_time=began)) == 3)
    assert found(message_id=plain) == {plain}
    assert found(url=f"{url}/queued") == found(queue="of-letters") == {queued}
    assert found(label="y") == found(label="x") == {plain}
    assert found(label="z") == found(schedule_id="z") == found(url_group="z") == set()
    assert found(caller_ip="127.0.0.1", from_time=began) == {plain, queued, kept}
    assert found(caller_ip="127.0.0.2") == found(response_status=500) == set()
    assert found(response_status=489, from_time=began) == {plain, queued, kept}
    assert found(to_time=began - 1, from_time=began - 1) == set()

    letters = {each.message_id: each for each in sdk("dlq.list", count=100).messages}
    assert letters[plain].body_base64 == "/wA="
    assert (letters[plain].response_status, letters[plain].response_body) == (489, "why")
    assert letters[kept].flow_control.key == "of-letters"
    assert (letters[kept].flow_control.rate, letters[kept].flow_control.period) == (5, 60)
    assert sdk("dlq.get", letters[queued].dlq_id) == letters[queued]
    assert letters[queued].queue == "of-letters"

    assert sdk("dlq.delete_many", []) == 0
    sdk("dlq.delete", letters[plain].dlq_id)
    with pytest.raises(QStashError, match="404"):
        sdk("dlq.get", letters[plain].dlq_id)
    with pytest.raises(QStashError, match="404"):
        sdk("dlq.delete", letters[plain].dlq_id)
    rest = [letters[each].dlq_id for each in (plain, queued, kept)]
    assert sdk("dlq.delete_many", rest) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        {"count": -1},
        {"cursor": "no cursor"},
        {"filter": {"from_time": "yesterday"}},
        {"filter": {"response_status": "bad"}},
    ],
)
def test_what_no_letter_can_be_asked_by_is_refused(sdk: Sdk, arguments: dict[str, Any]) -> None:
    with pytest.raises(QStashError, match=r"status: 400.*error"):
        sdk("dlq.list", **arguments)
