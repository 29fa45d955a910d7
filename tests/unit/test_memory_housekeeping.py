"""What has expired leaves the memory of a process in which no task is started any more."""

import gc

from adapters.live import Hub
from adapters.memory import MemoryHousekeeping, MemoryTaskLog
from adapters.memory.entry import Entry
from domain.failure import Failure
from tests.builders import NOW, REQUEST, submit
from tests.waiting import until


async def test_expired_tasks_are_dropped_though_nothing_is_asked_for() -> None:
    elapsed = 0.0
    tasks = MemoryTaskLog(Hub(), 60.0, elapsed=lambda: elapsed)
    ended = await submit(tasks, REQUEST)
    await tasks.fail(ended, Failure("model_error", "no", retryable=True), NOW)
    assert in_memory(ended)
    async with MemoryHousekeeping(tasks, pause=0.01).running():
        elapsed = 59.0
        later = await submit(tasks, REQUEST)
        elapsed = 61.0
        await until(lambda: not in_memory(ended))
        assert in_memory(later)


def in_memory(task_id: str) -> bool:
    entries = (each for each in gc.get_objects() if isinstance(each, Entry))
    return any(each.task.id == task_id for each in entries)
