"""The local QStash, judged by every call of Upstash's own client of JavaScript."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from typing import Any

import pytest

from adapters.qstash import DEVELOPMENT
from tests.doubles.destination import Answer, Destination
from tests.integration.sdk import Sdk, one
from tests.official.node.clients import Node
from tests.running import running_qstash_alone
from tests.waiting import eventually

Told = dict[str, Any]
Js = Callable[..., Told]
FINAL = Answer(489, {"Upstash-NonRetryable-Error": "true"}, b"why")


@pytest.fixture(scope="module")
def qstash_url() -> Iterator[str]:
    with running_qstash_alone() as url:
        yield url


@pytest.fixture
def destination() -> Iterator[Destination]:
    with Destination().running() as running:
        yield running


@pytest.fixture
def js(node: Node, qstash_url: str, destination: Destination) -> Js:
    """What each call of a scenario gives, by its name."""

    def run(scenario: str, **given: Any) -> Told:
        given = {"token": DEVELOPMENT.token, "to": destination.url, **given}
        told: Told = node.result("qstash", qstash_url, scenario, **given)
        return told

    return run


def test_what_is_published(js: Js, node: Node, qstash_url: str, destination: Destination) -> None:
    told, url = js("publishing"), destination.url
    shown = told["get"]
    assert shown["messageId"] == told["publishJSON"]["messageId"]
    assert (shown["url"], shown["method"]) == (f"{url}/waiting?a=1", "PUT")
    assert shown["body"].startswith("REDACTED:")
    assert shown["header"]["X-Own"] == ["y"]
    assert shown["header"]["X-Secret"][0].startswith("REDACTED:")
    assert (shown["maxRetries"], shown["retryDelayExpression"]) == (2, "1000 * (1 + retried)")
    assert (shown["callback"], shown["failureCallback"]) == (
        f"{url}/callback",
        f"{url}/callback/failure",
    )
    assert (shown["flowControlKey"], shown["parallelism"]) == ("publishing", 2)
    assert (shown["rate"], shown["ratePerSecond"], shown["period"]) == (3, 3, 60)
    assert (shown["label"], shown["labels"]) == ("one", ["one", "two"])
    assert shown["callerIp"] == "127.0.0.1"
    assert shown["notBefore"] - shown["createdAt"] == pytest.approx(3_600_000, abs=1_000)
    assert told["cancel"] == {"cancelled": 1}

    assert one(destination, "/plain").body == b"plain"
    assert told["second"] == {**told["first"], "deduplicated": True}
    assert told["fourth"] == {**told["third"], "deduplicated": True}
    plain, queued = told["batch"]
    assert one(destination, "/batch").headers["upstash-message-id"] == plain["messageId"]
    assert destination.at("/batch")[0].headers["x-own"] == "z"
    assert one(destination, "/batch/queued").headers["upstash-message-id"] == queued["messageId"]
    assert one(destination, "/global").headers["x-global"] == "g"
    assert told["another token"]["status"] == 401
    assert told["nowhere"]["status"] == 400
    keys = [DEVELOPMENT.current_key, DEVELOPMENT.next_key]
    assert told["keys"] == dict(zip(("current", "next"), keys, strict=True))

    delivered = destination.at("/plain")[0]
    given = {
        "keys": keys,
        "body": "plain",
        "signature": delivered.headers["upstash-signature"],
        "to": f"{url}/plain",
    }
    seen = node.result("qstash", qstash_url, "verifying", **given)
    assert seen["right"] == {"value": True}
    assert seen["wrong"]["error"]["name"] == "SignatureError"


def test_what_is_cancelled_in_bulk(js: Js, destination: Destination) -> None:
    told = js("bulk")
    counts = {
        name: each["cancelled"]
        for name, each in told.items()
        if type(each) is dict and "cancelled" in each
    }
    assert counts == {
        "ids": 2,
        "none": 0,
        "by messageIds": 1,
        "unknown label": 0,
        "url and label": 0,
        "label": 1,
        "flow": 1,
        "path": 1,
        "to date": 0,
        "all": 2,
    }
    assert (told["deleted"], told["deleteMany"], told["deleteAll"]) == (None, 0, 0)
    assert told["gone"]["status"] == 404
    assert destination.delivered == []


@pytest.mark.soak
def test_dead_letters(js: Js, qstash_url: str, destination: Destination) -> None:
    destination.answers.extend(FINAL for _ in range(8))
    url = destination.url
    more: dict[int, Told] = {
        6: {"label": "one,two"},
        7: {"flow_control": {"key": "dead", "parallelism": 1}, "callback": f"{url}/callback"},
    }
    with closing(Sdk("sync", qstash_url)) as sdk:
        for number in range(8):  # one after the other, so that their order is known
            sdk("message.publish", url=f"{url}/{number}", body="x", **more.get(number, {}))
            eventually(partial(_newest_is, sdk, f"{url}/{number}"))
    told = js("dead", count=8)
    letters = told["listed"]["messages"]
    assert [each["url"] for each in letters] == [f"{url}/{number}" for number in reversed(range(8))]
    letter = letters[0]
    assert (letter["responseStatus"], letter["responseBody"], letter["body"]) == (489, "why", "x")
    assert (letter["flowControlKey"], letter["callback"]) == ("dead", f"{url}/callback")
    headers = {name.lower(): values for name, values in letter["responseHeader"].items()}
    assert headers["upstash-nonretryable-error"] == ["true"]

    def urls(name: str) -> list[str]:
        return [each["url"].removeprefix(f"{url}/") for each in told[name]["messages"]]

    assert sorted(urls("two")) == ["6", "7"]
    assert urls("by label") == ["6"]
    assert urls("by flow") == ["7"]
    assert len(urls("by status")) == 8
    assert urls("by another status") == []
    assert (urls("page"), urls("next page")) == (["7", "6"], ["5", "4"])

    retried = [told[f"{each} retried"]["responses"] for each in ("one", "some", "none")]
    assert [len(each) for each in retried] == [1, 2, 0]
    assert told["by filter retried"]["responses"] == []  # it was among some
    assert told["gone"]["status"] == 404
    assert told["one deleted"] == {"deleted": 1}
    assert told["some deleted"]["deleted"] == 1
    assert told["by filter deleted"]["deleted"] == 0
    assert told["deleteMany"]["deleted"] == 1
    assert len(told["all retried"]["responses"]) == 1
    assert told["all retried"]["cursor"]
    assert told["all deleted"]["deleted"] == 1
    assert told["left"]["messages"] == []
    (new,) = retried[0]
    eventually(lambda: len(destination.at("/7")) == 2)
    again = destination.at("/7")[1]
    assert again.headers["upstash-message-id"] == new["messageId"]
    assert again.headers["upstash-retried"] == "0"
    eventually(lambda: [len(destination.at(f"/{number}")) for number in (5, 6)] == [2, 2])


def _newest_is(sdk: Sdk, url: str) -> bool:
    return [each.url for each in sdk("dlq.list").messages[:1]] == [url]


@pytest.mark.soak
def test_queues(js: Js, destination: Destination) -> None:
    told = js("queues")
    assert told["upsert"] is None
    made = told["get"]
    assert abs(made["createdAt"] - time.time() * 1000) < 60_000
    assert made == {
        "name": "of-js",
        "parallelism": 2,
        "paused": True,
        "lag": 0,
        "createdAt": made["createdAt"],
        "updatedAt": made["updatedAt"],
    }
    assert told["with lag"]["lag"] == 2
    assert "of-js" in [each["name"] for each in told["list"]]
    assert {each.path: each.body for each in destination.delivered} == {
        "/1": b'{"n":1}',
        "/2": b"2",
    }
    assert one(destination, "/1").headers["upstash-message-id"] == told["enqueueJSON"]["messageId"]
    assert (told["paused"]["paused"], told["paused"]["lag"]) == (True, 0)
    assert (told["delete"], told["gone"]["status"]) == (None, 404)


@pytest.mark.soak
def test_flow_control(js: Js, destination: Destination) -> None:
    told = js("flowControl")
    shown = told["get"]
    assert shown == {
        "flowControlKey": "of-js",
        "waitListSize": 2,
        "parallelismMax": 0,
        "parallelismCount": 0,
        "rateMax": 1,
        "rateCount": 1,
        "ratePeriod": 3600,
        "ratePeriodStart": shown["ratePeriodStart"],
        "isPaused": False,
        "isPinnedParallelism": False,
        "isPinnedRate": False,
    }
    assert told["global"]["parallelismMax"] >= 1
    assert told["paused"]["isPaused"]
    pinned = told["pinned"]
    assert (pinned["isPinnedParallelism"], pinned["isPinnedRate"]) == (True, True)
    assert (pinned["parallelismMax"], pinned["rateMax"], pinned["ratePeriod"]) == (4, 5, 60)
    assert pinned["waitListSize"] == 2  # it is still paused
    unpinned = told["unpinned"]
    assert (unpinned["isPinnedParallelism"], unpinned["isPinnedRate"]) == (False, False)
    assert unpinned["rateMax"] == 5  # until a message says otherwise
    assert told["unknown"]["status"] == 404
    eventually(lambda: len(destination.delivered) == 3)


@pytest.mark.soak
def test_url_groups(js: Js, destination: Destination) -> None:
    told, url = js("groups"), destination.url
    assert [each["url"] for each in told["get"]["endpoints"]] == [f"{url}/1", f"{url}/2"]
    assert told["get"]["endpoints"][0]["name"] == "first"
    assert [each["name"] for each in told["list"]] == ["of-js"]
    for name in ("publish", "topic", "enqueue"):
        assert [each["url"] for each in told[name]] == [f"{url}/1", f"{url}/2"]
    assert [each["url"] for each in told["batch"][0]] == [f"{url}/1", f"{url}/2"]
    eventually(lambda: len(destination.delivered) == 6)
    assert told["cancel"] == {"cancelled": 2}
    assert [each["url"] for each in told["left"]["endpoints"]] == [f"{url}/2"]
    assert (told["delete"], told["gone"]["status"]) == (None, 404)
    assert told["to no group"]["status"] in (400, 404)


@pytest.mark.soak
def test_schedules(js: Js, destination: Destination) -> None:
    told, url = js("schedules"), destination.url
    assert told["create"] == {"scheduleId": "of-js"}
    shown = told["get"]
    expected = {
        "scheduleId": "of-js",
        "destination": f"{url}/scheduled?a=1",
        "cron": "CRON_TZ=America/New_York 0 0 1 1 *",
        "method": "PATCH",
        "delay": 60,
        "retries": 1,
        "retryDelayExpression": "1000",
        "callback": f"{url}/callback",
        "failureCallback": f"{url}/callback/failure",
        "queueName": "of-a-schedule",
        "flowControlKey": "of-js",
        "rate": 1,
        "ratePerSecond": 1,
        "parallelism": 2,
        "period": 60,
        "label": "one",
        "labels": ["one", "two"],
        "isPaused": False,
        "callerIp": "127.0.0.1",
    }
    assert {name: shown.get(name) for name in expected} == expected
    assert shown["header"]["X-Own"] == ["y"]
    assert shown["body"].startswith("REDACTED:")
    assert shown["nextScheduleTime"] / 1000 > time.time()
    assert [each["scheduleId"] for each in told["list"]] == ["of-js"]
    assert (told["paused"]["isPaused"], told["resumed"]["isPaused"]) == (True, False)
    edited = told["edited"]
    assert (edited["destination"], edited["cron"]) == (f"{url}/edited", "@daily")
    assert "body" not in edited
    assert (told["delete"], told["gone"]["status"]) == (None, 404)
    assert told["no cron"]["status"] == 400


@pytest.mark.soak
def test_the_log(js: Js, destination: Destination) -> None:
    told, url = js("logs"), destination.url
    ids = told["ids"]

    def entries(name: str) -> list[tuple[str, str]]:
        return [(each["messageId"], each["state"]) for each in told[name]["logs"]]

    states = ("DELIVERED", "ACTIVE", "CREATED")
    assert set(entries("all")) == {(each, state) for each in ids for state in states}
    assert set(entries("two")) == {(each, state) for each in ids[1:] for state in states}
    assert entries("one") == [(ids[0], "CREATED")]
    assert len(entries("events")) == len(entries("next")) == 2
    assert not set(entries("events")) & set(entries("next"))
    assert {each for each, _ in entries("at")} == set(ids[1:])
    assert entries("before") == []
    entry = told["one"]["logs"][0]
    assert (entry["url"], entry["labels"]) == (f"{url}/0", ["of-the-log"])
