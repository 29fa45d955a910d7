"""The way of a token into the data file: one row and no other statement, whatever happens to the
writes beside it and to the caller."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from adapters.database import Transaction
from adapters.sqlite.schema import BATCH_SIZE
from application.errors import StoreUnavailable
from domain.answer import Answer
from domain.events import ContentAdded, Event, fold
from tests.builders import LEASE, NOW, begun, claim
from tests.contract.stores import events_of
from tests.doubles.readers import events_of as events_in
from tests.doubles.readers import subscribed
from tests.integration.sqlite_bench import Opened, opened


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[Opened]:
    async with opened(tmp_path / "longtask.db", pause=None) as file:
        yield file


def _texts(*texts: str) -> list[Event]:
    return [ContentAdded(NOW, text) for text in texts]


async def test_an_append_executes_no_statement_of_its_own(
    file: Opened, monkeypatch: pytest.MonkeyPatch
) -> None:
    executed: list[str] = []
    execute = Transaction.execute

    def noting(self: Transaction, statement: str, values: Sequence[Any] = ()) -> object:
        executed.append(statement)
        return execute(self, statement, values)

    attempt = await begun(file.tasks)
    monkeypatch.setattr(Transaction, "execute", noting)
    for number in range(3):
        attempt = await file.tasks.append(attempt, _texts(str(number)), LEASE)
        await file.tasks.renew(attempt, LEASE)
    assert executed == []
    await file.tasks.note_message(attempt.task.id, "msg")
    assert executed


async def test_a_long_append_is_bounded_rows_and_one_batch(file: Opened) -> None:
    attempt = await begun(file.tasks)
    added = _texts(*["x" * (BATCH_SIZE // 3)] * 7, "y" * (3 * BATCH_SIZE), *"abc")
    async with subscribed(file.feed, attempt.task.id) as subscriber:
        await file.tasks.append(attempt, added, LEASE)
        (batch,) = await subscriber.receive(len(added))
    assert list(batch.events) == (await events_of(file.tasks, attempt.task.id))[2:] == added
    rows = await file.rows("SELECT count, size, length(events) FROM batches ORDER BY key")
    assert [count for count, _, _ in rows] == [1, 1, 2, 2, 2, 1, 1, 3]
    assert all(size == length for _, size, length in rows)


async def test_an_append_beside_a_write_that_fails_is_made_once(file: Opened) -> None:
    def failing(transaction: Transaction) -> None:
        transaction.execute("DELETE FROM tasks")
        raise ZeroDivisionError

    attempt = await begun(file.tasks)
    async with subscribed(file.feed, attempt.task.id) as subscriber:
        for number in range(20):
            appended, failed = await asyncio.gather(
                file.tasks.append(attempt, _texts(str(number)), LEASE),
                file.database.write(failing),
                return_exceptions=True,
            )
            assert isinstance(failed, ZeroDivisionError)
            assert not isinstance(appended, BaseException)
            attempt = appended
        batches = await subscriber.receive(20)
    log = await events_of(file.tasks, attempt.task.id)
    assert fold(log).answer.text == "".join(map(str, range(20)))
    assert events_in(batches) == log[2:]
    assert [batch.first for batch in batches] == list(range(3, 23))


async def test_an_append_whose_caller_left_is_published_all_the_same(file: Opened) -> None:
    attempt = await begun(file.tasks)
    async with subscribed(file.feed, attempt.task.id) as subscriber:
        append = asyncio.create_task(file.tasks.append(attempt, _texts("a"), LEASE))
        await asyncio.sleep(0)
        append.cancel()
        await asyncio.wait([append])
        assert append.cancelled()
        (batch,) = await subscriber.receive(1)
    assert list(batch.events) == _texts("a")
    again = await file.tasks.append(attempt, _texts("a"), LEASE)
    assert again.logged == batch.end.offset


async def test_a_full_disk_costs_no_attempt(file: Opened) -> None:
    attempt = await begun(file.tasks)
    attempt = await file.tasks.append(attempt, _texts("a"), LEASE)
    await file.change("PRAGMA max_page_count = 1")  # as few as there are
    large = _texts("b" * 100_000)
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            await file.tasks.append(attempt, large, LEASE)
    assert len(await events_of(file.tasks, attempt.task.id)) == 3
    await file.change("PRAGMA max_page_count = 100000")
    attempt = await file.tasks.append(attempt, large, LEASE)
    answer = Answer("a" + "b" * 100_000)
    done = attempt.task.complete(NOW, answer=answer, finish_reason="stop", model="m", usage=None)
    await file.tasks.commit(attempt, done)
    assert fold(await events_of(file.tasks, attempt.task.id)).answer == answer


async def test_many_attempts_write_at_once(file: Opened) -> None:
    attempts = await asyncio.gather(*(begun(file.tasks) for _ in range(40)))
    ids = [attempt.task.id for attempt in attempts]
    for number in range(15):
        added = (file.tasks.append(each, _texts(str(number)), LEASE) for each in attempts)
        attempts = await asyncio.gather(*added)
    text = "".join(map(str, range(15)))
    for task_id in ids:
        assert fold(await events_of(file.tasks, task_id)).answer.text == text
    requeued = attempts[0]
    await file.tasks.commit(requeued, requeued.task.requeue(NOW, "x"))
    assert (await claim(file.tasks, ids[0])).number == 2
