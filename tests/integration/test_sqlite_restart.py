"""A data file that is opened again: by the next process, or after an older copy was put in its
place. What ran goes on, and no reader keeps what the file does not have."""

from pathlib import Path

import pytest

from adapters.prometheus import MeasuredTaskLog, Metrics
from application.errors import LeaseLost
from application.ports import Busy
from domain.answer import Answer
from domain.attempt import Attempt
from domain.events import ContentAdded, StatusChanged, TaskErrored, TaskStatus, fold
from domain.position import START
from tests.builders import LEASE, NOW, begun, claim, follow_task, submit
from tests.contract.stores import events_of
from tests.doubles.readers import events_of as events_in
from tests.doubles.readers import read_to_end, started
from tests.integration.sqlite_bench import Opened, copied, opened


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "longtask.db"


async def _add(file: Opened, attempt: Attempt, *texts: str) -> Attempt:
    return await file.tasks.append(attempt, [ContentAdded(NOW, text) for text in texts], LEASE)


async def _complete(file: Opened, attempt: Attempt, text: str) -> None:
    done = attempt.task.complete(
        NOW, answer=Answer(text), finish_reason="stop", model="m", usage=None
    )
    await file.tasks.commit(attempt, done)


async def test_what_ran_waits_again_and_the_attempt_is_not_counted(path: Path) -> None:
    async with opened(path) as file:
        waiting = await submit(file.tasks)
        ended = await begun(file.tasks)
        await _complete(file, ended, "")
        attempt = await _add(file, await begun(file.tasks), "lost")
        task_id = attempt.task.id
        before = await file.tasks.read(task_id, 0, 100)
    async with opened(path) as file:
        task = await file.tasks.get(task_id)
        assert (task.status, task.attempt, task.counted_attempts) == (TaskStatus.PENDING, 1, 0)
        log = await file.tasks.read(task_id, 0, 100)
        assert log.events[:-1] == before.events
        last = log.events[-1]
        assert isinstance(last, StatusChanged)
        assert (last.status, last.reason) == (TaskStatus.PENDING, "restarted")
        for call in (
            file.tasks.append(attempt, [ContentAdded(NOW, "zombie")], LEASE),
            file.tasks.renew(attempt, LEASE),
            file.tasks.commit(attempt, attempt.task.requeue(NOW, "x")),
        ):
            with pytest.raises(LeaseLost):
                await call
        assert (await file.tasks.get(waiting)).attempt == 0
        assert (await file.tasks.get(ended.task.id)).status is TaskStatus.COMPLETED
        second = await _add(file, await claim(file.tasks, task_id), "whole")
        await _complete(file, second, "whole")
        seen = await read_to_end(follow_task(file.tasks, file.feed), task_id, before.end)
        assert events_in(seen) == (await events_of(file.tasks, task_id))[before.length :]
        assert fold(await events_of(file.tasks, task_id)).answer.text == "whole"


async def test_a_task_that_every_process_died_of_fails_in_the_end(path: Path) -> None:
    async with opened(path) as file:
        task_id = await submit(file.tasks)
    for _ in range(10):
        async with opened(path) as file:
            await claim(file.tasks, task_id)
    async with opened(path) as file:
        assert (await file.tasks.get(task_id)).status is TaskStatus.PENDING
        await claim(file.tasks, task_id)
    metrics = Metrics()
    async with opened(path, observe=lambda tasks: MeasuredTaskLog(tasks, metrics)) as file:
        last = (await events_of(file.tasks, task_id))[-1]
        assert isinstance(last, TaskErrored)
        assert last.code == "restarted_too_often"
    assert b'longtask_tasks_total{status="failed"} 1.0' in metrics.exposition()


async def test_an_older_copy_is_a_loss_that_readers_and_attempts_get_over(
    path: Path, tmp_path: Path
) -> None:
    async with opened(path) as file:
        task_id = await submit(file.tasks)
        first = await _add(file, await claim(file.tasks, task_id), "old")
    older = copied(path, tmp_path / "yesterday.db")
    positions = []
    async with opened(path) as file:
        second = await claim(file.tasks, task_id)
        for number in range(8):
            second = await _add(file, second, str(number))
            positions.append((await file.tasks.read(task_id, 0, 100)).end)
        await _complete(file, second, "01234567")
        positions.append((await file.tasks.read(task_id, 0, 100)).end)
    older.replace(path)
    async with opened(path) as file:
        assert (await file.tasks.get(task_id)).status is TaskStatus.PENDING
        for call in (_add(file, first, "zombie"), _add(file, second, "zombie")):
            with pytest.raises(LeaseLost):
                await call
        _, live = await started(follow_task(file.tasks, file.feed), task_id, positions[3])
        anew = await claim(file.tasks, task_id)
        assert anew.number == 2
        for number in range(12):
            anew = await _add(file, anew, f"new {number}")
        answer = "".join(f"new {number}" for number in range(12))
        await _complete(file, anew, answer)
        log = await events_of(file.tasks, task_id)
        assert fold(log).answer.text == answer
        follow = follow_task(file.tasks, file.feed)
        for position in (START, *positions):
            assert events_in(await read_to_end(follow, task_id, position)) == log
        await live.until_ended()
        begins = max(n for n, batch in enumerate(live.batches) if batch.first == 1)
        assert events_in(live.batches[begins:]) == log


async def test_a_lease_lives_as_long_as_the_process(path: Path) -> None:
    async with opened(path) as file:
        task_id = (await begun(file.tasks)).task.id
        assert isinstance(await file.tasks.claim(task_id, LEASE, NOW), Busy)
    async with opened(path) as file:
        assert (await claim(file.tasks, task_id)).number == 2
