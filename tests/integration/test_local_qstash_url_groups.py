"""URL groups of the local QStash, by Upstash's own SDK, and where it cannot tell, by HTTP."""

import base64
import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from qstash.errors import QStashError

from adapters.database import open_database
from entrypoints.local_qstash.tables import QUEUE
from tests.doubles.destination import Answer, Destination
from tests.integration.sdk import Sdk, one, verified
from tests.queue_client import queue_client
from tests.running import running_local_qstash
from tests.waiting import eventually

NUMBERS = count()


@pytest.fixture
def group(sdk: Sdk) -> Iterator[str]:
    name = f"group-{next(NUMBERS)}"
    yield name
    sdk("url_group.delete", name)


def test_endpoints_are_added_renamed_moved_and_removed(sdk: Sdk, group: str) -> None:
    def endpoints() -> list[tuple[str, str | None]]:
        return [(each.url, each.name) for each in sdk("url_group.get", group).endpoints]

    sdk("url_group.delete", group)  # there is none
    a, b, c = ("http://a.test/", "http://b.test/x?y=1", "http://c.test/")
    sdk("url_group.upsert_endpoints", group, [{"url": a}, {"url": b, "name": "bee"}])
    created = sdk("url_group.get", group)
    assert (created.name, created.created_at <= created.updated_at) == (group, True)
    sdk("url_group.upsert_endpoints", group, [{"url": a, "name": "ay"}, {"url": c, "name": "bee"}])
    assert endpoints() == [(a, "ay"), (c, "bee")]
    sdk("url_group.upsert_endpoints", group, [{"url": c, "name": "ay"}])
    assert endpoints() == [(c, "ay")]
    sdk("url_group.upsert_endpoints", "other", [{"url": b}])
    assert {group, "other"} <= {each.name for each in sdk("url_group.list")}
    sdk("url_group.remove_endpoints", group, [{"url": a}, {"name": "none"}])
    assert endpoints() == [(c, "ay")]
    sdk("url_group.remove_endpoints", group, [{"name": "ay"}])  # the last one
    with pytest.raises(QStashError, match="404"):
        sdk("url_group.get", group)
    sdk("url_group.delete", "other")
    assert not {group, "other"} & {each.name for each in sdk("url_group.list")}


def test_a_publish_reaches_each_endpoint_once(
    sdk: Sdk, group: str, destination: Destination
) -> None:
    a, b = (f"{destination.url}/{path}" for path in ("a", "b?x=1"))
    sdk("url_group.upsert_endpoints", group, [{"url": a, "name": "ay"}, {"url": b}])
    first = sdk("message.publish_json", url_group=group, body={"n": 1}, deduplication_id=group)
    assert [each.url for each in first] == [a, b]
    again = sdk("message.publish_json", url_group=group, body={"n": 2}, deduplication_id=group)
    assert [each.message_id for each in again] == [each.message_id for each in first]
    assert all(each.deduplicated for each in again)
    for each, path in zip(first, ("/a", "/b?x=1"), strict=True):
        delivered = one(destination, path)
        verified(delivered, each.url)
        assert delivered.headers["upstash-topic-name"] == group
        assert delivered.headers["upstash-message-id"] == each.message_id
    assert len(destination.delivered) == 2

    enqueued = sdk("message.enqueue_json", queue="q", url_group=group, body={"n": 3})
    expected = {each.message_id for each in [*first, *enqueued]}
    eventually(
        lambda: {each.headers["upstash-message-id"] for each in destination.delivered} == expected
    )
    single, several = sdk(
        "message.batch_json",
        [
            {"url": a, "body": 1, "delay": "1h"},
            {"url_group": group, "queue": "q", "body": 2, "delay": "1h"},
        ],
    )
    assert sdk("message.get", single.message_id).url_group is None
    shown = [sdk("message.get", each.message_id) for each in several]
    assert [(each.url, each.url_group, each.endpoint, each.queue) for each in shown] == [
        (a, group, "ay", "q"),
        (b, group, None, "q"),
    ]


def test_callbacks_and_dead_letters_name_the_group(
    sdk: Sdk, group: str, destination: Destination
) -> None:
    url = f"{destination.url}/bad"
    destination.answers.append(Answer(500))
    sdk("url_group.upsert_endpoints", group, [{"url": url, "name": "e"}])
    failure_callback = f"{destination.url}/failed"
    sdk(
        "message.publish",
        url_group=group,
        body="x",
        retries=0,
        failure_callback=failure_callback,
    )
    told = json.loads(one(destination, "/failed").body)
    assert (told["topicName"], told["endpointName"]) == (group, "e")
    assert base64.b64decode(told["sourceBody"]) == b"x"
    (letter,) = eventually(lambda: sdk("dlq.list").messages)
    assert (letter.url_group, letter.endpoint) == (group, "e")


def test_what_is_wrong_is_said(destination: Destination) -> None:
    with (
        running_local_qstash() as url,
        queue_client(url) as client,
    ):
        good = {"url": destination.url}
        many = [{"url": f"http://h{number}.test/"} for number in range(101)]
        for name, body, says in [
            ("a b", {"endpoints": [good]}, "letters, digits"),
            ("g", {"endpoints": []}, "at least one"),
            ("g", {"endpoints": many}, "at most 100"),
            ("g", [], "must be a list"),
            ("g", {"endpoints": ["x"]}, "object"),
            ("g", {"endpoints": [{"name": "n"}]}, "has a url"),
            ("g", {"endpoints": [{"url": 1}]}, "must be texts"),
            ("g", {"endpoints": [{**good, "name": "a b"}]}, "letters, digits"),
            ("g", {"endpoints": [{"url": "ftp://x.test"}]}, "not an http"),
            ("g", {"endpoints": [{"url": "http://x.test/" + "x" * 70_000}]}, "at most 65536 bytes"),
        ]:
            refused = client.post(f"/v2/topics/{name}/endpoints", json=body)
            assert (refused.status_code, says in refused.json()["error"]) == (400, True), (
                refused.text
            )
        assert client.get("/v2/topics").json() == []
        unknown = client.post("/v2/publish/nothing")
        assert unknown.status_code == 400
        assert "nor the name of a URL group" in unknown.json()["error"]
        results = client.post(
            "/v2/batch", json=[{"destination": "nothing"}, {"destination": destination.url}]
        ).json()
        assert "URL group" in results[0]["error"]
        assert "messageId" in results[1]
        client.post("/v2/topics/g/endpoints", json={"endpoints": many[:100]})
        flood = client.post("/v2/batch", json=[{"destination": "g"}] * 101)
        assert (flood.status_code, "at most 10000" in flood.text) == (400, True)


def test_groups_are_in_the_file(tmp_path: Path, destination: Destination) -> None:
    for first in (True, False):
        database = open_database(tmp_path / "queue.db", [QUEUE])
        try:
            with (
                running_local_qstash(database=database) as url,
                queue_client(url) as client,
            ):
                if first:
                    endpoints = {"endpoints": [{"url": f"{destination.url}/kept"}]}
                    client.post("/v2/topics/g/endpoints", json=endpoints).raise_for_status()
                else:
                    client.post("/v2/publish/g").raise_for_status()
                    one(destination, "/kept")
        finally:
            database.close()
