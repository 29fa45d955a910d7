"""What another version of the service wrote: refused for its own task, with nothing else harmed."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest

from adapters.redis import Connection, RedisTaskLog
from adapters.redis.codec import decode_batch, encode_event, encode_task
from adapters.redis.connection import Published
from adapters.redis.keys import keys_of
from adapters.request_codec import request_to_plain
from application.errors import UnreadableEvent, UnreadableTask
from domain.answer import Answer
from domain.events import ContentAdded, Event, StatusChanged, TaskEnded, TaskErrored, Usage
from domain.events import TaskStatus as Status
from domain.request import TaskRequest
from domain.task import Failure, Task
from tests.builders import LEASE, REQUEST, begun, to_redis

FAILURE = Failure("model_error", "It failed.", True)


@dataclass
class Bench:
    connection: Connection
    tasks: RedisTaskLog

    async def field(self, task_id: str, name: str) -> bytes:
        found: bytes = await self.connection.call("HGET", keys_of(task_id).record, name)
        return found

    async def set_field(self, task_id: str, name: str, value: str) -> None:
        await self.connection.call("HSET", keys_of(task_id).record, name, value)


@pytest.fixture
async def bench(redis_url: str) -> AsyncIterator[Bench]:
    connection = to_redis(redis_url)
    yield Bench(connection, RedisTaskLog(connection, 60.0))
    await connection.aclose()


async def _refuses(bench: Bench, task_id: str) -> None:
    tasks = bench.tasks
    for call in (
        tasks.get(task_id),
        tasks.create(Task.submit(task_id, REQUEST, 1)),
        tasks.claim(task_id, LEASE, 1),
        tasks.cancel(task_id, 1),
        tasks.fail(task_id, FAILURE, 1),
        tasks.fail_unqueued(task_id, FAILURE, 1),
        tasks.fail_orphaned(task_id, FAILURE, 1),
    ):
        with pytest.raises(UnreadableTask, match=task_id):
            await call


async def test_a_record_of_the_next_version_is_refused_and_stays_as_it_is(bench: Bench) -> None:
    task_id, other = (await begun(bench.tasks)).task.id, (await begun(bench.tasks)).task.id
    await bench.set_field(task_id, "v", "2")
    await bench.set_field(task_id, "task", '{"another":"shape"}')
    before = await bench.connection.call("HGETALL", keys_of(task_id).record)
    await _refuses(bench, task_id)
    with pytest.raises(UnreadableEvent):
        await bench.tasks.read(task_id, 0, 10)
    assert await bench.connection.call("HGETALL", keys_of(task_id).record) == before
    assert (await bench.tasks.get(other)).id == other


@pytest.mark.parametrize(
    "change",
    [
        {"request": {"v": 3, "prompt": ["Hi."]}},
        {"request": {"v": 1, "model": "m", "max_tokens": "0", "temperature": 0.5, "prompt": "."}},
        {"status": "paused"},
        {"attempt": None},
    ],
)
async def test_a_record_that_cannot_be_read_is_refused(
    bench: Bench, change: dict[str, Any]
) -> None:
    task_id = (await begun(bench.tasks)).task.id
    record = json.loads(await bench.field(task_id, "task"))
    await bench.set_field(task_id, "task", json.dumps({**record, **change}))
    await _refuses(bench, task_id)


AS_WRITTEN = {
    # By the first release: each request had a limit of tokens and a temperature.
    "requests of version 1": (
        '{"id":"ID","request":{"v":1,"model":"m","max_tokens":10,"temperature":0.5,'
        '"prompt":"Hi."},"status":"completed","attempt":1,"created_at":1,"updated_at":2,'
        '"owner":null,"origin":null,"started_at":1,"finished_at":2,"message_id":null,"model":"m",'
        '"finish_reason":"stop","usage":{"prompt_tokens":1,"completion_tokens":2,'
        '"total_tokens":3},"failure":null}',
        REQUEST,
        Usage(1, 2, 3),
    ),
    "requests of version 2": (
        '{"id":"ID","request":{"v":2,"model":"m","prompt":"Hi."},"status":"completed","attempt":1,'
        '"created_at":1,"updated_at":2,"owner":"alice","origin":"192.0.2.7","started_at":1,'
        '"finished_at":2,"message_id":null,"model":"m","finish_reason":"length",'
        '"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"reasoning_tokens":2},'
        '"failure":null}',
        TaskRequest(model="m", prompt="Hi."),
        Usage(1, 2, 3, 2),
    ),
}


@pytest.mark.parametrize("version", AS_WRITTEN)
async def test_a_record_is_read_as_each_version_wrote_it(
    bench: Bench, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after the bounds have been lowered. A new version adds its record here."""
    record, request, usage = AS_WRITTEN[version]
    task_id = (await begun(bench.tasks)).task.id
    await bench.set_field(task_id, "task", record.replace("ID", task_id))
    monkeypatch.setattr("domain.request.MAX_TOKENS_LIMIT", 1)
    task = await bench.tasks.get(task_id)
    assert (task.id, task.requested_model, task.usage) == (task_id, "m", usage)
    assert await bench.tasks.request(task_id) == request
    assert request_to_plain(request) == json.loads(record)["request"]


async def test_an_event_of_an_unknown_kind_ends_the_reading_there(bench: Bench) -> None:
    """And a cancel that would have to read it leaves the attempt the right to write."""
    attempt = await begun(bench.tasks)
    task_id = attempt.task.id
    attempt = await bench.tasks.append(attempt, [ContentAdded(1, "a")], LEASE)
    await bench.connection.call("RPUSH", keys_of(task_id).log, '["z",1,"?"]')
    assert len((await bench.tasks.read(task_id, 0, 3)).events) == 3
    for after in (0, 3):
        with pytest.raises(UnreadableEvent):
            await bench.tasks.read(task_id, after, 10)
    with pytest.raises(UnreadableEvent):
        await bench.tasks.cancel(task_id, 1)
    await bench.tasks.renew(attempt, LEASE)
    assert (await bench.tasks.get(task_id)).status is Status.RUNNING


@pytest.mark.parametrize(
    "published",
    [
        b'1 e e 3 [["z",1,"?"]]',
        b'1 e e 3 [["c",1,"a"],["s",1,"paused",1,null]]',
        b'2 e e 3 [["c",1,"a"]]',
        b'1 e e x [["c",1,"a"]]',
        b'1 e e 3 [["c",1,"\xff"]]',
        b"not one of ours",
        b"",
    ],
)
def test_a_batch_that_cannot_be_read_says_so(published: bytes) -> None:
    with pytest.raises(UnreadableEvent) as refused:
        decode_batch(published)
    assert "?" not in str(refused.value), "an answer is in no message"


async def test_what_is_written_is_version_1(bench: Bench) -> None:
    """Who changes what is written fails here, and has to ask: would an instance of the version
    before misread it? Then VERSION grows, or the event gets another letter."""
    task = Task.submit("task_1_a", REQUEST, 1).task
    assert json.loads(encode_task(task)) == {
        "id": "task_1_a",
        "requested_model": "m",
        "status": "pending",
        "attempt": 0,
        "created_at": 1,
        "updated_at": 1,
        **dict.fromkeys(("owner", "origin", "started_at", "finished_at", "message_id", "model")),
        **dict.fromkeys(("finish_reason", "usage", "valid", "failure")),
    }
    usage = b'{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"reasoning_tokens":null}'
    events: dict[bytes, Event] = {
        b'["s",1,"running",1,null]': StatusChanged(1, Status.RUNNING, 1),
        b'["c",1,"a"]': ContentAdded(1, "a"),
        b'["e",1,"a","stop","m",' + usage + b"]": TaskEnded(
            1, Answer("a"), "stop", "m", Usage(1, 2, 3)
        ),
        b'["x",1,"It failed.","model_error",true]': TaskErrored(
            1, "It failed.", "model_error", True
        ),
    }
    for written, event in events.items():
        assert encode_event(event) == written

    attempt = await begun(bench.tasks)
    assert await bench.field(attempt.task.id, "v") == b"1"
    epoch = await bench.field(attempt.task.id, "epoch")
    listener = await bench.connection.listen()
    await listener.subscribe([keys_of(attempt.task.id).channel])
    messages = listener.messages()
    await anext(messages)
    added = [ContentAdded(1, "a"), ContentAdded(1, "b")]
    await bench.tasks.append(attempt, added, LEASE)
    published = await anext(messages)
    assert isinstance(published, Published)
    assert published.data == b'1 %b %b 3 [["c",1,"a"],["c",1,"b"]]' % (epoch, epoch)
    assert decode_batch(published.data).events == tuple(added)
    await listener.aclose()
