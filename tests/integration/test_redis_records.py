"""Records and requests in Redis, as this version and the one before write them: each reads what the
other wrote, while both serve the same tasks."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.redis.keys import keys_of
from adapters.redis.record import SHARED_LIMIT
from adapters.redis.task_log import RedisTaskLog
from adapters.request_codec import VERSION, request_to_plain
from application.errors import UnreadableTask
from application.ports import Ended
from domain.answer import Answer
from domain.attempt import Attempt
from domain.events import ContentAdded, TaskStatus, Usage, fold
from domain.failure import Failure
from domain.request import TaskRequest
from domain.task import Task
from tests.builders import LEASE, NOW, REQUEST, begun, claim, submit, to_redis
from tests.integration.redis_index_bench import Counted
from tests.integration.redis_records import VERSIONS_BEFORE, Bench, OldRecord

FAILURE = Failure("model_error", "It failed.", True)
NEXT = VERSION + 1
WITH_OPTIONS = TaskRequest(model="m", prompt="Hi.", options={"seed": 1})


@pytest.fixture
async def bench(redis_url: str) -> AsyncIterator[Bench]:
    connection = to_redis(redis_url)
    yield Bench(connection, RedisTaskLog(connection, 60.0))
    await connection.aclose()


@pytest.fixture(params=VERSIONS_BEFORE)
async def old(request: pytest.FixtureRequest, bench: Bench) -> OldRecord:
    """A task that waits, as a version before wrote it."""
    return await OldRecord.written(bench, VERSIONS_BEFORE[request.param])


async def test_a_record_of_a_version_before_is_read(
    bench: Bench, old: OldRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also after the bounds have been lowered."""
    monkeypatch.setattr("domain.request.MAX_TOKENS_LIMIT", 1)
    task = await bench.tasks.get(old.id)
    assert task == Task.submit(old.id, old.request, 1, "alice", "192.0.2.7").task
    assert await bench.tasks.request(old.id) == old.request


async def test_it_is_claimed_and_completed(bench: Bench, old: OldRecord) -> None:
    attempt = await claim(bench.tasks, old.id)
    assert attempt.request == old.request
    attempt = await bench.tasks.append(attempt, [ContentAdded(1, "a")], LEASE)
    done = attempt.task.complete(
        2, answer=Answer("a"), finish_reason="stop", model="m", usage=Usage(1, 2, 3)
    )
    await bench.tasks.commit(attempt, done)
    assert await bench.tasks.get(old.id) == done.task
    assert await bench.tasks.request(old.id) == old.request
    assert isinstance(await bench.tasks.claim(old.id, LEASE, 3), Ended)


async def test_it_is_cancelled(bench: Bench, old: OldRecord) -> None:
    assert (await bench.tasks.cancel(old.id, 2)).status is TaskStatus.CANCELLED
    assert await bench.tasks.request(old.id) == old.request
    assert fold((await bench.tasks.read(old.id, 0, 10)).events).closed


async def test_it_fails(bench: Bench, old: OldRecord) -> None:
    assert await bench.tasks.fail_unqueued(old.id, FAILURE, 2) is not None
    assert (await bench.tasks.get(old.id)).failure == FAILURE
    assert await bench.tasks.request(old.id) == old.request


async def test_what_this_version_then_writes_is_read_by_the_version_before(
    bench: Bench, old: OldRecord
) -> None:
    await claim(bench.tasks, old.id)
    record = json.loads(await bench.field(old.id, "task"))
    assert record["status"] == "running"
    assert record["request"] == request_to_plain(old.request)


async def test_a_plain_task_is_written_for_the_version_before_too(bench: Bench) -> None:
    """With every field that it needs. It may do without `requested_model`, `ttl`, `not_before`,
    `deadline`, `guard_id`, `webhooks`, `title`, `metadata`, `valid`, `uncounted`,
    `interruptions`, `continuation` and `next_attempt_at`."""
    task_id = await submit(bench.tasks)
    written = (
        '{"id":"ID","requested_model":"m","status":"pending","attempt":0,"created_at":NOW,'
        '"updated_at":NOW,"owner":null,"origin":null,"ttl":null,"not_before":null,'
        '"deadline":null,"guard_id":null,"webhooks":[],"retry_of":null,"title":"Hi.","metadata":{},"started_at":null,'
        '"finished_at":null,"next_attempt_at":null,"message_id":null,"model":null,"finish_reason":null,"usage":null,"valid":null,'
        '"failure":null,"uncounted":0,"interruptions":0,"continuation":null,"request":{"v":1,"model":"m","max_tokens":10,"temperature":0.5,'
        '"prompt":"Hi."}}'
    )
    written = written.replace("ID", task_id).replace("NOW", str(NOW))
    assert (await bench.field(task_id, "task")).decode() == written
    await claim(bench.tasks, task_id)
    running = {"status": "running", "attempt": 1, "started_at": NOW}
    assert json.loads(await bench.field(task_id, "task")) == json.loads(written) | running


@pytest.mark.parametrize(
    "request_",
    [WITH_OPTIONS, TaskRequest(model="m", prompt="x" * SHARED_LIMIT)],
    ids=["with options", "long"],
)
async def test_any_other_task_is_one_that_the_version_before_refuses(
    bench: Bench, request_: TaskRequest
) -> None:
    """It looks for `request` in `task`, and does not find it."""
    task_id = await submit(bench.tasks, request_)
    attempt = await claim(bench.tasks, task_id)
    assert attempt.request == request_
    await bench.tasks.commit(attempt, attempt.task.requeue(2, "x"))
    assert await bench.field(task_id, "task") == b"{}"


async def test_what_the_version_before_writes_meanwhile_is_read(bench: Bench) -> None:
    task_id = await submit(bench.tasks)
    old = OldRecord(bench, task_id, REQUEST)
    await old.write(status="running", attempt=1, started_at=5)
    task = await bench.tasks.get(task_id)
    assert (task.status, task.attempt, task.started_at) == (TaskStatus.RUNNING, 1, 5)
    # Its lease has lapsed.
    attempt = await claim(bench.tasks, task_id)
    assert (attempt.number, attempt.request) == (2, REQUEST)
    await old.write(status="pending", attempt=2, writer=0)
    assert (await bench.tasks.get(task_id)).status is TaskStatus.PENDING
    assert (await bench.tasks.cancel(task_id, 9)).status is TaskStatus.CANCELLED
    assert json.loads(await bench.field(task_id, "task"))["status"] == "cancelled"


async def test_a_task_that_the_version_before_completed_is_read(bench: Bench) -> None:
    task_id = await submit(bench.tasks)
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3, "reasoning_tokens": 2}
    old = OldRecord(bench, task_id, REQUEST)
    await old.write(status="completed", attempt=1, usage=usage, finished_at=7, model="m-1")
    task = await bench.tasks.get(task_id)
    assert (task.usage, task.finished_at, task.model) == (Usage(1, 2, 3, 2), 7, "m-1")
    assert isinstance(await bench.tasks.claim(task_id, LEASE, 9), Ended)


@pytest.mark.parametrize("size", [10, 2_000_000])
async def test_the_record_that_changes_does_not_hold_the_request(bench: Bench, size: int) -> None:
    request = TaskRequest(model="m", prompt="x" * size, options={"seed": 1})
    attempt = await claim(bench.tasks, await submit(bench.tasks, request))
    names = await bench.connection.call("HKEYS", keys_of(attempt.task.id).record)
    lengths = {name: len(await bench.field(attempt.task.id, name.decode())) for name in names}
    assert size < lengths.pop(b"request") < size + 100
    assert sum(lengths.values()) < 1_000
    assert attempt.request == request


async def test_a_claim_reads_the_request_in_the_step_that_claims(bench: Bench) -> None:
    await begun(bench.tasks)  # the server knows the scripts
    task_id = await submit(bench.tasks, WITH_OPTIONS)
    counting = Counted(bench.connection)
    attempt = await RedisTaskLog(counting, 60.0).claim(task_id, LEASE, NOW)
    assert isinstance(attempt, Attempt)
    assert attempt.request == WITH_OPTIONS
    assert counting.commands == ["HMGET", "EVALSHA"]


async def test_a_task_whose_request_has_the_next_version_is_not_claimed(bench: Bench) -> None:
    """Its attempts are left to instances that can run it."""
    task_id = await submit(bench.tasks, WITH_OPTIONS)
    await bench.set_field(task_id, "request", f'{{"v":{NEXT},"model":"m","prompt":["Hi."]}}')
    await bench.set_field(task_id, "request_v", str(NEXT))
    before = await bench.connection.call("HGETALL", keys_of(task_id).record)
    for call in (bench.tasks.claim(task_id, LEASE, 1), bench.tasks.request(task_id)):
        with pytest.raises(UnreadableTask, match=task_id):
            await call
    assert await bench.connection.call("HGETALL", keys_of(task_id).record) == before
    assert (await bench.tasks.get(task_id)).status is TaskStatus.PENDING


@pytest.mark.parametrize(
    "change",
    [
        {"request": {"v": 5, "prompt": ["Hi."]}},
        {"request": {"v": 1, "model": "m", "max_tokens": "0", "temperature": 0.5, "prompt": "."}},
        {"request": None},
        {"status": "paused"},
        {"attempt": None},
    ],
)
async def test_an_older_record_that_cannot_be_read_is_refused(
    bench: Bench, change: dict[str, Any]
) -> None:
    old = await OldRecord.written(bench, VERSIONS_BEFORE["requests of version 1"])
    await old.write(**change)
    await bench.refuses(old.id)
