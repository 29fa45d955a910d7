"""ListTasks: a page of an owner's tasks."""

from application.ports import Entry, TaskIndex, TaskPage
from application.reap import FailOrphanedTasks
from domain.task_filter import TaskFilter


class ListTasks:
    def __init__(self, index: TaskIndex, fail_if_orphaned: FailOrphanedTasks) -> None:
        self._index = index
        self._fail_if_orphaned = fail_if_orphaned

    async def __call__(
        self, owner: str | None, wanted: TaskFilter, after: Entry | None, limit: int
    ) -> TaskPage:
        """Return at most `limit` of the owner's tasks that match, the newest first, of those behind
        `after` (None: of all). A page may have fewer, and even none, together with a `next`.
        Orphaned tasks are failed first. Raises StoreUnavailable."""
        page = await self._index.page(owner, wanted, after, limit)
        tasks = await self._fail_if_orphaned.each(page.tasks)
        return TaskPage([task for task in tasks if wanted.matches(task)], page.next)
