"""TaskIndex in the memory of one process: sorted lists per owner, kept by the store in memory."""

import time
from bisect import bisect_left, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from application.ports import EXAMINED, EndedEntry, Entry, TaskIndex, TaskPage
from domain.task import Task
from domain.task_filter import TaskFilter

Key = tuple[int, str]
"""When a task was created, or the cursor of one that has ended, and its id."""


@dataclass(slots=True)
class _Owned:
    """The tasks of one owner. The lists are in ascending order."""

    created: list[Key] = field(default_factory=list)
    unfinished: list[Key] = field(default_factory=list)
    ended: list[Key] = field(default_factory=list)


@dataclass(slots=True)
class _Listed:
    owner: str | None
    created: Key
    ended: Key | None = None


class MemoryTaskIndex(TaskIndex):
    def __init__(self, find: Callable[[str], Task | None]) -> None:
        """`find`: returns the record of a task, or None if it is gone."""
        self._find = find
        self._owners: dict[str | None, _Owned] = {}
        self._listed: dict[str, _Listed] = {}
        self._last_cursor = 0

    def add(self, task: Task) -> None:
        """Add a new task."""
        self.remove(task.id)
        listed = self._listed[task.id] = _Listed(task.owner, (task.created_at, task.id))
        owned = self._owners.setdefault(task.owner, _Owned())
        insort(owned.created, listed.created)
        insort(owned.unfinished, listed.created)

    def note_end(self, task_id: str) -> None:
        """Note that a task has ended."""
        listed = self._listed[task_id]
        owned = self._owners[listed.owner]
        self._last_cursor = max(self._last_cursor + 1, round(time.time() * 1000))
        listed.ended = self._last_cursor, task_id
        _discard(owned.unfinished, listed.created)
        owned.ended.append(listed.ended)

    def remove(self, task_id: str) -> None:
        """Remove a task if it is there."""
        if (listed := self._listed.pop(task_id, None)) is None:
            return
        owned = self._owners[listed.owner]
        _discard(owned.created, listed.created)
        if listed.ended is None:
            _discard(owned.unfinished, listed.created)
        else:
            _discard(owned.ended, listed.ended)
        if not owned.created:
            del self._owners[listed.owner]

    async def page(
        self, owner: str | None, wanted: TaskFilter, after: Entry | None, limit: int
    ) -> TaskPage:
        owned = self._owners.get(owner, _Owned())
        entries = owned.unfinished if wanted.unfinished_only else owned.created
        first, end = 0, _before(entries, after)
        if wanted.created_after is not None:
            first = bisect_left(entries, (wanted.created_after + 1, ""))
        if wanted.created_before is not None:
            end = min(end, bisect_left(entries, (wanted.created_before, "")))
        tasks: list[Task] = []
        place = end
        while place > max(first, end - EXAMINED) and len(tasks) < limit:
            place -= 1
            task = self._find(entries[place][1])
            if task is not None and wanted.matches(task):
                tasks.append(task)
        return TaskPage(tasks, Entry(*entries[place]) if first < place < end else None)

    async def records(self, task_ids: Sequence[str]) -> Sequence[Task]:
        return [task for task in map(self._find, task_ids) if task is not None]

    async def unfinished(
        self, owner: str | None, after: Entry | None, limit: int
    ) -> Sequence[Entry]:
        entries = self._owners.get(owner, _Owned()).unfinished
        end = _before(entries, after)
        return [Entry(*entries[place]) for place in range(end - 1, max(end - limit, 0) - 1, -1)]

    async def ended(self, owner: str | None, since: int, limit: int) -> Sequence[EndedEntry]:
        entries = self._owners.get(owner, _Owned()).ended
        first = bisect_left(entries, (since + 1, ""))
        return [EndedEntry(*each) for each in entries[first : first + limit]]


def _before(entries: Sequence[Key], after: Entry | None) -> int:
    """Return how many entries come behind `after` in the order from the newest to the oldest."""
    if after is None:
        return len(entries)
    return bisect_left(entries, (after.created_at, after.task_id))


def _discard(entries: list[Key], key: Key) -> None:
    del entries[bisect_left(entries, key)]
