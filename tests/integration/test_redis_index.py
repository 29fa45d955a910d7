"""The index of owners' tasks on Redis, which lies apart from them: what a crash between two steps
leaves, what expires, and what it costs."""

import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from adapters.redis import Connection, RedisTaskIndex, RedisTaskLog
from adapters.redis.connection import Listener, Word
from adapters.redis.keys import keys_of, owner_keys
from application.errors import DeletedTask, StoreUnavailable
from application.ports import EndedEntry, Entry
from domain.answer import Answer
from domain.events import ContentAdded
from domain.events import TaskStatus as Status
from domain.task import Attempt, Task
from domain.task_filter import TaskFilter
from tests.builders import LEASE, NOW, REQUEST, claim, to_redis
from tests.integration.redis_records import VERSIONS_BEFORE, OldRecord
from tests.integration.redis_records import Bench as Records
from tests.waiting import until

TTL = 60.0
SHORT = 0.3
"""Seconds for which records are kept that a test waits for."""


class Killed(BaseException):
    """Nothing that comes behind it is carried out."""


class Counted(Connection):
    """Counts the commands, and is killed before one more than `left`."""

    publish = "PUBLISH"

    def __init__(self, inner: Connection) -> None:
        self._inner = inner
        self.commands = 0
        self.left = 1_000_000
        self.fault: BaseException = Killed()

    async def call(self, *words: Word) -> Any:
        self.commands += 1
        if self.commands > self.left:
            raise self.fault
        return await self._inner.call(*words)

    call_batched = call

    async def pipeline(self, commands: Sequence[Sequence[Word]]) -> list[Any]:
        return await self._inner.pipeline(commands)

    async def listen(self) -> Listener:
        return await self._inner.listen()

    async def aclose(self) -> None: ...


@dataclass
class Bench:
    connection: Connection
    tasks: RedisTaskLog
    index: RedisTaskIndex
    counted: Counted
    counting: RedisTaskLog
    """Calls the same Redis through `counted`."""
    owner: str

    def task(self, at: int = NOW, **changed: Any) -> Task:
        task_id = f"task_{at}_{secrets.token_hex(6)}"
        return Task.submit(task_id, replace(REQUEST, **changed), at, self.owner).task

    async def created(self, tasks: RedisTaskLog | None = None, at: int = NOW) -> str:
        task = self.task(at)
        await (tasks or self.tasks).create(Task.submit(task.id, REQUEST, at, self.owner))
        return task.id

    async def unfinished(self) -> list[str]:
        return [each.task_id for each in await self.index.unfinished(self.owner, None, 100)]

    async def ended(self) -> list[str]:
        return [each.task_id for each in await self.index.ended(self.owner, 0, 100)]

    async def listed(self, *statuses: Status) -> list[str]:
        wanted = TaskFilter(frozenset(statuses))
        return [task.id for task in (await self.index.page(self.owner, wanted, None, 100)).tasks]

    async def keys(self) -> int:
        found: int = await self.connection.call("EXISTS", *owner_keys(self.owner).index)
        return found

    async def nothing_left(self) -> bool:
        return await self.keys() == 0

    async def expires(self, task_id: str) -> float:
        score: bytes = await self.connection.call(
            "ZSCORE", owner_keys(self.owner).expiries, task_id
        )
        return float(score)

    async def commands(self, call: Any) -> int:
        """How many commands a call takes."""
        self.counted.commands = 0
        await call
        return self.counted.commands


@pytest.fixture
async def bench(redis_url: str) -> AsyncIterator[Bench]:
    connection = to_redis(redis_url)
    counted = Counted(connection)
    tasks, counting = RedisTaskLog(connection, TTL), RedisTaskLog(counted, TTL)
    owner = f"owner_{secrets.token_hex(6)}"
    bench = Bench(connection, tasks, RedisTaskIndex(connection, TTL), counted, counting, owner)
    await warm_up(bench)
    bench.owner += "_2"
    yield bench
    await connection.aclose()


async def warm_up(bench: Bench) -> None:
    """From then on the server knows the scripts: each step is one command."""
    attempt = await claim(bench.tasks, await bench.created())
    attempt = await bench.tasks.append(attempt, [ContentAdded(NOW, "a")], LEASE)
    await bench.tasks.renew(attempt, LEASE)
    await bench.tasks.commit(*completing(attempt))
    await bench.tasks.delete(attempt.task.id)


async def completed(tasks: RedisTaskLog, task_id: str) -> None:
    await tasks.commit(*completing(await claim(tasks, task_id)))


def completing(attempt: Attempt) -> tuple[Attempt, Any]:
    done = attempt.task.complete(
        NOW, answer=Answer("a"), finish_reason="stop", model="m", usage=None
    )
    return attempt, done


async def test_a_kill_between_entry_and_record_leaves_what_nothing_returns(bench: Bench) -> None:
    """And what the delivery that creates the task again replaces."""
    bench.counted.left = 1
    task = bench.task()
    with pytest.raises(Killed):
        await bench.counting.create(Task.submit(task.id, REQUEST, NOW, bench.owner))
    assert await bench.unfinished() == [task.id]
    assert await bench.listed() == []
    assert await bench.index.records([task.id]) == []
    await bench.tasks.create(Task.submit(task.id, REQUEST, NOW + 1, bench.owner))
    assert await bench.listed() == [task.id]
    assert await bench.index.unfinished(bench.owner, None, 100) == [Entry(NOW + 1, task.id)]


async def test_an_entry_without_a_record_expires(bench: Bench) -> None:
    bench.counted.left = 1
    with pytest.raises(Killed):
        await bench.created(RedisTaskLog(bench.counted, SHORT))
    assert await bench.keys() == 4
    await until(bench.nothing_left)


@pytest.mark.parametrize("fault", [Killed(), StoreUnavailable("Redis cannot be reached")])
@pytest.mark.parametrize("healed_by", ["page", "filtered page", "delivery", "repeated start"])
async def test_an_end_that_was_written_and_not_noted_is_noted_later(
    bench: Bench, fault: BaseException, healed_by: str
) -> None:
    """Until then the task is among the unfinished ones, of which every reader reads the records."""
    task_id = await bench.created()
    attempt, done = completing(await claim(bench.tasks, task_id))
    bench.counted.fault, bench.counted.left = fault, 1
    if isinstance(fault, Killed):
        with pytest.raises(Killed):
            await bench.counting.commit(attempt, done)
    else:
        await bench.counting.commit(attempt, done)  # the task has ended, whatever else fails
    assert (await bench.unfinished(), await bench.ended()) == ([task_id], [])
    assert [task.status for task in await bench.index.records([task_id])] == [Status.COMPLETED]
    if healed_by == "page":
        assert await bench.listed() == [task_id]
    elif healed_by == "filtered page":
        assert await bench.listed(Status.FAILED, Status.PENDING) == []
    elif healed_by == "delivery":
        await bench.tasks.claim(task_id, LEASE, NOW)
    else:
        await bench.tasks.create(Task.submit(task_id, REQUEST, NOW, bench.owner))
    assert (await bench.unfinished(), await bench.ended()) == ([], [task_id])
    cursors = await bench.index.ended(bench.owner, 0, 100)
    await bench.tasks.claim(task_id, LEASE, NOW)
    assert await bench.index.ended(bench.owner, 0, 100) == cursors, "a cursor does not change"


async def test_a_kill_before_the_entry_of_a_deleted_task_is_removed(bench: Bench) -> None:
    task_id = await bench.created()
    bench.counted.left = 2
    with pytest.raises(Killed):
        await bench.counting.delete(task_id)
    assert await bench.listed() == []
    with pytest.raises(DeletedTask):
        await bench.tasks.create(Task.submit(task_id, REQUEST, NOW, bench.owner))
    assert await bench.unfinished() == [], "a late delivery removes it"


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


async def test_an_end_of_another_time_is_noted_anew(bench: Bench) -> None:
    """A failover may have lost the first one together with the record."""
    task_id = await bench.created()
    await completed(bench.tasks, task_id)
    first = await bench.index.ended(bench.owner, 0, 10)
    await bench.connection.call("DEL", keys_of(task_id).record)
    await bench.tasks.create(Task.submit(task_id, REQUEST, NOW, bench.owner))
    assert (await bench.unfinished(), await bench.ended()) == ([task_id], [])
    assert await bench.listed(Status.PENDING) == [task_id]
    await bench.tasks.cancel(task_id, NOW + 1)
    (entry,) = await bench.index.ended(bench.owner, 0, 10)
    assert entry.cursor > first[0].cursor
    assert await bench.listed(Status.CANCELLED) == [task_id]


async def test_an_index_that_was_lost_is_written_by_the_next_changes(bench: Bench) -> None:
    pending, running = await bench.created(), await bench.created()
    attempt = await claim(bench.tasks, running)
    for name in owner_keys(bench.owner).index:
        await bench.connection.call("DEL", name)
    await bench.tasks.commit(*completing(attempt))
    await bench.tasks.cancel(pending, NOW)
    assert set(await bench.ended()) == {pending, running}
    assert set(await bench.listed()) == {pending, running}
    assert await bench.listed(Status.CANCELLED) == [pending]


async def test_a_task_of_the_version_before_is_listed_once_this_one_has_it(
    bench: Bench,
) -> None:
    records, bench.owner = Records(bench.connection, bench.tasks), "alice"
    for name in owner_keys("alice").index:
        await bench.connection.call("DEL", name)
    old = await OldRecord.written(records, VERSIONS_BEFORE["requests of version 2"])
    attempt = await claim(bench.tasks, old.id)
    assert await bench.unfinished() == [old.id]
    (task,) = (await bench.index.page("alice", TaskFilter(metadata={"k": "v"}), None, 10)).tasks
    assert (task.id, task.title) == (old.id, "Aé")
    await bench.tasks.commit(*completing(attempt))
    assert (await bench.unfinished(), await bench.ended()) == ([], [old.id])


async def test_the_entry_of_a_long_task_outlives_its_record(bench: Bench) -> None:
    """It is put off at a renewal, once a quarter of the time to live has passed."""
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
    bench.counted.commands = 0
    attempt = await claim(bench.counting, task.id)
    assert bench.counted.commands == 2  # reads the record, and writes it
    append = bench.counting.append(attempt, [ContentAdded(NOW, "a")], LEASE)
    assert await bench.commands(append) == 1
    attempt, done = completing(replace(attempt, logged=attempt.logged + 1))
    assert await bench.commands(bench.counting.commit(attempt, done)) == 2


async def test_a_task_of_another_owner_is_not_listed_because_its_id_was_asked_for(
    bench: Bench,
) -> None:
    theirs = await bench.created()
    other = f"{bench.owner}_other"
    existing = await bench.tasks.create(Task.submit(theirs, REQUEST, NOW + 5, other))
    assert existing.owner == bench.owner
    assert await bench.index.unfinished(other, None, 10) == []
    bench.counted.left = 1  # killed before it learns that the task is another's
    with pytest.raises(Killed):
        await bench.counting.create(Task.submit(theirs, REQUEST, NOW + 5, other))
    assert (await bench.index.page(other, TaskFilter(), None, 10)).tasks == []
    assert await bench.listed() == [theirs]


async def test_records_of_the_next_version_are_left_out_with_one_log_line(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    ids = [await bench.created(at=NOW + at) for at in range(4)]
    for task_id in ids[1:3]:
        await bench.connection.call("HSET", keys_of(task_id).record, "v", "2")
    assert await bench.listed() == [ids[3], ids[0]]
    lines = [each.getMessage() for each in caplog.records if "left out" in each.getMessage()]
    assert len(lines) == 1
    assert "number=2" in lines[0]
