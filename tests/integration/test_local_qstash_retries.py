"""What the local QStash does about a destination that does not take a message, judged by Upstash's
own SDK: retries, pauses, and dead letters."""

import base64
import json
import threading
import time

import pytest
from qstash.errors import QStashError

from tests.doubles.destination import Answer, Destination
from tests.integration.sdk import Sdk, one, verified
from tests.waiting import eventually


def test_retries_then_the_dead_letters(sdk: Sdk, destination: Destination) -> None:
    url = f"{destination.url}/broken"
    failing = Answer(503, {"X-Why": "because"}, b"\xff\xfe")
    destination.answers.extend([failing] * 3)
    answer = sdk(
        "message.publish_json",
        url=url,
        body={"n": 1},
        retries=2,
        retry_delay="20",
        label="broken",
        callback=f"{destination.url}/callback/each",
        failure_callback=f"{destination.url}/callback/failure",
        callback_headers={"Forward-X-Call": "c"},
        failure_callback_headers={"Forward-X-Fail": "f", "Retries": "0"},
    )
    failure = one(destination, "/callback/failure")
    assert [each.headers["upstash-retried"] for each in destination.at("/broken")] == [
        "0",
        "1",
        "2",
    ]
    each_attempt = eventually(
        lambda: (
            destination.at("/callback/each") if len(destination.at("/callback/each")) == 3 else None
        )
    )
    assert {each.headers["x-call"] for each in each_attempt} == {"c"}
    assert failure.headers["x-fail"] == "f"
    assert failure.headers["content-type"] == "application/json"
    verified(failure, f"{destination.url}/callback/failure")

    told = json.loads(failure.body)
    written_again = json.dumps(told, separators=(",", ":"), ensure_ascii=False)
    assert failure.body.decode() == written_again  # as by JSON.stringify, behind Express's json()
    assert told["status"] == 503
    assert told["header"]["x-why"] == ["because"]
    assert base64.b64decode(told["body"]) == b"\xff\xfe"
    assert (told["retried"], told["maxRetries"]) == (2, 2)
    assert told["sourceMessageId"] == answer.message_id
    assert (told["url"], told["method"]) == (url, "POST")
    assert told["sourceHeader"]["Content-Type"] == ["application/json"]
    assert json.loads(base64.b64decode(told["sourceBody"])) == {"n": 1}
    assert {"notBefore", "createdAt", "dlqId"} <= told.keys()
    assert "dlqId" not in json.loads(each_attempt[0].body)

    listed = sdk("dlq.list", filter={"message_id": answer.message_id})
    assert listed.cursor is None
    (letter,) = listed.messages
    assert letter.dlq_id == told["dlqId"]
    assert letter.response_status == 503
    assert letter.response_headers["x-why"] == ["because"]
    assert base64.b64decode(letter.response_body_base64) == b"\xff\xfe"
    assert letter.body == '{"n": 1}'
    assert sdk("dlq.get", letter.dlq_id).message_id == answer.message_id
    assert sdk("dlq.list", filter={"label": "broken", "response_status": 404}).messages == []
    sdk("dlq.delete", letter.dlq_id)
    with pytest.raises(QStashError, match="404"):
        sdk("dlq.get", letter.dlq_id)


def test_dead_letters_in_pages_and_many_deleted(sdk: Sdk, destination: Destination) -> None:
    label = f"pages-{time.time_ns()}"
    destination.answers.extend([Answer(400)] * 3)
    for _ in range(3):
        sdk("message.publish", url=f"{destination.url}/bad", body="x", retries=0, label=label)
    wanted = {"label": label}
    eventually(lambda: len(sdk("dlq.list", filter=wanted).messages) == 3)
    page = sdk("dlq.list", count=2, filter=wanted)
    rest = sdk("dlq.list", cursor=page.cursor, filter=wanted)
    ids = [each.dlq_id for each in [*page.messages, *rest.messages]]
    assert len(page.messages) == 2
    assert len(set(ids)) == 3
    assert sdk("dlq.delete_many", [*ids, "unknown"]) == 3
    assert sdk("dlq.list", filter=wanted).messages == []


def test_489_is_not_delivered_again(sdk: Sdk, destination: Destination) -> None:
    destination.answers.append(Answer(489, {"Upstash-NonRetryable-Error": "true"}))
    sdk(
        "message.publish",
        url=f"{destination.url}/final",
        body="x",
        retries=5,
        retry_delay="0",
        failure_callback=f"{destination.url}/callback/final",
    )
    told = json.loads(one(destination, "/callback/final").body)
    assert (told["status"], told["retried"]) == (489, 0)
    assert len(destination.at("/final")) == 1


def test_489_without_the_header_is_delivered_again(sdk: Sdk, destination: Destination) -> None:
    destination.answers.append(Answer(489))
    sdk("message.publish", url=f"{destination.url}/x", body="x", retries=1, retry_delay="0")
    eventually(lambda: len(destination.at("/x")) == 2)


@pytest.mark.parametrize("header", ["Retry-After", "X-RateLimit-Reset-Tokens"])
def test_the_destination_may_say_when(sdk: Sdk, destination: Destination, header: str) -> None:
    destination.answers.extend([Answer(429, {header: "1"}), Answer(429, {header: "30ms"})])
    sdk("message.publish", url=f"{destination.url}/when", body="x", retries=2, retry_delay="60000")
    eventually(lambda: len(destination.at("/when")) == 3)
    first, second, _ = destination.at("/when")
    assert second.at - first.at >= 0.99


def test_a_destination_that_does_not_answer_in_time(sdk: Sdk, destination: Destination) -> None:
    gate = threading.Event()
    destination.answers.append(Answer(gate=gate))
    sdk(
        "message.publish",
        url=f"{destination.url}/slow",
        body="x",
        retries=20,  # on a busy machine some may not arrive within their time
        retry_delay="0",
        timeout="200ms",
    )
    eventually(lambda: len(destination.at("/slow")) >= 2)
    first, second = (int(each.headers["upstash-retried"]) for each in destination.at("/slow")[:2])
    assert first < second
    gate.set()


def test_a_destination_that_is_not_there(sdk: Sdk, destination: Destination) -> None:
    url = "http://127.0.0.1:1/x"
    failure = f"{destination.url}/callback/x"
    sdk("message.publish", url=url, body="x", retries=0, failure_callback=failure)
    assert json.loads(one(destination, "/callback/x").body)["status"] == 0
