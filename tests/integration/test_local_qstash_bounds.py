"""What the local QStash holds is bounded, whatever is sent to it."""

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.database import open_database
from entrypoints.local_qstash import bounds, file_store, intake, memory_store
from entrypoints.local_qstash.delivery import Deliveries
from entrypoints.local_qstash.filters import Search
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.publish_headers import read_message
from entrypoints.local_qstash.refusals import QueueFull
from entrypoints.local_qstash.tables import QUEUE
from tests.deliveries import named, publish_one
from tests.doubles.destination import Answer, Destination
from tests.doubles.upstream import Upstream, refusal
from tests.queue_client import queue_client
from tests.running import running_service, settings_for
from tests.waiting import eventually, until

KEY = "sig_of_a_test_that_has_32_bytes_or_more"


@pytest.fixture(scope="module", params=["qstash_url", "file_qstash_url"])
def queue(request: pytest.FixtureRequest) -> Iterator[httpx.Client]:
    url = request.getfixturevalue(request.param)
    with queue_client(url) as client:
        yield client


@pytest.fixture(params=["memory", "file"])
async def deliveries(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Deliveries]:
    database = open_database(tmp_path / "queue.db", [QUEUE]) if request.param == "file" else None
    held = Deliveries(KEY, database=database)
    yield held
    await held.aclose()
    if database is not None:
        await database.aclose()


def _later(size: int = 10, **headers: str) -> QueuedMessage:
    """A message that waits for an hour."""
    later = {"Upstash-Delay": "1h", **named(headers)}
    return read_message("http://127.0.0.1:1/", later, b"x" * size, now=time.time())


def _with_callbacks(destination: Destination, body: bytes) -> QueuedMessage:
    """A message that is delivered once."""
    headers = {
        "Upstash-Retries": "0",
        "Upstash-Callback": f"{destination.url}/callback",
        "Upstash-Failure-Callback": f"{destination.url}/callback/failure",
    }
    return read_message(f"{destination.url}/x", headers, body, now=time.time())


@pytest.mark.soak
def test_refused_tasks_leave_the_newest_dead_letters_only(upstream: Upstream) -> None:
    """As many refused tasks as hold half as much again as may be kept."""
    prompt = "\N{GRINNING FACE}" * 95_000  # four bytes each
    count = bounds.DEAD_BYTES * 3 // 2 // len(prompt.encode())
    for _ in range(count):
        upstream.then(refusal(401))
    settings = settings_for(openai_base_url=upstream.url, openai_api_key="sk-planted-secret")
    with running_service(settings) as service:
        for _ in range(count):
            task_id = service.client.start(prompt)
            service.client.wait_for(task_id, "failed")
        url = service.service.container.qstash_url()
        with queue_client(url, service.queue.token) as asked:
            letters = eventually(lambda: _all_with(asked, task_id))
    held = sum(len(each["body"].encode()) for each in letters)
    assert bounds.DEAD_BYTES // 2 < held <= bounds.DEAD_BYTES


def _all_with(asked: httpx.Client, last: str) -> list[dict[str, Any]] | None:
    """All dead letters, once that of this task is among them."""
    found: list[dict[str, Any]] = []
    page: dict[str, Any] = {"cursor": ""}
    while (cursor := page.get("cursor")) is not None:
        page = asked.get("/v2/dlq", params={"cursor": cursor, "count": 20}).json()
        found += page["messages"]
    return found if any(last in each["body"] for each in found) else None


def _labelled(queue: httpx.Client, label: str) -> Any:
    """The dead letters with this label."""
    return queue.get("/v2/dlq", params={"label": label}).json()["messages"]


def test_of_a_long_response_only_the_beginning_is_kept(
    queue: httpx.Client, destination: Destination
) -> None:
    body = b"x" * (3 * bounds.RESPONSE_BYTES)
    destination.answers.append(Answer(500, {"X-Why": "because"}, body))
    headers = {"Upstash-Retries": "0", "Upstash-Label": "long"}
    queue.post(f"/v2/publish/{destination.url}/long", headers=headers)
    (letter,) = eventually(lambda: _labelled(queue, "long"))
    assert letter["responseBody"] == "x" * bounds.RESPONSE_BYTES
    assert letter["responseHeader"]["x-why"] == ["because"]


def test_a_packed_response_is_not_unpacked(queue: httpx.Client, destination: Destination) -> None:
    destination.answers.append(Answer(500, {"Content-Encoding": "gzip"}, b"not even gzip"))
    headers = {"Upstash-Retries": "0", "Upstash-Label": "packed"}
    queue.post(f"/v2/publish/{destination.url}/packed", headers=headers)
    (letter,) = eventually(lambda: _labelled(queue, "packed"))
    assert (letter["responseStatus"], letter["responseBody"]) == (500, "not even gzip")
    assert destination.at("/packed")[0].headers["accept-encoding"] == "identity"


async def test_messages_beyond_a_sum_of_bytes_are_refused(
    deliveries: Deliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "HELD_BYTES", 1_000_000)
    kept = [(await publish_one(deliveries, _later(90_000)))[0] for _ in range(10)]
    with pytest.raises(QueueFull):
        await publish_one(deliveries, _later(90_000, Deduplication_Id="again"))
    with pytest.raises(QueueFull):
        await publish_one(deliveries, _later(10, Forward_Long="x" * 90_000))
    await deliveries.cancel(Search.of(kept[0]))
    await until(lambda: len(deliveries._tasks) == 9)
    # What was refused may be published again: it does not count as known.
    message = _later(90_000, Deduplication_Id="again")
    assert await publish_one(deliveries, message) == (message.id, False)
    # And it is known then, although the queue is full again.
    assert await publish_one(deliveries, _later(90_000, Deduplication_Id="again")) == (
        message.id,
        True,
    )


async def test_nothing_is_left_of_what_was_cancelled(deliveries: Deliveries) -> None:
    published = []
    for number in range(100):
        flow = {"Flow_Control_Key": f"k{number}", "Flow_Control_Value": "rate=1"}
        published.append((await publish_one(deliveries, _later(1_000, **flow)))[0])
    assert await deliveries.cancel(Search()) == 100
    await until(lambda: not deliveries._tasks)
    assert deliveries.intake.held == 0
    assert [await deliveries.message(each) for each in published] == [None] * 100
    deliveries.turns.slots.forget(linger=0.0)
    assert len(deliveries.turns.slots) == 0


async def test_deduplication_ids_are_bounded(
    deliveries: Deliveries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_store, "REMEMBERED", 10)
    monkeypatch.setattr(file_store, "REMEMBERED", 10)
    published = [_later(Deduplication_Id=f"id-{number}") for number in range(50)]
    await deliveries.publish_all(published)
    await deliveries._store.sweep(time.time())
    names = [each.deduplication or "" for each in published]
    known = await deliveries._store.known(names, time.time())
    assert known == {each.deduplication: each.id for each in published[-10:]}


async def test_a_deduplication_id_is_valid_for_ten_minutes(deliveries: Deliveries) -> None:
    """By the wall clock, which may be set back."""
    first, now = _later(Deduplication_Id="one"), time.time()
    await publish_one(deliveries, first)
    for later in (599, -599):
        again = _later(Deduplication_Id="one")
        assert await deliveries._store.publish([again], now + later) == [first.id]
    for beyond in (610, -1_000):
        again = _later(Deduplication_Id="one")
        assert await deliveries._store.publish([again], now + beyond) == [again.id]


async def test_a_failure_callback_is_not_refused(
    deliveries: Deliveries, destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it the task of the service would not end."""
    destination.answers.append(Answer(500))
    await publish_one(deliveries, _with_callbacks(destination, b"x"))
    monkeypatch.setattr(intake, "HELD_BYTES", 0)
    await until(lambda: bool(destination.at("/callback/failure")))
    assert destination.at("/callback") == []


async def test_nor_is_it_lost_with_a_callback_that_is_too_large(destination: Destination) -> None:
    destination.answers.append(Answer(500))
    deliveries = Deliveries(KEY, message_limit=100)
    await publish_one(deliveries, _with_callbacks(destination, b"x" * 100))
    await until(lambda: bool(destination.at("/callback/failure")))
    assert destination.at("/callback") == []
    await deliveries.aclose()


def test_a_full_queue_says_so(queue: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "HELD_BYTES", 0)
    answer = queue.post("/v2/publish/http://127.0.0.1:1/", content="x")
    assert answer.status_code == 429
    assert "later" in answer.json()["error"]
    batch = queue.post("/v2/batch", json=[{"destination": "http://127.0.0.1:1/"}])
    assert "later" in batch.json()[0]["error"]


def test_a_start_that_finds_the_queue_full_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with running_service(settings_for()) as service:
        monkeypatch.setattr(intake, "HELD_BYTES", 0)
        answer = service.client.http.post("/api/tasks/start", json={"prompt": "Hi."})
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        monkeypatch.undo()
        service.client.wait_for(service.client.start(), "completed")


def test_a_batch_is_bounded(queue: httpx.Client) -> None:
    bad = {"destination": "ftp://x"}
    answer = queue.post("/v2/batch", json=[bad] * (bounds.BATCH_LIMIT + 1))
    assert answer.status_code == 400
    assert str(bounds.BATCH_LIMIT) in answer.json()["error"]
    results = queue.post("/v2/batch", json=[bad] * bounds.BATCH_LIMIT).json()
    assert len(results) == bounds.BATCH_LIMIT
    assert all("error" in each for each in results)


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"destination": None},
        {"destination": "http://127.0.0.1:1/", "queue": 1},
        {"destination": "http://127.0.0.1:1/", "headers": [None]},
        {"destination": "http://127.0.0.1:1/", "headers": False},
        {"destination": "http://127.0.0.1:1/", "headers": {"Upstash-Delay": True}},
        {"destination": "http://127.0.0.1:1/", "headers": {"Upstash-Label": [None]}},
    ],
)
def test_a_batch_that_cannot_be_read_is_refused(
    queue: httpx.Client, message: dict[str, object]
) -> None:
    whole = {"destination": "http://127.0.0.1:1/", "headers": {"Upstash-Delay": "1h"}}
    answer = queue.post("/v2/batch", json=[whole, message])
    assert answer.status_code == 400
    assert "message" in answer.json()["error"]
    assert queue.delete("/v2/messages").json() == {"cancelled": 0}


def test_a_callback_has_no_callback(queue: httpx.Client, destination: Destination) -> None:
    """Each would hold the one before it in base64: a third more with each of them."""
    queue.post(
        f"/v2/publish/{destination.url}/x",
        headers={
            "Upstash-Callback": f"{destination.url}/callback/1",
            "Upstash-Callback-Callback": f"{destination.url}/callback/2",
            "Upstash-Callback-Failure-Callback": f"{destination.url}/callback/3",
            "Upstash-Callback-Forward-X-Call": "c",
        },
    )
    (first,) = eventually(lambda: destination.at("/callback/1"))
    assert first.headers["x-call"] == "c"
    queue.post(f"/v2/publish/{destination.url}/after")
    eventually(lambda: destination.at("/after"))
    assert destination.at("/callback/2") == destination.at("/callback/3") == []


def test_a_number_too_long_to_be_one_is_refused(queue: httpx.Client) -> None:
    for name in ("Upstash-Not-Before", "Upstash-Retries"):
        answer = queue.post("/v2/publish/http://127.0.0.1:1/", headers={name: "9" * 5_000})
        assert answer.status_code == 400, name


def test_a_batch_with_half_of_a_surrogate_pair_is_refused(queue: httpx.Client) -> None:
    """No list of dead letters could show it."""
    body = r'[{"destination": "http://127.0.0.1:1/", "headers": {"Upstash-Label": "\ud800"}}]'
    assert queue.post("/v2/batch", content=body).status_code == 400


def test_what_stays_of_a_message_has_no_long_name(queue: httpx.Client) -> None:
    """A batch has room for names of megabytes, and queues and keys stay."""
    flow = {"Upstash-Flow-Control-Key": "k" * 10_000, "Upstash-Flow-Control-Value": "rate=1"}
    named = ({"queue": "q" * 10_000}, {"headers": flow})
    batch = [{"destination": "http://127.0.0.1:1/", **each} for each in named]
    refused = queue.post("/v2/batch", json=batch).json()
    assert ["256" in refused[0]["error"], "1024" in refused[1]["error"]] == [True, True]
    assert all(len(each["error"]) < 500 for each in refused)
    kept = queue.get("/v2/queues").text + queue.get("/v2/flowControl").text
    assert ("q" * 300 in kept, "k" * 300 in kept) == (False, False)
