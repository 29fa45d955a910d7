"""Where the numbers of the file end, what is new is refused and nothing else is harmed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.sqlite.schema import OFFSETS
from application.errors import StoreUnavailable
from domain.events import ContentAdded
from tests.builders import LEASE, NOW, claim, submit
from tests.contract.stores import events_of
from tests.integration.sqlite_bench import Opened, opened

LAST_ROW = (1 << 35) - 1


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[Opened]:
    async with opened(tmp_path / "longtask.db", pause=None) as file:
        yield file


async def test_no_task_is_created_behind_the_last_row(file: Opened) -> None:
    await submit(file.tasks)
    await file.change("UPDATE tasks SET task = ?", LAST_ROW)
    await file.change("UPDATE batches SET key = ?", LAST_ROW << 28 | 1)
    with pytest.raises(StoreUnavailable, match="data file"):
        await submit(file.tasks)
    ((task_id,),) = await file.rows("SELECT id FROM tasks")
    assert len(await events_of(file.tasks, task_id)) == 1


async def test_a_log_does_not_run_into_the_next_one(file: Opened) -> None:
    full, neighbour = await submit(file.tasks), await submit(file.tasks)
    await file.change("UPDATE batches SET key = key + ? WHERE key >> 28 = 1", OFFSETS - 2)
    attempt = await claim(file.tasks, full)
    assert attempt.logged == OFFSETS
    with pytest.raises(StoreUnavailable):
        await file.tasks.append(attempt, [ContentAdded(NOW, "a")], LEASE)
    for after in (OFFSETS, OFFSETS + 1, OFFSETS + 2, 2 * OFFSETS, 1 << 40):
        page = await file.tasks.read(full, after, 10)
        assert (page.length, page.events) == (OFFSETS, ())
    assert len((await file.tasks.read(full, OFFSETS - 1, 10)).events) == 1
    assert len(await events_of(file.tasks, neighbour)) == 1
