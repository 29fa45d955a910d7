"""Cancelling, deleting and retrying many, named in the query as the JavaScript SDK does, in memory
and in a file."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from adapters.database import Database
from entrypoints.local_qstash.dead_letters import DeadLetter
from entrypoints.local_qstash.delivery import Deliveries
from entrypoints.local_qstash.filters import Search
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.publish_headers import read_message
from entrypoints.local_qstash.refusals import NotThere, Unavailable
from entrypoints.local_qstash.retrying import message_again
from entrypoints.local_qstash.states import State
from entrypoints.local_qstash.store import Outcome
from tests.deliveries import named, publish_one
from tests.doubles.destination import Answer, Destination
from tests.queue_client import queue_client
from tests.waiting import eventually, until

KEY = "sig_of_a_test_that_has_32_bytes_or_more"
FINAL = Answer(489, {"Upstash-NonRetryable-Error": "true"}, b"why")
UNLIMITED = 2**31


@pytest.fixture(params=["qstash_url", "file_qstash_url"])
def queue(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    url = request.getfixturevalue(request.param)
    with queue_client(url) as client:
        yield client
        client.delete("/v2/messages")
        while "cursor" in client.delete("/v2/dlq").json():
            pass


def _waiting(queue: httpx.Client, path: str, **headers: str) -> str:
    url = f"/v2/publish/http://127.0.0.1:1{path}"
    return str(
        queue.post(url, headers={"Upstash-Delay": "1h", **named(headers)}).json()["messageId"]
    )


def _cancelled(queue: httpx.Client, query: str) -> int:
    answer = queue.delete(f"/v2/messages?{query}")
    assert answer.status_code == 200, answer.text
    return int(answer.json()["cancelled"])


def _letters(queue: httpx.Client, destination: Destination, *labels: str) -> dict[str, Any]:
    """Make a dead letter with each label; return them by their labels."""
    destination.answers.extend(FINAL for _ in labels)
    for label in labels:
        queue.post(
            f"/v2/publish/{destination.url}/{label}",
            headers={"Upstash-Label": label, "Content-Type": "text/x"},
            content=f"body of {label}",
        )

    def found() -> dict[str, Any] | None:
        letters = {each["label"]: each for each in queue.get("/v2/dlq").json()["messages"]}
        return letters if letters.keys() == set(labels) else None

    return eventually(found)


def test_only_what_the_query_names_is_cancelled(queue: httpx.Client) -> None:
    ids = [_waiting(queue, f"/{number}") for number in range(6)]
    flow = {"Flow_Control_Key": "key", "Flow_Control_Value": "rate=1"}
    other = _waiting(queue, "/other", Label="a,b", **flow)
    assert _cancelled(queue, f"messageIds={ids[0]}&messageIds={ids[1]}&messageIds=msg_x") == 2
    assert _cancelled(queue, f"messageIds={ids[2]},{ids[3]}") == 2
    assert _cancelled(queue, "label=c&label=d") == _cancelled(queue, "host=127.0.0.2") == 0
    assert _cancelled(queue, "path=/4,/x&label=b") == 0
    assert _cancelled(queue, "url=http://127.0.0.1:1/4,http://127.0.0.1:1/x") == 1
    assert _cancelled(queue, "flowControlKey=key&label=x,b&callerIp=127.0.0.1") == 1
    for known, status in ((ids[5], 200), (ids[4], 404), (other, 404)):
        assert queue.get(f"/v2/messages/{known}").status_code == status
    assert _cancelled(queue, "qstash_token=") == 1


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/v2/messages?labels=x"),
        ("DELETE", "/v2/messages?fromDate=now"),
        ("DELETE", "/v2/messages?count=0"),
        ("DELETE", "/v2/messages?cursor=x"),
        ("DELETE", "/v2/dlq?messageIds=x"),
        ("POST", "/v2/dlq/retry?host=127.0.0.1"),
        ("GET", "/v2/dlq?count=101"),
        ("GET", "/v2/logs?count=101"),
        ("GET", "/v2/logs?topic=x"),
        ("GET", "/v2/events?count=1001"),
    ],
)
def test_what_is_not_understood_changes_nothing(
    queue: httpx.Client, method: str, path: str
) -> None:
    kept = _waiting(queue, "/kept")
    answer = queue.request(method, path)
    assert answer.status_code == 400
    assert path.partition("?")[2].partition("=")[0] in answer.json()["error"]
    assert queue.get(f"/v2/messages/{kept}").status_code == 200


def test_a_body_that_is_not_understood_cancels_nothing(queue: httpx.Client) -> None:
    kept = _waiting(queue, "/kept")
    for body in ("{}", "[]", '"all"', '{"ids": ["x"]}', '{"messageIds": null}', "{"):
        answer = queue.request("DELETE", "/v2/messages", content=body)
        assert answer.status_code == 400, body
    assert queue.get(f"/v2/messages/{kept}").status_code == 200


def test_a_count_bounds_a_cancel(queue: httpx.Client) -> None:
    ids = [_waiting(queue, f"/{number}", Label="many") for number in range(5)]
    assert _cancelled(queue, "label=many&count=2") == 2
    left = [queue.get(f"/v2/messages/{each}").status_code for each in ids]
    assert left == [404, 404, 200, 200, 200], "the oldest first"
    assert _cancelled(queue, "count=1") == 1
    # The JavaScript SDK always sends this one, and says that it is ignored.
    more = [{"destination": "http://127.0.0.1:1/", "headers": {"Upstash-Delay": "1h"}}] * 120
    queue.post("/v2/batch", json=more)
    assert _cancelled(queue, "count=100") == 122


def test_dead_letters_are_deleted_page_by_page(
    queue: httpx.Client, destination: Destination
) -> None:
    letters = _letters(queue, destination, "a", "b", "c", "d")
    first = queue.delete("/v2/dlq?label=a,b,c&count=2").json()
    assert first["deleted"] == 2
    rest = queue.delete(f"/v2/dlq?label=a,b,c&count=2&cursor={first['cursor']}").json()
    assert rest == {"deleted": 1}
    named = f"dlqIds={letters['d']['dlqId']}&dlqIds=unknown"
    assert [each["label"] for each in queue.get(f"/v2/dlq?{named}").json()["messages"]] == ["d"]
    assert queue.delete(f"/v2/dlq?{named}").json() == {"deleted": 1}
    assert queue.get("/v2/dlq").json() == {"messages": []}


def test_dead_letters_are_retried(queue: httpx.Client, destination: Destination) -> None:
    letters = _letters(queue, destination, "a", "b", "c", "d")
    ids = {label: each["dlqId"] for label, each in letters.items()}

    one = queue.post(f"/v2/dlq/retry/{ids['a']}", headers={"Upstash-Forward-X": "new"})
    assert (one.status_code, list(one.json())) == (201, ["messageId"])
    eventually(lambda: len(destination.at("/a")) == 2)
    again = destination.at("/a")[1]
    assert again.headers["upstash-message-id"] == one.json()["messageId"]
    assert again.headers["upstash-message-id"] != letters["a"]["messageId"]
    assert (again.headers["upstash-retried"], again.headers["x"]) == ("0", "new")
    assert (again.body, again.headers["content-type"]) == (b"body of a", "text/x")
    assert queue.post(f"/v2/dlq/retry/{ids['a']}").status_code == 404

    # If one is not there, none is retried.
    partly = queue.post(f"/v2/dlq/retry?dlqIds={ids['b']},{ids['a']}")
    assert (partly.status_code, ids["a"] in partly.json()["error"]) == (404, True)
    both = queue.post(f"/v2/dlq/retry?dlqIds={ids['c']}&dlqIds={ids['b']}").json()["responses"]
    eventually(lambda: len(destination.at("/b")) == len(destination.at("/c")) == 2)
    for path, response in zip(("/c", "/b"), both, strict=True):
        sent = destination.at(path)[1].headers["upstash-message-id"]
        assert sent == response["messageId"]
    assert queue.post("/v2/dlq/retry?label=x").json() == {"responses": []}
    rest = queue.post("/v2/dlq/retry", headers={"Upstash-Delay": "1h"}).json()
    (waits,) = rest["responses"]
    shown = queue.get(f"/v2/messages/{waits['messageId']}").json()
    assert (shown["label"], shown["body"]) == ("d", "body of d")
    assert shown["notBefore"] > time.time() * 1000
    assert queue.get("/v2/dlq").json() == {"messages": []}


def test_the_log_as_its_description_has_it(queue: httpx.Client, destination: Destination) -> None:
    message_id = _waiting(queue, "/described")
    queue.delete(f"/v2/messages/{message_id}")
    log = queue.get(f"/v2/logs?messageId={message_id}&count=2").json()
    assert [each["state"] for each in log["logs"]] == ["CANCELLED", "CANCEL_REQUESTED"]
    rest = queue.get(f"/v2/logs?messageId={message_id}&cursor={log['cursor']}").json()
    assert [each["state"] for each in rest["logs"]] == ["CREATED"]
    events = queue.get(f"/v2/events?messageId={message_id}&state=CANCELLED").json()
    assert [each["state"] for each in events["events"]] == ["CANCELED"]


async def _given_up(deliveries: Deliveries, url: str) -> DeadLetter:
    message = read_message(url, {"Upstash-Retries": "0"}, b"x" * 50_000, now=time.time())
    await publish_one(deliveries, message)
    await until(lambda: deliveries.journal.state_of(message.id) is State.FAILED)
    letters, _ = await deliveries.dead_letters.page(Search())
    return letters[0]


def _again(message: QueuedMessage) -> QueuedMessage:
    return message_again(message, {}, time.time())


async def test_a_retry_that_the_file_fails_for_leaves_the_letter(
    database: Database, destination: Destination
) -> None:
    destination.answers.append(FINAL)
    deliveries = Deliveries(KEY, database=database)
    letter = await _given_up(deliveries, f"{destination.url}/x")
    await database.write(lambda tx: tx.execute("PRAGMA max_page_count = 1").fetchone())
    larger = DeadLetter(letter.id, _again(letter.message), letter.response, letter.at)
    larger.message.body *= 50  # its old body makes no room for this one
    with pytest.raises(Unavailable):
        await deliveries.retry([larger], _again)
    await database.write(lambda tx: tx.execute(f"PRAGMA max_page_count = {UNLIMITED}").fetchone())
    assert await deliveries.dead_letters.get(letter.id) == letter
    assert len(destination.at("/x")) == 1
    # Of two that are made at the same time, one retries it.
    results = await asyncio.gather(
        *(deliveries.retry([letter], _again) for _ in range(2)), return_exceptions=True
    )
    assert sorted(isinstance(each, NotThere) for each in results) == [False, True]
    await until(lambda: len(destination.at("/x")) == 2)
    await until(lambda: not deliveries._tasks)
    assert await database.read(lambda db: db.execute("SELECT * FROM bodies").fetchall()) == []
    await deliveries.aclose()


async def test_many_are_cancelled_in_steps(database: Database) -> None:
    deliveries = Deliveries(KEY, database=database)
    headers = {"Upstash-Delay": "1h", "Upstash-Label": "many"}
    url, now = "http://127.0.0.1:1/x", time.time()
    for _ in range(5):
        await deliveries.publish_all([read_message(url, headers, b"", now=now) for _ in range(500)])
    kept = read_message(url, {"Upstash-Delay": "1h"}, b"", now=now)
    await publish_one(deliveries, kept)
    many = Search(wanted={"label": frozenset(["many"])})
    assert await deliveries.cancel(many) == 2_500
    assert await deliveries._store.search(Search()) == [kept.id]
    await until(lambda: len(deliveries._tasks) == 1)
    await deliveries.aclose()


async def test_what_is_cancelled_while_a_failure_is_kept_ends_so_in_the_log(
    database: Database, destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    destination.answers.append(Answer(500))
    deliveries = Deliveries(KEY, database=database)
    commit = deliveries._store.commit

    async def committed_then_cancelled(outcome: Outcome, now: float) -> bool:
        kept = await commit(outcome, now)
        assert await deliveries.cancel(Search.of(outcome.message_id)) == 1
        return kept

    monkeypatch.setattr(deliveries._store, "commit", committed_then_cancelled)
    message = read_message(f"{destination.url}/x", {"Upstash-Retries": "1"}, b"", now=time.time())
    await publish_one(deliveries, message)
    await until(lambda: deliveries.waiting == 0)
    assert deliveries.journal.state_of(message.id) is State.CANCELED
    await deliveries.aclose()
