"""The index of owners' tasks on Redis: when its entries expire, which cursors it gives, and what it
costs."""

import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from adapters.redis import Connection, RedisTaskLog
from adapters.redis.index_entry import entry_of, member_of
from adapters.redis.keys import keys_of, owner_keys
from application.ports import EndedEntry, Entry
from domain.answer import Answer
from domain.events import ContentAdded
from domain.events import TaskStatus as Status
from domain.task import Task
from domain.task_filter import TaskFilter
from tests.builders import LEASE, NOW, REQUEST, claim, to_redis
from tests.integration.redis_index_bench import TTL, Bench, Killed, completed, completing, indexed
from tests.waiting import until, within

SHORT = 0.3
"""Seconds for which records are kept that a test waits for."""
MANY = 100_000


@pytest.fixture
async def bench(redis_url: str) -> AsyncIterator[Bench]:
    async with indexed(to_redis(redis_url)) as bench:
        yield bench


async def test_an_entry_without_a_record_expires(bench: Bench) -> None:
    bench.counted.left = 1
    with pytest.raises(Killed):
        await bench.created(RedisTaskLog(bench.counted, SHORT))
    assert await bench.keys() == 4
    await until(bench.nothing_left)


async def test_with_none_of_the_tasks_left_nothing_remains(bench: Bench) -> None:
    tasks = RedisTaskLog(bench.connection, SHORT)
    await bench.created(tasks)
    await completed(tasks, await bench.created(tasks))
    assert await bench.keys() == 5
    await until(bench.nothing_left)
    deleted = await bench.created()
    await completed(bench.tasks, deleted)
    assert await bench.keys() == 4
    await bench.tasks.delete(deleted)
    await until(bench.nothing_left)


async def test_each_write_drops_two_entries_that_have_expired(bench: Bench) -> None:
    kept = await bench.created()
    short = RedisTaskLog(bench.connection, 0.05)
    gone = [await bench.created(short, NOW + at) for at in range(1, 6)]
    last = await bench.expires(gone[-1])

    async def expired() -> bool:
        seconds, microseconds = await bench.connection.call("TIME")
        return int(seconds) * 1000 + int(microseconds) / 1000 > last + 1

    await until(expired)
    keys = owner_keys(bench.owner)
    before = int(await bench.connection.call("ZCARD", keys.created))
    for _ in range(3):
        await bench.created(at=NOW - 1)
        size = int(await bench.connection.call("ZCARD", keys.created))
        assert size == max(before - 1, size)
        before = size
    assert kept in await bench.unfinished()
    for name, count in ((keys.created, 4), (keys.unfinished, 4), (keys.expiries, 4)):
        assert await bench.connection.call("ZCARD", name) == count
    assert await bench.connection.call("HLEN", keys.entries) == 4


async def test_no_cursor_is_given_twice(bench: Bench) -> None:
    """Also if the tasks that had the highest ones are deleted at once, and the index with them."""
    given: list[int] = []
    for _ in range(20):
        task_id = await bench.created()
        await completed(bench.tasks, task_id)
        ended: Sequence[EndedEntry] = await bench.index.ended(bench.owner, 0, 10)
        given += [each.cursor for each in ended]
        await bench.tasks.delete(task_id)
    assert len(set(given)) == 20
    assert given == sorted(given)


async def test_the_entry_of_a_long_task_outlives_its_record(bench: Bench) -> None:
    """A renewal writes it again, once a quarter of the time to live has passed."""
    task_id = await bench.created()
    attempt = await claim(bench.counting, task_id)
    before = await bench.expires(task_id)
    assert await bench.commands(bench.counting.renew(attempt, LEASE)) == 1
    assert await bench.expires(task_id) == before
    record = keys_of(task_id).record
    long_ago = int(await bench.connection.call("HGET", record, "indexed")) - int(TTL * 1000 / 4)
    await bench.connection.call("HSET", record, "indexed", long_ago)
    assert await bench.commands(bench.counting.renew(attempt, LEASE)) == 2
    assert await bench.expires(task_id) > before
    assert await bench.commands(bench.counting.renew(attempt, LEASE)) == 1
    await bench.connection.call("HSET", record, "indexed", long_ago)
    await bench.tasks.commit(attempt, attempt.task.requeue(NOW, "x"))
    assert int(await bench.connection.call("HGET", record, "indexed")) > long_ago
    assert await bench.unfinished() == [task_id]


async def test_what_the_index_costs(bench: Bench) -> None:
    """One command more for a start, and one for an end. Nothing for a claim or a token."""
    task = bench.task()
    submitted = Task.submit(task.id, REQUEST, NOW, bench.owner)
    assert await bench.commands(bench.counting.create(submitted)) == 2
    bench.counted.commands.clear()
    attempt = await claim(bench.counting, task.id)
    assert bench.counted.commands == ["HMGET", "EVALSHA"]  # reads the record, and writes it
    append = bench.counting.append(attempt, [ContentAdded(NOW, "a")], LEASE)
    assert await bench.commands(append) == 1
    attempt, done = completing(replace(attempt, logged=attempt.logged + 1))
    assert await bench.commands(bench.counting.commit(attempt, done)) == 2


@pytest.mark.soak
@pytest.mark.parametrize("way", ["redis_url", "redis_cluster"])
async def test_a_page_of_100_000_tasks_takes_milliseconds(
    way: str, request: pytest.FixtureRequest
) -> None:
    async with indexed(to_redis(request.getfixturevalue(way))) as bench:
        await _fill(bench.connection, bench.owner)
        for at in range(100):
            task_id = await bench.created(at=NOW + MANY + at)
            if at % 10:
                await completed(bench.tasks, task_id)
        for wanted in (
            TaskFilter(),
            TaskFilter(frozenset({Status.COMPLETED})),
            TaskFilter(frozenset({Status.FAILED})),
            TaskFilter(frozenset({Status.PENDING, Status.RUNNING})),
            TaskFilter(model="another"),
            TaskFilter(created_after=NOW + MANY - 1),
        ):
            await _is_fast(lambda: bench.index.page(bench.owner, wanted, None, 20))  # noqa: B023
        await _is_fast(lambda: bench.index.unfinished(bench.owner, None, 100))
        await _is_fast(lambda: bench.index.ended(bench.owner, NOW, 100))


async def _is_fast(call: Callable[[], Awaitable[object]]) -> None:
    took = []
    for _ in range(10):
        began = time.perf_counter()
        await call()
        took.append(time.perf_counter() - began)
    assert min(took) < within(0.02)


async def _fill(connection: Connection, owner: str) -> None:
    """With entries whose tasks have completed."""
    keys, cursor = owner_keys(owner), round(time.time() * 1000) - MANY
    pending = Task.submit("task", REQUEST, NOW, owner).task
    done = pending.begin(NOW).task.complete(
        NOW, answer=Answer("a"), finish_reason="stop", model="m", usage=None
    )
    _, _, rest = entry_of(done.task, ended=True).partition(" ")
    expires = round((time.time() + TTL) * 1000)
    for first in range(0, MANY, 1_000):
        members = [
            member_of(Entry(NOW + at, secrets.token_hex(8))) for at in range(first, first + 1_000)
        ]
        ids = [member.partition(":")[2] for member in members]
        entries = [f"{member.partition(':')[0]} {rest}" for member in members]
        cursors = range(cursor + first, cursor + first + 1_000)
        for name, words in (
            (keys.entries, zip(ids, entries, strict=True)),
            (keys.created, ((0, member) for member in members)),
            (keys.ended, zip(cursors, ids, strict=True)),
            (keys.expiries, ((expires, task_id) for task_id in ids)),
        ):
            command = "HSET" if name == keys.entries else "ZADD"
            await connection.call(command, name, *(word for pair in words for word in pair))
