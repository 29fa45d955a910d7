"""URL groups, by every call of the SDK."""

import json
import time

import pytest
from qstash.errors import QStashError

from tests.doubles.destination import Answer, Destination
from tests.integration.sdk import Sdk, one, verified
from tests.waiting import eventually


def test_a_group_from_its_first_endpoint_to_its_last(sdk: Sdk, destination: Destination) -> None:
    began, url = time.time() * 1000, destination.url
    endpoints = [{"url": f"{url}/one", "name": "first"}, {"url": f"{url}/two"}]
    sdk("url_group.upsert_endpoints", "a-group", endpoints)
    group = sdk("url_group.get", "a-group")
    assert group.name == "a-group"
    assert [(each.url, each.name or None) for each in group.endpoints] == [
        (f"{url}/one", "first"),
        (f"{url}/two", None),
    ]
    assert began - 1 <= group.created_at <= group.updated_at <= time.time() * 1000 + 1
    assert "a-group" in [each.name for each in sdk("url_group.list")]

    published = sdk(
        "message.publish_json",
        url_group="a-group",
        body={"to": "all"},
        headers={"X": "y"},
        callback=f"{url}/callback",
        callback_headers={"Z": "z"},
        label="of-a-group",
    )
    assert [each.url for each in published] == [f"{url}/one", f"{url}/two"]
    assert not any(each.deduplicated for each in published)
    for each in published:
        delivered = one(destination, each.url.removeprefix(url))
        assert json.loads(delivered.body) == {"to": "all"}
        assert delivered.headers["x"] == "y"
        assert delivered.headers["upstash-message-id"] == each.message_id
        verified(delivered, each.url)
    eventually(lambda: len(destination.at("/callback")) == 2)
    told = {json.loads(each.body)["sourceMessageId"]: each for each in destination.at("/callback")}
    callback = json.loads(told[published[0].message_id].body)
    assert (callback["topicName"], callback["endpointName"]) == ("a-group", "first")
    first = sdk("message.get", published[0].message_id)
    assert (first.url_group, first.endpoint) == ("a-group", "first")
    assert (first.url, first.label) == (f"{url}/one", "of-a-group")

    # Renamed, moved and removed.
    sdk("url_group.upsert_endpoints", "a-group", [{"url": f"{url}/two", "name": "second"}])
    sdk("url_group.remove_endpoints", "a-group", [{"name": "first"}])
    group = sdk("url_group.get", "a-group")
    assert [(each.url, each.name) for each in group.endpoints] == [(f"{url}/two", "second")]
    sdk("url_group.remove_endpoints", "a-group", [{"url": f"{url}/two"}])
    with pytest.raises(QStashError, match="404"):
        sdk("url_group.get", "a-group")
    assert "a-group" not in [each.name for each in sdk("url_group.list")]


def test_whatever_is_published_to_a_group_fans_out(sdk: Sdk, destination: Destination) -> None:
    url = destination.url
    sdk(
        "url_group.upsert_endpoints",
        "fan",
        [{"url": f"{url}/{each}", "name": each} for each in ("one", "two", "three")],
    )
    plain, grouped, queued = sdk(
        "message.batch",
        [
            {"url": f"{url}/plain", "body": "p"},
            {"url_group": "fan", "body": "g", "delay": 3600},
            {"url_group": "fan", "body": "q", "queue": "of-a-group"},
        ],
    )
    assert one(destination, "/plain").headers["upstash-message-id"] == plain.message_id
    assert [each.url for each in grouped] == [f"{url}/{each}" for each in ("one", "two", "three")]
    eventually(lambda: len(destination.delivered) == 4)
    assert {each.path: each.body for each in destination.delivered} == {
        "/plain": b"p",
        "/one": b"q",
        "/two": b"q",
        "/three": b"q",
    }
    assert len(queued) == 3
    by_queue = sdk(
        "message.enqueue_json", queue="of-a-group", url_group="fan", body=1, deduplication_id="a"
    )
    assert [each.url for each in by_queue] == [each.url for each in queued]
    again = sdk("message.enqueue", queue="of-a-group", url_group="fan", deduplication_id="a")
    assert all(each.deduplicated for each in again)
    assert [each.message_id for each in again] == [each.message_id for each in by_queue]
    eventually(lambda: len(destination.delivered) == 7)

    # An endpoint that gives up: its dead letter, its callback and its log say which it was.
    destination.answers.append(Answer(489, {"Upstash-NonRetryable-Error": "true"}))
    sdk("url_group.remove_endpoints", "fan", [{"name": "one"}, {"url": f"{url}/three"}])
    (lost,) = sdk("message.publish", url_group="fan", failure_callback=f"{url}/callback")
    told = json.loads(one(destination, "/callback").body)
    assert (told["topicName"], told["endpointName"]) == ("fan", "two")
    (letter,) = sdk("dlq.list", filter={"url_group": "fan"}).messages
    assert (letter.message_id, letter.dlq_id) == (lost.message_id, told["dlqId"])
    assert (letter.url_group, letter.endpoint) == ("fan", "two")
    assert sdk("dlq.list", filter={"url_group": "other"}).messages == []
    logs = sdk("log.list", filter={"url_group": "fan", "message_id": lost.message_id}).logs
    assert {(each.url_group, each.endpoint) for each in logs} == {("fan", "two")}

    sdk("url_group.delete", "fan")
    with pytest.raises(QStashError, match=r"status: 4\d\d"):
        sdk("message.publish", url_group="fan", body="x")
    # What was published before is still there.
    assert sdk("message.get", grouped[0].message_id).url_group == "fan"
    assert sdk("message.cancel_many", [each.message_id for each in grouped]) == 3


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("upsert_endpoints", ["a", [{"url": "nowhere"}]]),
        ("upsert_endpoints", ["a", []]),
        ("upsert_endpoints", ["a group", [{"url": "http://127.0.0.1:1"}]]),
        ("get", ["unknown"]),
    ],
)
def test_what_is_no_group_is_refused(sdk: Sdk, call: str, arguments: list[object]) -> None:
    with pytest.raises(QStashError, match=r"status: 4\d\d.*error"):
        sdk(f"url_group.{call}", *arguments)
    assert not {"a", "a group"} & {each.name for each in sdk("url_group.list")}
