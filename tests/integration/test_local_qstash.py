"""The local QStash, judged by Upstash's own Python SDK, sync and async: every call is the SDK's,
every delivery goes to a real HTTP server, and the SDK's Receiver checks the signatures."""

import json
import threading
import time
from typing import Any

import pytest
from qstash.errors import QStashError

from adapters.qstash import DEVELOPMENT
from tests.doubles.destination import Answer, Destination
from tests.integration.sdk import Sdk, one, verified
from tests.waiting import eventually


def test_publish_json_is_delivered_and_signed(sdk: Sdk, destination: Destination) -> None:
    url = f"{destination.url}/hook?a=1&b=%2F"
    answer = sdk("message.publish_json", url=url, body={"x": "é"}, headers={"My-Header": "v"})
    delivered = one(destination, "/hook?a=1&b=%2F")
    assert json.loads(delivered.body) == {"x": "é"}
    assert delivered.method == "POST"
    assert delivered.headers["content-type"] == "application/json"
    assert delivered.headers["my-header"] == "v"
    assert delivered.headers["upstash-message-id"] == answer.message_id
    assert delivered.headers["upstash-retried"] == "0"
    assert answer.deduplicated is False
    assert "authorization" not in delivered.headers
    verified(delivered, url)


def test_publish_raw_with_another_method(sdk: Sdk, destination: Destination) -> None:
    raw = b"\x00raw"
    sdk("message.publish", url=f"{destination.url}/raw", body=raw, method="PUT", content_type="x/y")
    delivered = one(destination, "/raw")
    assert (delivered.method, delivered.body) == ("PUT", raw)
    assert delivered.headers["content-type"] == "x/y"


def test_a_message_can_be_looked_at_until_it_is_delivered(
    sdk: Sdk, destination: Destination
) -> None:
    before = time.time() * 1000
    answer = sdk(
        "message.publish_json",
        url=f"{destination.url}/later",
        body={"a": 1},
        delay="1h",
        retries=2,
        retry_delay="1000 * (1 + retried)",
        timeout="30s",
        callback=f"{destination.url}/callback",
        failure_callback=f"{destination.url}/callback/failure",
        callback_headers={"Retries": "1"},
        headers={"Secret": "s", "Open": "o"},
        flow_control={"key": "k", "parallelism": 2, "rate": 10, "period": "1m"},
        label="tag",
        redact={"header": ["Secret"]},
    )
    message = sdk("message.get", answer.message_id)
    assert message.message_id == answer.message_id
    assert message.url == f"{destination.url}/later"
    assert message.body == '{"a": 1}'
    assert message.method == "POST"
    assert message.max_retries == 2
    assert message.retry_delay_expression == "1000 * (1 + retried)"
    assert message.callback == f"{destination.url}/callback"
    assert message.failure_callback == f"{destination.url}/callback/failure"
    assert message.label == "tag"
    assert message.caller_ip == "127.0.0.1"
    assert message.flow_control.key == "k"
    assert (message.flow_control.parallelism, message.flow_control.rate) == (2, 10)
    assert message.flow_control.period == 60
    assert message.headers["Secret"][0].startswith("REDACTED:")
    assert message.headers["Open"] == ["o"]
    assert message.not_before - before == pytest.approx(3_600_000, abs=5_000)
    assert destination.delivered == []


def test_delay_and_not_before(sdk: Sdk, destination: Destination) -> None:
    began = time.monotonic()
    sdk("message.publish", url=f"{destination.url}/delayed", body="x", delay=1)
    soon = int(time.time()) + 2
    sdk("message.publish", url=f"{destination.url}/not-before", body="x", not_before=soon)
    assert one(destination, "/delayed").at - began >= 0.99
    one(destination, "/not-before")
    assert time.time() >= soon


def test_cancel_one_some_and_all(sdk: Sdk, destination: Destination) -> None:
    def waiting() -> str:
        answer = sdk("message.publish", url=f"{destination.url}/x", body="x", delay="1h")
        return str(answer.message_id)

    one = waiting()
    sdk("message.cancel", one)
    with pytest.raises(QStashError, match="404"):
        sdk("message.get", one)
    with pytest.raises(QStashError, match="404"):
        sdk("message.cancel", one)
    assert sdk("message.cancel_many", [waiting(), waiting(), one]) == 2
    kept = [waiting(), waiting()]
    assert sdk("message.cancel_all") == 2
    for each in kept:
        with pytest.raises(QStashError, match="404"):
            sdk("message.get", each)
    assert destination.delivered == []


def test_a_message_on_its_way_is_not_delivered_again_once_cancelled(
    sdk: Sdk, destination: Destination
) -> None:
    gate = threading.Event()
    destination.answers.append(Answer(500, gate=gate))
    url = f"{destination.url}/flying"
    flying = sdk("message.publish", url=url, body="x", retries=5, retry_delay="0")
    one(destination, "/flying")
    sdk("message.cancel", flying.message_id)
    gate.set()
    # A message published now is delivered; by then the other would have been, too.
    for number in range(3):
        sdk("message.publish", url=f"{destination.url}/after{number}", body="x")
        one(destination, f"/after{number}")
    assert len(destination.at("/flying")) == 1


def test_batch(sdk: Sdk, destination: Destination) -> None:
    answers = sdk(
        "message.batch_json",
        [
            {"url": f"{destination.url}/b1", "body": {"n": 1}, "headers": {"X-N": "1"}},
            {"url": f"{destination.url}/b2", "body": {"n": 2}, "queue": "batch-queue"},
        ],
    )
    for number, answer in enumerate(answers, 1):
        delivered = one(destination, f"/b{number}")
        assert json.loads(delivered.body) == {"n": number}
        assert delivered.headers["upstash-message-id"] == answer.message_id
    assert destination.at("/b1")[0].headers["x-n"] == "1"
    raw = sdk("message.batch", [{"url": f"{destination.url}/b3", "body": "plain"}])
    assert one(destination, "/b3").body == b"plain"
    assert raw[0].message_id


def test_a_queue_is_in_order_and_waits_for_retries(sdk: Sdk, destination: Destination) -> None:
    destination.answers.extend([Answer(500), Answer(500)])
    name = f"queue-{time.time_ns()}"
    for number in range(3):
        sdk(
            "message.enqueue_json",
            queue=name,
            url=f"{destination.url}/q{number}",
            body={},
            retries=3,
            retry_delay="10",
        )
    sdk("message.enqueue", queue=name, url=f"{destination.url}/q3", body="x")
    one(destination, "/q3")
    paths = [each.path for each in destination.delivered]
    assert paths == ["/q0", "/q0", "/q0", "/q1", "/q2", "/q3"]
    assert destination.most_at_once == 1


def test_deduplication_by_id_and_by_content(sdk: Sdk, destination: Destination) -> None:
    url = f"{destination.url}/once"
    name = f"id-{time.time_ns()}"
    first = sdk("message.publish", url=url, body="1", deduplication_id=name)
    second = sdk("message.publish", url=url, body="2", deduplication_id=name)
    assert (second.message_id, second.deduplicated) == (first.message_id, True)
    with pytest.raises(QStashError, match="400"):
        sdk("message.publish", url=url, body="1", deduplication_id="a:b")

    content = f"{destination.url}/content"
    same = {"url": content, "body": name, "content_based_deduplication": True}
    third = sdk("message.publish", **same, headers={"A": "1"})
    fourth = sdk("message.publish", **same, headers={"A": "1"})
    fifth = sdk("message.publish", **same, headers={"A": "2"})
    assert (fourth.message_id, fourth.deduplicated) == (third.message_id, True)
    assert fifth.deduplicated is False
    eventually(lambda: len(destination.at("/content")) == 2)
    assert len(destination.at("/once")) == 1


def test_flow_control_bounds_what_goes_on_at_once(sdk: Sdk, destination: Destination) -> None:
    gate = threading.Event()
    destination.answers.extend([Answer(gate=gate) for _ in range(5)])
    flow = {"key": f"flow-{time.time_ns()}", "parallelism": 2}
    for number in range(5):
        sdk("message.publish", url=f"{destination.url}/f{number}", body="x", flow_control=flow)
    other = {"key": f"other-{time.time_ns()}", "parallelism": 1}
    eventually(lambda: len(destination.delivered) == 2)
    # Another key is not held up, and by its delivery a third of the first key would have come.
    destination.answers.appendleft(Answer())
    sdk("message.publish", url=f"{destination.url}/other", body="x", flow_control=other)
    one(destination, "/other")
    assert len(destination.delivered) == 3
    gate.set()
    eventually(lambda: len(destination.delivered) == 6)
    assert destination.most_at_once <= 3


@pytest.mark.soak
def test_flow_control_bounds_the_rate(sdk: Sdk, destination: Destination) -> None:
    flow = {"key": f"rate-{time.time_ns()}", "rate": 2, "period": "1s"}
    before = time.monotonic()
    for number in range(6):
        sdk("message.publish", url=f"{destination.url}/r{number}", body="x", flow_control=flow)
    eventually(lambda: len(destination.delivered) == 6)
    # Whatever a busy machine holds back: nothing comes before its period.
    began = [each.at - before for each in destination.delivered]
    assert [began[2] >= 0.99, began[4] >= 1.99] == [True, True], began


def test_signing_keys(sdk: Sdk) -> None:
    keys = sdk("signing_key.get")
    assert (keys.current, keys.next) == (DEVELOPMENT.current_key, DEVELOPMENT.next_key)


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_another_token_is_refused(kind: str, qstash_url: str) -> None:
    stranger = Sdk(kind, qstash_url, token="other")
    for call, arguments in (
        ("message.publish", {"url": "http://127.0.0.1:1/x", "body": "x"}),
        ("message.cancel_all", {}),
        ("dlq.list", {}),
        ("signing_key.get", {}),
    ):
        with pytest.raises(QStashError, match="401"):
            stranger(call, **arguments)
    stranger.close()


@pytest.mark.parametrize(
    "arguments",
    [
        {"url": "ftp://example.org"},
        {"url": "http://"},
        {"url_group": "my-group"},
        {"url": "http://127.0.0.1:1/", "delay": "soon"},
        {"url": "http://127.0.0.1:1/", "timeout": "10"},
        {"url": "http://127.0.0.1:1/", "retry_delay": "__import__('os')"},
        {"url": "http://127.0.0.1:1/", "retry_delay": "1 +"},
        {"url": "http://127.0.0.1:1/", "callback": "nowhere"},
        {"url": "http://127.0.0.1:1/", "flow_control": {"key": "k", "parallelism": 0}},
    ],
)
def test_what_qstash_would_refuse_is_refused(sdk: Sdk, arguments: dict[str, Any]) -> None:
    with pytest.raises(QStashError, match=r"400.*error"):
        sdk("message.publish", body="x", **arguments)
