"""The local QStash on a file: what a stop costs, how a start begins, and a file that is full."""

import gc
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from adapters.database import Database, open_database
from adapters.qstash import DEVELOPMENT, QStashQueue
from application.errors import QueueUnavailable
from domain.task import Task
from entrypoints.local_qstash import intake, resuming, store_steps
from entrypoints.local_qstash.account import Account, AccountSettings
from entrypoints.local_qstash.at_start import kept_keys, left_in
from entrypoints.local_qstash.delivery import Deliveries
from entrypoints.local_qstash.file_store import FileStore
from entrypoints.local_qstash.filters import Search
from entrypoints.local_qstash.line import Limits
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.publish_headers import read_message
from entrypoints.local_qstash.refusals import QueueFull, Unavailable
from entrypoints.local_qstash.resuming import MAX_INTERRUPTIONS
from entrypoints.local_qstash.tables import QUEUE
from tests.builders import REQUEST
from tests.deliveries import named, publish_one
from tests.doubles.destination import Answer, Destination
from tests.running import running_local_qstash
from tests.waiting import until, within

KEY = "sig_of_a_test_that_has_32_bytes_or_more"
LARGE = b"x" * 200_000
UNLIMITED = 1 << 30


def _message(url: str, body: bytes = b"x", **headers: str) -> QueuedMessage:
    return read_message(url, named(headers), body, now=time.time())


async def _allow(database: Database, pages: int) -> None:
    """Let the file have at most so many pages, or as many as it has now."""
    await database.write(lambda tx: tx.execute(f"PRAGMA max_page_count = {pages}").fetchone())


async def test_a_delivery_that_fails_because_of_a_stop_costs_no_retry(
    database: Database, destination: Destination
) -> None:
    stopping, gate = threading.Event(), threading.Event()
    destination.answers.append(Answer(503, gate=gate))
    deliveries = Deliveries(KEY, database=database, stopping=stopping.is_set)
    await publish_one(deliveries, _message(f"{destination.url}/x", Retries="0"))
    await until(lambda: destination.at("/x"))
    stopping.set()
    gate.set()
    await publish_one(deliveries, _message(f"{destination.url}/late"))
    await until(lambda: not deliveries._tasks)
    await deliveries.aclose()
    assert destination.at("/late") == []

    deliveries = Deliveries(KEY, database=database)
    deliveries.resume(left_in(database).messages)
    await until(lambda: len(destination.at("/x")) == 2 and destination.at("/late"))
    assert destination.at("/x")[1].headers["upstash-retried"] == "0"
    await until(lambda: not deliveries._tasks)
    await deliveries.aclose()


async def test_a_message_whose_process_ends_each_time_costs_a_retry_at_last(
    database: Database, destination: Destination
) -> None:
    gate = threading.Event()
    destination.answers.extend(Answer(gate=gate) for _ in range(MAX_INTERRUPTIONS + 1))
    message = _message(f"{destination.url}/x", Retry_Delay="3600000")
    await FileStore(database, lambda _: None, lambda _: None).publish([message], time.time())
    for process in range(MAX_INTERRUPTIONS + 1):
        deliveries = Deliveries(KEY, database=database)
        deliveries.resume(left_in(database).messages)
        if process < MAX_INTERRUPTIONS:
            await _delivered(destination, process + 1)
            await deliveries.aclose()  # under the delivery, which leaves what a kill leaves
    again = message.not_before + 3_600_000
    await until(lambda: _is_due(deliveries, message.id, again))
    assert len(destination.at("/x")) == MAX_INTERRUPTIONS
    # From then on it is as any other.
    await deliveries.aclose()
    (pending,) = left_in(database).messages
    assert (pending.retried, pending.interruptions) == (1, 0)
    gate.set()


async def _delivered(destination: Destination, times: int) -> None:
    await until(lambda: len(destination.at("/x")) == times)


async def _is_due(deliveries: Deliveries, message_id: str, at: int) -> bool:
    """Whether a message is delivered no earlier than at this time."""
    message = await deliveries.message(message_id)
    return message is not None and message.not_before >= at


async def test_a_clock_that_was_set_back_before_a_start_makes_nothing_wait(
    database: Database, destination: Destination
) -> None:
    earlier = FileStore(database, lambda _: None, lambda _: None)
    message = read_message(f"{destination.url}/x", {}, b"x", now=time.time() + 7_200)
    await earlier.publish([message], message.created_at / 1000)
    deliveries = Deliveries(KEY, database=database)
    deliveries.resume(left_in(database).messages)
    await until(lambda: destination.at("/x"))
    await until(lambda: not deliveries._tasks)
    await deliveries.aclose()


async def test_a_start_does_not_deliver_everything_at_once(
    database: Database, destination: Destination, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resuming, "PACE", Limits(4, 4, 3600.0))
    earlier = FileStore(database, lambda _: None, lambda _: None)
    messages = [_message(f"{destination.url}/{number}") for number in range(2_000)]
    await earlier.publish(messages, time.time())
    deliveries = Deliveries(KEY, database=database)
    deliveries.resume(left_in(database).messages)
    await until(lambda: len(deliveries._tasks) == 1_996)
    # What is new does not wait for them.
    await publish_one(deliveries, _message(f"{destination.url}/new"))
    await until(lambda: destination.at("/new"))
    assert sorted(int(each.path[1:]) for each in destination.delivered[:-1]) == list(range(4))
    await deliveries.aclose()


async def test_a_file_that_is_full_takes_no_message(database: Database) -> None:
    request = replace(REQUEST, prompt="x" * 100_000)
    with running_local_qstash(database=database) as url:
        queue = QStashQueue(
            token=DEVELOPMENT.token,
            url=url,
            webhook_url="http://127.0.0.1:1/",
            failure_url="http://127.0.0.1:1/",
            retries=0,
            retry_delay="0",
            timeout=10,
            delivery_timeout=None,
        )
        await _allow(database, 1)
        with pytest.raises(QueueUnavailable, match=r"cannot use its file now: .*full"):
            await queue.enqueue(Task.submit("task_1_a", request, 1).task, request)
        await queue.aclose()
        async with httpx.AsyncClient(
            base_url=url,
            headers={"Authorization": f"Bearer {DEVELOPMENT.token}"},
            timeout=within(20),
        ) as client:
            publish = "/v2/publish/http://127.0.0.1:1/"
            headers = {"Upstash-Deduplication-Id": "one", "Upstash-Delay": "1h"}
            refused = await client.post(publish, content=LARGE, headers=headers)
            assert refused.status_code == 503
            assert refused.json()["error"].startswith("the queue cannot use its file now: ")
            # It is not known by then, and the queue works again as soon as there is room.
            await _allow(database, UNLIMITED)
            taken = await client.post(publish, content=LARGE, headers=headers)
            assert (taken.status_code, "deduplicated" in taken.json()) == (201, False)


async def test_a_batch_that_the_file_fails_for_is_not_published_in_part(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "HELD_BYTES", 10_000)
    deliveries = Deliveries(KEY, database=database)
    small = _message("http://127.0.0.1:1/", Delay="1h", Deduplication_Id="one")
    again = _message("http://127.0.0.1:1/", LARGE, Deduplication_Id="one")
    large = _message("http://127.0.0.1:1/", LARGE, Deduplication_Id="two")
    results = await deliveries.publish_all([small, again, large])
    assert results[:2] == [(small.id, False), (small.id, True)]
    assert isinstance(results[2], QueueFull)
    await database.write(lambda tx: tx.execute("ALTER TABLE recent RENAME TO away"))
    with pytest.raises(Unavailable):
        await deliveries.publish_all([_message("http://127.0.0.1:1/", Delay="1h"), large])
    assert list(deliveries._tasks) == [small.id]
    await deliveries.aclose()


async def test_what_a_full_file_cannot_be_told_is_told_later(
    database: Database,
    destination: Destination,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(store_steps, "STORE_PAUSE", 0.02)
    gate = threading.Event()
    destination.answers.append(Answer(500, body=LARGE, gate=gate))
    deliveries = Deliveries(KEY, database=database)
    failure = f"{destination.url}/callback/failure"
    message = _message(f"{destination.url}/x", Retries="0", Failure_Callback=failure)
    await publish_one(deliveries, message)
    await until(lambda: destination.at("/x"))
    await _allow(database, 1)
    refused: list[str] = []
    commit = deliveries._store.commit

    async def counted(*arguments: Any) -> bool:
        try:
            return await commit(*arguments)
        except Unavailable as error:
            refused.append(str(error))
            raise

    monkeypatch.setattr(deliveries._store, "commit", counted)
    gate.set()
    await until(lambda: len(refused) >= 3)
    # It was delivered once, and neither ended nor lost.
    assert await deliveries.message(message.id) is not None
    assert len(destination.delivered) == 1
    await _allow(database, UNLIMITED)
    await until(lambda: destination.at("/callback/failure"))
    letters, _ = await deliveries.dead_letters.page(Search())
    assert [each.message.id for each in letters] == [message.id]
    assert await deliveries._store.get(message.id) is None
    assert len(destination.at("/x")) == 1
    assert caplog.text.count("deliveries wait for the queue's file") == 1
    await deliveries.aclose()


@pytest.mark.soak
async def test_bodies_of_what_waits_are_in_the_file_only(database: Database) -> None:
    body = b"of this test" * 1_000
    deliveries = Deliveries(KEY, database=database)
    for _ in range(3):
        await publish_one(deliveries, _message("http://127.0.0.1:1/", body, Delay="1h"))
        await publish_one(deliveries, _message("http://127.0.0.1:1/", body, Retry_Delay="3600000"))
    await until(lambda: not deliveries._in_flight)
    assert len(deliveries._tasks) == 6
    await until(lambda: _in_memory(body) == 0)
    await deliveries.aclose()


def _in_memory(body: bytes) -> int:
    """How many messages with this body are in memory."""
    gc.collect()  # an error may hold one in a cycle
    messages = (each for each in gc.get_objects() if isinstance(each, QueuedMessage))
    return sum(each.body == body for each in messages)


async def test_token_and_keys_stay_with_the_file(tmp_path: Path) -> None:
    first, second = ("token", "current", "next"), ("other", "keys", "now")
    for fresh in (first, second):
        database = open_database(tmp_path / "queue.db", [QUEUE])
        assert kept_keys(database, fresh) == first
        await database.aclose()


async def test_a_service_takes_over_the_rotated_keys_of_a_file(database: Database) -> None:
    settings = AccountSettings(
        token="alone", current_key="current", next_key="next", database=database
    )
    account = Account(settings)
    rotated = await account.rotate_keys()
    await account.aclose()
    for _ in range(2):
        kept = kept_keys(database, ("token", "fresh", "fresh, too"))
        assert kept == ("token", rotated["current"], rotated["next"])
    assert replace(settings, left=left_in(database)).keys == rotated


async def test_the_file_shrinks_again(database: Database) -> None:
    store = FileStore(database, lambda _: None, lambda _: None)
    await store.publish([_message("http://127.0.0.1:1/", LARGE) for _ in range(50)], time.time())
    full = await _pages(database)
    assert full > 50 * len(LARGE) // 4096
    assert await store.cancel(await store.search(Search())) == 50
    for _ in range(2):
        await store.sweep(time.time())
    assert await _pages(database) < 400


async def _pages(database: Database) -> int:
    (pages,) = await database.read(lambda db: db.execute("PRAGMA page_count").fetchone())
    return int(pages)
