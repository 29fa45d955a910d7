"""`longtask migrate`: after it, Redis tells of every task what the file told."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import Result

from adapters.database import Database, open_database
from adapters.live import Hub
from adapters.redis import (
    Adoption,
    Connection,
    RedisIdempotencyKeys,
    RedisTaskIndex,
    RedisTaskLog,
    RedisUsageLedger,
    RestConnection,
)
from adapters.redis.adoption import COMMAND_BYTES, COMMAND_EVENTS
from adapters.redis.connection import Word
from adapters.redis.keys import keys_of, owner_keys
from adapters.sqlite import (
    AwakeClock,
    HandingOver,
    SqliteIdempotencyKeys,
    SqliteTaskLog,
    SqliteUsageLedger,
)
from application.chats import chat_key
from application.errors import DeletedTask, ExpiredTask, StoreUnavailable
from application.ports import IDEMPOTENCY_TTL, Addition, Row, Tokens
from domain.continuation import Continuation
from domain.events import ContentAdded, ReasoningAdded
from domain.request import TaskRequest
from domain.task_filter import TaskFilter
from entrypoints.data_file import SCHEMAS
from entrypoints.migration import Report, UnfinishedTasks, migrate
from tests.builders import NOW, submit, to_redis
from tests.commands import invoke
from tests.doubles.rest_front import TOKEN
from tests.integration.moved_tasks import assert_the_same, cancelled, completed, failed
from tests.redis_server import LocalRedis

TTL = 3600.0
TODAY = int(time.time()) // 86_400
USED = [
    Addition(account, day, model, Tokens(100, 40, 20, 5), tasks=2)
    for account in ("all", "key:moved")
    for day in (TODAY, TODAY - 40)
    for model in ("a", "b")
]
LOOK = "return {redis.call('EXISTS', KEYS[1]), redis.call('LLEN', KEYS[2])}"


@dataclass
class Filled:
    """What a file has."""

    database: Database
    tasks: SqliteTaskLog
    keys: SqliteIdempotencyKeys
    ended: list[str]
    deleted: str
    key: str
    """A client's idempotency key, and the id of a chat."""

    async def migrate(self, redis: Connection) -> Report:
        source = HandingOver(self.database, round(time.time() * 1000))
        return await migrate(source, Adoption(redis), lambda _: None)


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[Database]:
    database = open_database(folder / "longtask.db", SCHEMAS)
    try:
        yield database
    finally:
        await database.aclose()


@pytest.fixture
async def filled(tmp_path: Path) -> AsyncIterator[Filled]:
    async with opened(tmp_path) as database:
        tasks = SqliteTaskLog(database, Hub(), TTL, clock=AwakeClock())
        keys = SqliteIdempotencyKeys(database)
        deleted = await completed(tasks, [ContentAdded(NOW, "gone")])
        await tasks.delete(deleted)
        ended = [
            await completed(tasks, [ContentAdded(NOW, "Hi"), ReasoningAdded(NOW, "hm \u2028 ü")]),
            await completed(tasks, [ContentAdded(NOW, "x")] * (2 * COMMAND_EVENTS + 5)),
            await completed(tasks, [ContentAdded(NOW, "long" * 10_000)] * 20, lost=True),
            await completed(
                tasks, [], TaskRequest(model="m", prompt="Hi.", metadata={"a": "b"}, ttl=60)
            ),
            await failed(tasks),
            await cancelled(tasks),
        ]
        await SqliteUsageLedger(database).add(USED)
        key = secrets.token_hex(8)
        await keys.bind(key, "print", ended[0])
        await keys.rebind(chat_key(key, "me"), "turn", ended[1], TTL)
        yield Filled(database, tasks, keys, ended, deleted, key)


@pytest.fixture
async def redis(own_redis: LocalRedis) -> AsyncIterator[Connection]:
    """To a Redis that is empty."""
    connection = to_redis(own_redis.url)
    yield connection
    await connection.aclose()


@pytest.fixture(params=["redis_url", "redis_cluster", "rest_front"])
async def any_redis(request: pytest.FixtureRequest) -> AsyncIterator[Connection]:
    found = request.getfixturevalue(request.param)
    connection: Connection = (
        to_redis(found)
        if isinstance(found, str)
        else RestConnection(found.url, TOKEN, connections=10, timeout=5.0)
    )
    yield connection
    await connection.aclose()


async def test_redis_tells_what_the_file_told(filled: Filled, any_redis: Connection) -> None:
    redis = any_redis
    report = await filled.migrate(redis)
    assert (report.tasks.copied, report.keys.copied, report.tombstones.copied) == (6, 2, 1)
    tasks, keys = RedisTaskLog(redis, TTL), RedisIdempotencyKeys(redis)
    for task_id in filled.ended:
        await assert_the_same(filled.tasks, tasks, task_id)
    with pytest.raises(DeletedTask):
        await tasks.get(filled.deleted)
    for key in (filled.key, chat_key(filled.key, "me")):
        found, same = await filled.keys.find(key), await keys.find(key)
        assert found is not None
        assert same is not None
        assert (same.fingerprint, same.task_id, same.since) == (
            found.fingerprint,
            found.task_id,
            found.since,
        )
    again = await keys.bind(filled.key, "print", "task_again")
    assert again.task_id == filled.ended[0]
    for task_id, seconds in ((filled.ended[0], TTL), (filled.ended[3], 60.0)):
        names = keys_of(task_id)
        for name in (names.record, names.log):
            assert seconds - 50 < await redis.call("PTTL", name) / 1000 <= seconds
    assert await redis.call("EXISTS", keys_of(filled.ended[3]).tombstone)


async def test_lists_and_cursors_move_along(filled: Filled, any_redis: Connection) -> None:
    """Also if the move was interrupted between a task and its entry."""
    redis, index = any_redis, RedisTaskIndex(any_redis, TTL)
    ours = await filled.tasks.index.ended(None, 0, 100)
    assert {each.task_id for each in ours} == set(filled.ended)
    await filled.migrate(redis)
    theirs = await index.ended(None, ours[0].cursor - 1, 100)
    assert [each for each in theirs if each.task_id in filled.ended] == ours
    page = await index.page(None, TaskFilter(metadata={"a": "b"}), None, 100)
    assert filled.ended[3] in [task.id for task in page.tasks]
    for name in owner_keys(None).index:
        await redis.call("DEL", name)
    assert (await filled.migrate(redis)).tasks.there == len(filled.ended)
    page = await index.page(None, TaskFilter(), None, 100)
    assert {task.id for task in page.tasks} == set(filled.ended)


async def test_a_move_that_failed_is_repeated(filled: Filled, redis: Connection) -> None:
    calls, left = redis.call, 9

    async def failing(*words: Word) -> object:
        nonlocal left
        left -= 1
        if left < 0:
            raise StoreUnavailable("Redis cannot be reached")
        return await calls(*words)

    redis.call = failing  # type: ignore[method-assign]
    with pytest.raises(StoreUnavailable):
        await filled.migrate(redis)
    redis.call = calls  # type: ignore[method-assign]
    first = await filled.migrate(redis)
    assert first.tasks.copied + first.tasks.there == len(filled.ended)
    assert first.tasks.copied
    tasks = RedisTaskLog(redis, TTL)
    for task_id in filled.ended:
        await assert_the_same(filled.tasks, tasks, task_id)
    await tasks.delete(filled.ended[0])
    second = await filled.migrate(redis)
    assert (second.tasks.copied, second.tasks.there) == (0, len(filled.ended))
    assert (second.keys.copied, second.tombstones.copied) == (0, 0)
    with pytest.raises(DeletedTask):
        await tasks.get(filled.ended[0])


async def test_a_long_log_is_seen_whole_or_not_at_all(filled: Filled, redis: Connection) -> None:
    calls, seen = redis.call, 0
    long = [filled.ended[1], filled.ended[2]]

    async def looking(*words: Word) -> object:
        nonlocal seen
        response = await calls(*words)
        for task_id in long:
            names = keys_of(task_id)
            there, length = await calls("EVAL", LOOK, 2, names.record, names.log)
            assert length == (await filled.tasks.read(task_id, 0, 1)).length * there
            seen += not there
        assert len(b"".join(word for word in words if isinstance(word, bytes))) < 2 * COMMAND_BYTES
        return response

    redis.call = looking  # type: ignore[method-assign]
    await filled.migrate(redis)
    assert seen > 5
    assert not [name for name in await calls("KEYS", "*") if b"adopted" in name]


async def test_nothing_is_moved_while_a_task_is_unfinished(
    filled: Filled, redis: Connection
) -> None:
    await submit(filled.tasks)
    with pytest.raises(UnfinishedTasks, match="1 task has not ended"):
        await filled.migrate(redis)
    assert await redis.call("DBSIZE") == 0


async def test_what_has_expired_stays_behind(filled: Filled, redis: Connection) -> None:
    later = HandingOver(filled.database, round((time.time() + 70) * 1000))
    report = await migrate(later, Adoption(redis), lambda _: None)
    assert report.tasks.copied == len(filled.ended) - 1
    later = HandingOver(filled.database, round((time.time() + IDEMPOTENCY_TTL + 1) * 1000))
    report = await migrate(later, Adoption(redis), lambda _: None)
    assert (report.tasks.copied, report.keys.there) == (0, 0)
    for gone, why in ((filled.ended[3], ExpiredTask), (filled.deleted, DeletedTask)):
        with pytest.raises(why) as raised:
            await RedisTaskLog(redis, TTL).get(gone)
        assert raised.type is why


async def test_what_an_upstream_keeps_can_still_be_released(
    filled: Filled, redis: Connection
) -> None:
    await filled.migrate(redis)
    tasks = RedisTaskLog(redis, TTL)
    kept = Continuation(1, "upstream_1", "resp_1", 7, 3, 1)
    assert (await tasks.get(filled.ended[5])).continuation == kept
    await tasks.note_released(filled.ended[5])
    assert (await tasks.get(filled.ended[5])).continuation == kept.told()


async def command(folder: Path, *words: str, **settings: str) -> Result:
    return await asyncio.to_thread(invoke, folder, "migrate", *words, **settings)


async def test_the_command(filled: Filled, tmp_path: Path, own_redis: LocalRedis) -> None:
    data = {"LONGTASK_DATA": "longtask.db"}
    held = await command(tmp_path, "--to", own_redis.url, **data)
    assert held.exit_code == 1
    assert "in use by process" in held.output
    await filled.database.aclose()
    assert "--to" in (await command(tmp_path, **data)).output
    assert (await command(tmp_path, "--to", "http://x", **data)).exit_code == 2
    nowhere = await command(tmp_path, "--to", "redis://127.0.0.1:1", **data)
    assert nowhere.exit_code == 1
    assert "cannot be reached" in nowhere.output
    moved = await command(tmp_path, REDIS_URL=own_redis.url, **data)
    assert moved.exit_code == 0, moved.output
    assert "6 tasks copied\n2 idempotency keys and chats copied\n" in moved.output
    again = await command(tmp_path, "--to", own_redis.url, **data)
    assert "0 tasks copied, 6 there already" in again.output


async def test_the_usage_of_owners_moves_once(filled: Filled, own_redis: LocalRedis) -> None:
    redis = to_redis(own_redis.url)
    try:
        first, again = await filled.migrate(redis), await filled.migrate(redis)
        assert (first.usage.copied, first.usage.there) == (4, 0)
        assert (again.usage.copied, again.usage.there) == (0, 4)
        rows = await RedisUsageLedger(redis).rows(None, TODAY - 90, TODAY)
        assert set(rows) == {Row(*_of(each)) for each in USED}
    finally:
        await redis.aclose()


def _of(each: Addition) -> tuple[str, int, str, Tokens, int]:
    return each.account, each.day, each.model, each.tokens, each.tasks
