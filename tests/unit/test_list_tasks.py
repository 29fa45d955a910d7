"""ListTasks: orphaned tasks are failed before they are listed."""

from adapters.live import Hub
from adapters.memory import MemoryTaskLog
from application.list_tasks import ListTasks
from application.reap import FailOrphanedTasks
from domain.events import TaskStatus
from domain.task_filter import TaskFilter
from entrypoints.identity import SystemClock
from tests.builders import claim
from tests.contract.test_task_index import created
from tests.waiting import until

PENDING = TaskFilter(frozenset({TaskStatus.PENDING}))


async def test_orphaned_tasks_are_listed_as_failed() -> None:
    clock, tasks = SystemClock(), MemoryTaskLog(Hub(), 60.0, orphan_timeout=0.2)
    list_tasks = ListTasks(tasks.index, FailOrphanedTasks(tasks, clock, 0.2))
    orphan = await created(tasks, "me", clock.now())
    attempt = await claim(tasks, await created(tasks, "me", clock.now() + 1))
    assert [task.id for task in (await list_tasks("me", PENDING, None, 10)).tasks] == [orphan]
    page = await list_tasks("me", TaskFilter(), None, 1)
    assert [task.id for task in page.tasks] == [attempt.task.id]
    assert page.next is not None

    async def is_left_out() -> bool:
        return not (await list_tasks("me", PENDING, None, 10)).tasks

    await until(is_left_out)
    tasks_now = (await list_tasks("me", TaskFilter(), None, 10)).tasks
    assert [task.status.value for task in tasks_now] == ["running", "failed"]
