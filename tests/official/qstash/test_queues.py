"""Queues, by every call of the SDK."""

import threading
import time

import pytest
from qstash.errors import QStashError

from tests.doubles.destination import Answer, Destination
from tests.integration.sdk import Sdk, one
from tests.waiting import eventually


def test_a_queue_from_its_first_upsert_to_its_end(sdk: Sdk, destination: Destination) -> None:
    began = time.time() * 1000
    sdk("queue.upsert", "a.queue_of-2", parallelism=2, paused=True)
    made = sdk("queue.get", "a.queue_of-2")
    assert (made.name, made.parallelism, made.paused, made.lag) == ("a.queue_of-2", 2, True, 0)
    assert began - 1 <= made.created_at <= made.updated_at <= time.time() * 1000 + 1

    gate = threading.Event()
    destination.answers.extend(Answer(gate=gate) for _ in range(4))
    ids = [
        sdk("message.enqueue", queue="a.queue_of-2", url=f"{destination.url}/{number}", body="x")
        for number in range(4)
    ]
    assert sdk("queue.get", "a.queue_of-2").lag == 4
    assert sdk("message.get", ids[0].message_id).queue == "a.queue_of-2"
    sdk("queue.pause", "a.queue_of-2")  # it is already
    sdk("message.publish", url=f"{destination.url}/callback", body="meanwhile")
    one(destination, "/callback")
    assert len(destination.delivered) == 1

    sdk("queue.resume", "a.queue_of-2")
    sdk("queue.resume", "a.queue_of-2")
    eventually(lambda: len(destination.delivered) == 3)
    assert not sdk("queue.get", "a.queue_of-2").paused
    sdk("queue.pause", "a.queue_of-2")
    gate.set()
    eventually(lambda: sdk("queue.get", "a.queue_of-2").lag == 2)
    sdk("message.publish", url=f"{destination.url}/callback/2", body="meanwhile")
    one(destination, "/callback/2")
    assert len(destination.delivered) == 4

    sdk("queue.upsert", "a.queue_of-2", parallelism=1)  # which also resumes it
    changed = sdk("queue.get", "a.queue_of-2")
    assert (changed.parallelism, changed.paused) == (1, False)
    assert changed.created_at == made.created_at
    assert changed.updated_at >= made.updated_at
    eventually(lambda: len(destination.delivered) == 6)
    paths = [each.path for each in destination.delivered if each.path[:9] != "/callback"]
    assert (set(paths[:2]), paths[2:]) == ({"/0", "/1"}, ["/2", "/3"])
    assert destination.most_at_once == 2

    assert "a.queue_of-2" in [each.name for each in sdk("queue.list")]
    for _ in range(2):
        sdk("queue.delete", "a.queue_of-2")
    assert "a.queue_of-2" not in [each.name for each in sdk("queue.list")]
    with pytest.raises(QStashError, match="404"):
        sdk("queue.get", "a.queue_of-2")


def test_a_queue_comes_into_being_by_its_first_message(sdk: Sdk, destination: Destination) -> None:
    gate = threading.Event()
    destination.answers.extend([Answer(500, gate=gate), Answer(), Answer()])
    batch = [
        {"queue": "in-order", "url": f"{destination.url}/{number}", "body": number, "retries": 1}
        for number in range(2)
    ]
    first, second = sdk("message.batch_json", batch)
    third = sdk(
        "message.enqueue_json",
        queue="in-order",
        url=f"{destination.url}/2",
        body={"two": 2},
        method="PUT",
        headers={"X": "y"},
        retries=0,
        retry_delay="1",
        timeout=10,
        label="one,two",
        deduplication_id="third",
        callback=f"{destination.url}/callback",
        failure_callback=f"{destination.url}/callback/failure",
        callback_headers={"Method": "PATCH"},
    )
    again = sdk(
        "message.enqueue", queue="in-order", url=f"{destination.url}/2", deduplication_id="third"
    )
    assert (again.message_id, again.deduplicated) == (third.message_id, True)
    queue = sdk("queue.get", "in-order")
    assert (queue.parallelism, queue.paused, queue.lag) == (1, False, 3)
    sdk("message.cancel", second.message_id)
    eventually(lambda: sdk("queue.get", "in-order").lag == 2)
    one(destination, "/0")
    waiting = sdk("message.get", third.message_id)
    assert (waiting.queue, waiting.method, waiting.label) == ("in-order", "PUT", "one")
    assert (waiting.max_retries, waiting.retry_delay_expression) == (0, "1")
    assert first.message_id != third.message_id
    sdk("message.cancel", first.message_id)
    gate.set()
    delivered = one(destination, "/2")
    assert (delivered.method, delivered.body) == ("PUT", b'{"two": 2}')
    assert delivered.headers["x"] == "y"
    assert one(destination, "/callback").method == "PATCH"
    assert [each.path for each in destination.delivered] == ["/0", "/2", "/callback"]
    eventually(lambda: sdk("queue.get", "in-order").lag == 0)
    sdk("queue.delete", "in-order")


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("queue.upsert", {"queue": "a queue"}),
        ("queue.upsert", {"queue": ""}),
        ("queue.upsert", {"queue": "no", "parallelism": 0}),
        ("queue.upsert", {"queue": "no", "parallelism": "two"}),
        ("queue.get", {"queue": "unknown"}),
        ("queue.pause", {"queue": "a:queue"}),
        ("queue.resume", {"queue": "a:queue"}),
        ("message.enqueue", {"queue": "a:queue", "url": "http://127.0.0.1:1/"}),
    ],
)
def test_what_is_no_queue_is_refused(sdk: Sdk, call: str, arguments: dict[str, object]) -> None:
    with pytest.raises(QStashError, match=r"status: 4\d\d.*error"):
        sdk(call, **arguments)
    assert "no" not in [each.name for each in sdk("queue.list")]
