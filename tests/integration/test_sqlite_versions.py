"""What another version of the service wrote into the data file: refused for its own task, which
stays as it is, with nothing else harmed."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from application.errors import UnknownTask, Unreadable, UnreadableEvent, UnreadableTask
from domain.attempt import Attempt
from domain.continuation import Opening
from domain.events import ContentAdded, TaskStatus
from domain.failure import Failure
from domain.task import Task
from tests.builders import LEASE, NOW, REQUEST, begun, submit
from tests.integration.sqlite_bench import Opened, opened

FAILURE = Failure("model_error", "It failed.", True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "longtask.db"


@pytest.fixture
async def file(path: Path) -> AsyncIterator[Opened]:
    async with opened(path) as file:
        yield file


async def _refuses(file: Opened, task_id: str) -> None:
    tasks = file.tasks
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


async def test_a_record_of_the_next_version_is_left_to_it(path: Path) -> None:
    statement = "SELECT * FROM tasks WHERE id = ?"
    async with opened(path) as file:
        task_id, other = (await begun(file.tasks)).task.id, (await begun(file.tasks)).task.id
        await file.change(
            "UPDATE tasks SET v = 3, state = ? WHERE id = ?", b'{"another":"shape"}', task_id
        )
        before = await file.rows(statement, task_id)
    async with opened(path) as file:  # which requeues what it can read
        await _refuses(file, task_id)
        with pytest.raises(UnreadableEvent):
            await file.tasks.read(task_id, 0, 10)
        assert await file.rows(statement, task_id) == before
        assert (await file.tasks.get(other)).status is TaskStatus.PENDING
        await file.tasks.delete(task_id)
        with pytest.raises(UnknownTask):
            await file.tasks.get(task_id)


@pytest.mark.parametrize(
    "change", [{"created_at": None}, {"owner": 7}, {"status": "paused"}, {"usage": "many"}]
)
async def test_a_record_that_cannot_be_read_is_refused(
    file: Opened, change: dict[str, Any]
) -> None:
    task_id = (await begun(file.tasks)).task.id
    ((state,),) = await file.rows("SELECT state FROM tasks")
    await file.change("UPDATE tasks SET state = ?", json.dumps({**json.loads(state), **change}))
    await _refuses(file, task_id)


async def test_a_record_with_a_continuation_is_of_version_2(file: Opened) -> None:
    task_id = await submit(file.tasks)
    opening = Opening(keeper="upstream_1")
    attempt = await file.tasks.claim(task_id, LEASE, NOW, lambda _: opening)
    assert isinstance(attempt, Attempt)
    assert await file.rows("SELECT v FROM tasks") == [(2,)]
    assert (await file.tasks.read(task_id, 0, 10)).length == 2
    done = replace(attempt.task, continuation=None).requeue(NOW, "model_error")
    await file.tasks.commit(attempt, done)
    assert await file.rows("SELECT v FROM tasks") == [(1,)]


async def test_a_request_of_the_next_version_is_not_run(file: Opened) -> None:
    task_id = await submit(file.tasks)
    await file.change("UPDATE requests SET v = v + 100, request = ?", b'{"v":100,"model":"m"}')
    assert (await file.tasks.get(task_id)).status is TaskStatus.PENDING
    for call in (file.tasks.request(task_id), file.tasks.claim(task_id, LEASE, NOW)):
        with pytest.raises(UnreadableTask):
            await call
    assert (await file.tasks.get(task_id)).attempt == 0


async def test_an_event_of_an_unknown_kind_ends_the_reading_there(file: Opened) -> None:
    """And a cancel that would have to read it leaves the attempt the right to write."""
    attempt = await begun(file.tasks)
    task_id = attempt.task.id
    for text in "ab":
        attempt = await file.tasks.append(attempt, [ContentAdded(NOW, text)], LEASE)
    await file.change("UPDATE batches SET events = ? WHERE key & 255 = 4", b'["z",1,"?"]')
    assert len((await file.tasks.read(task_id, 0, 3)).events) == 3
    for after in (0, 3):
        with pytest.raises(UnreadableEvent) as refused:
            await file.tasks.read(task_id, after, 10)
        assert "?" not in str(refused.value), "an answer is in no message"
    with pytest.raises(Unreadable):
        await file.tasks.cancel(task_id, NOW)
    await file.tasks.append(attempt, [ContentAdded(NOW, "c")], LEASE)
    assert (await file.tasks.get(task_id)).status is TaskStatus.RUNNING


async def test_what_is_written_is_version_1(file: Opened) -> None:
    """Who changes what is written fails here, and has to ask: would an instance of the version
    before misread it? Then VERSION grows, or the tables are migrated."""
    attempt = await begun(file.tasks)
    events = [ContentAdded(1, "a"), ContentAdded(2, "é")]
    attempt = await file.tasks.append(attempt, events, LEASE)
    await file.tasks.note_message(attempt.task.id, "msg_1")
    task = attempt.task
    ((row, *fields, epochs, expires, owner, created, ended),) = await file.rows(
        "SELECT * FROM tasks"
    )
    record = json.loads(fields.pop(4))
    assert fields == [task.id, 1, "running", 1, "msg_1"]
    assert (record["id"], record["status"], record["attempt"]) == (task.id, "running", 1)
    page = await file.tasks.read(task.id, 0, 10)
    assert epochs == " ".join(f"{each.first}-{each.end.epoch}" for each in page.batches)
    assert (expires, owner, created, ended) == (None, None, NOW, None)
    assert await file.rows("SELECT key, count, size, events FROM batches ORDER BY key") == [
        (row << 28 | 1, 1, 36, b'["s",%d,"pending",0,null]' % NOW),
        (row << 28 | 2, 1, 36, b'["s",%d,"running",1,null]' % NOW),
        (row << 28 | 3, 2, 24, '["c",1,"a"],["c",2,"é"]'.encode()),
    ]
    ((request_row, version, request),) = await file.rows("SELECT * FROM requests")
    assert (request_row, version) == (row, 1)
    assert json.loads(request) == {
        "v": 1,
        "model": "m",
        "prompt": "Hi.",
        "max_tokens": 10,
        "temperature": 0.5,
    }
