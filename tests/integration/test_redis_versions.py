"""What another version of the service wrote: refused for its own task, with nothing else harmed."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from adapters.event_codec import encode_event
from adapters.record_codec import encode_task
from adapters.redis import RedisTaskLog
from adapters.redis.codec import decode_batch, decode_page
from adapters.redis.connection import Published
from adapters.redis.keys import keys_of
from application.errors import UnreadableEvent
from domain.answer import Answer, ToolCall
from domain.attempt import Attempt
from domain.continuation import Continuation, Opening
from domain.events import (
    ContentAdded,
    Event,
    ItemAdded,
    ReasoningAdded,
    StatusChanged,
    TaskEnded,
    TaskErrored,
    ToolCallAdded,
    Usage,
)
from domain.events import TaskStatus as Status
from domain.task import Task
from domain.webhook import Webhook
from tests.builders import LEASE, REQUEST, begun, claim, to_redis
from tests.contract.stores import assert_shut_out
from tests.integration.redis_records import Bench


@pytest.fixture
async def bench(redis_url: str) -> AsyncIterator[Bench]:
    connection = to_redis(redis_url)
    yield Bench(connection, RedisTaskLog(connection, 60.0))
    await connection.aclose()


async def test_a_record_of_the_next_version_is_refused_and_stays_as_it_is(bench: Bench) -> None:
    task_id, other = (await begun(bench.tasks)).task.id, (await begun(bench.tasks)).task.id
    await bench.set_field(task_id, "v", "3")
    await bench.set_field(task_id, "state", '{"another":"shape"}')
    before = await bench.connection.call("HGETALL", keys_of(task_id).record)
    await bench.refuses(task_id)
    with pytest.raises(UnreadableEvent):
        await bench.tasks.read(task_id, 0, 10)
    assert await bench.connection.call("HGETALL", keys_of(task_id).record) == before
    assert (await bench.tasks.get(other)).id == other


async def test_attempts_of_this_version_and_the_one_before_shut_each_other_out(
    bench: Bench,
) -> None:
    """There the writer is the number of the attempt."""
    ours = await begun(bench.tasks)
    task_id = ours.task.id
    await bench.set_field(task_id, "writer", "1")
    await assert_shut_out(bench.tasks, ours)
    await bench.connection.call("DEL", keys_of(task_id).lease)
    again = await claim(bench.tasks, task_id)
    assert await bench.field(task_id, "writer") == again.fence.encode() not in (b"0", b"1", b"2")


@pytest.mark.parametrize(
    "change", [{"created_at": None}, {"owner": 7}, {"status": "paused"}, {"usage": "many"}]
)
async def test_a_record_that_cannot_be_read_is_refused(
    bench: Bench, change: dict[str, Any]
) -> None:
    task_id = (await begun(bench.tasks)).task.id
    record = json.loads(await bench.field(task_id, "state"))
    await bench.set_field(task_id, "state", json.dumps({**record, **change}))
    await bench.set_field(task_id, "status", {**record, **change}["status"])
    await bench.refuses(task_id)


async def test_a_record_of_an_earlier_or_later_instance_of_the_version_is_read(
    bench: Bench,
) -> None:
    """One that knows neither retries nor interrupted attempts, and one that keeps more than this
    one."""
    task_id = (await begun(bench.tasks)).task.id
    record = json.loads(await bench.field(task_id, "state"))
    del record["uncounted"], record["interruptions"], record["retry_of"]
    await bench.set_field(task_id, "state", json.dumps({**record, "later": 1}))
    task = await bench.tasks.get(task_id)
    assert (task.counted_attempts, task.interruptions, task.retry_of) == (1, 0, None)


@pytest.mark.parametrize(
    "newer",
    [
        {"not_before": 2},
        {"deadline": 2},
        {"guard_id": "msg_1"},
        {"webhooks": (Webhook("https://example.com"),)},
        {"continuation": Continuation(1, "upstream_1")},
    ],
    ids=lambda newer: next(iter(newer)),
)
async def test_a_record_that_an_older_instance_would_cut_has_a_version_that_it_refuses(
    bench: Bench, newer: dict[str, Any]
) -> None:
    submitted = Task.submit(f"task_1_{id(newer):x}", REQUEST, 1)
    task = await bench.tasks.create(replace(submitted, task=replace(submitted.task, **newer)))
    assert await bench.field(task.id, "v") == b"2"
    assert await bench.field(task.id, "task") == b"{}"
    assert await bench.tasks.get(task.id) == task
    assert (await bench.tasks.read(task.id, 0, 10)).length == 1
    await bench.tasks.cancel(task.id, 3)
    assert await bench.field(task.id, "v") == b"2"
    await bench.tasks.delete(task.id)


def _as(opening: Opening, _: Task) -> Opening:
    return opening


async def test_a_record_has_the_lowest_version_that_says_all_of_it(bench: Bench) -> None:
    attempt = await begun(bench.tasks)
    task_id = attempt.task.id
    await bench.tasks.commit(attempt, attempt.task.requeue(1, "x"))
    openings = {b"2": Opening(keeper="upstream_1"), b"1": Opening()}
    for version, opening in openings.items():
        claimed = await bench.tasks.claim(task_id, LEASE, 1, partial(_as, opening))
        assert isinstance(claimed, Attempt)
        assert await bench.field(task_id, "v") == version
        await bench.tasks.commit(claimed, claimed.task.requeue(1, "x"))


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


USAGE = (
    b'{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"reasoning_tokens":null,'
    b'"cached_tokens":null,"estimated":true}'
)
CALL = ToolCall(0, "c", "n", "{}")
EVENTS: dict[bytes, Event] = {
    # Byte for byte what the version before writes, but for the fields of the usage.
    b'["s",1,"running",1,null]': StatusChanged(1, Status.RUNNING, 1),
    b'["c",1,"a"]': ContentAdded(1, "a"),
    b'["e",1,"a","stop","m",%b]' % USAGE: TaskEnded(
        1, Answer("a"), "stop", "m", Usage(1, 2, 3, estimated=True)
    ),
    b'["x",1,"It failed.","model_error",true]': TaskErrored(1, "It failed.", "model_error", True),
    # With a field that it does not read.
    b'["s",1,"pending",1,"rate_limited",9]': StatusChanged(
        1, Status.PENDING, 1, "rate_limited", next_attempt_at=9
    ),
    # What it refuses.
    b'["r",1,2]': StatusChanged(1, Status.RUNNING, 2, resumed=True),
    b'["n",1,"a",true,[{"k":1}]]': ContentAdded(1, "a", True, ({"k": 1},)),
    b'["g",1,"a"]': ReasoningAdded(1, "a"),
    b'["t",1,0,"{}","c","n"]': ToolCallAdded(1, 0, "{}", "c", "n"),
    b'["t",1,0,"{}",null,null]': ToolCallAdded(1, 0, "{}"),
    b'["w",1,{"text":"a","refusal":"","reasoning":"","tool_calls":[],"annotations":[],"items":[]},'
    b'"stop","m",null,false]': TaskEnded(1, Answer("a"), "stop", "m", None, False),
    b'["w",1,{"text":"a","refusal":"a","reasoning":"r","tool_calls":[{"index":0,"id":"c",'
    b'"name":"n","arguments":"{}"}],"annotations":[{"k":1}],"items":[]},'
    b'"stop","m",null,null]': TaskEnded(
        1, Answer("a", "a", "r", (CALL,), ({"k": 1},)), "stop", "m"
    ),
    b'["i",1,{"type":"t"}]': ItemAdded(1, {"type": "t"}),
    b'["j",1,{"text":"","refusal":"","reasoning":"","tool_calls":[],"annotations":[],"items":[{}]},'
    b'"stop","m",null,null]': TaskEnded(1, Answer(items=({},)), "stop", "m"),
}
OF_THE_VERSION_BEFORE: dict[bytes, Event] = {
    b'["s",1,"pending",1,"lease_lapsed"]': StatusChanged(1, Status.PENDING, 1, "lease_lapsed"),
    b'["e",1,"a","stop","m",{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,'
    b'"reasoning_tokens":null}]': TaskEnded(1, Answer("a"), "stop", "m", Usage(1, 2, 3)),
    b'["e",1,"a","cancelled","m",null]': TaskEnded(1, Answer("a"), "cancelled", "m", None),
    b'["w",1,{"text":"a","refusal":"","reasoning":"r","tool_calls":[],"annotations":[]},"stop","m",'
    b"null,null]": TaskEnded(1, Answer("a", reasoning="r"), "stop", "m"),
}


def test_the_events_of_the_version_before_are_read() -> None:
    for written, event in OF_THE_VERSION_BEFORE.items():
        assert decode_batch(b"1 - e 1 [%b]" % written).events == (event,)
        page = decode_page(b"1", b"1-e", 0, 1, [written])
        assert page.events == (event,)


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
        "title": "Hi.",
        "metadata": {},
        **dict.fromkeys(("owner", "origin", "started_at", "finished_at", "message_id", "model")),
        **dict.fromkeys(("finish_reason", "usage", "valid", "failure", "ttl", "retry_of")),
        **dict.fromkeys(("not_before", "deadline", "guard_id", "continuation")),
        "webhooks": [],
        "next_attempt_at": None,  # an instance that does not know it drops it, which harms nothing
        **dict.fromkeys(("uncounted", "interruptions"), 0),
    }
    for written, event in EVENTS.items():
        assert encode_event(event) == written
        assert decode_batch(b"1 - e 1 [%b]" % written).events == (event,)

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
