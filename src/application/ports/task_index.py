"""The ports of what spans tasks: the index of each owner's tasks, and the notices of their changes.

An index is no second record of a task: what it returns was read from the records. Where it lies
apart from them (in a Cluster), it may name a task that is gone, and it never lacks one that is
there: a task is added before it is created.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.task import Task
from domain.task_filter import TaskFilter

EXAMINED = 1_000
"""Entries of the index that one page examines at most."""


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """A task in the index. Entries are in the order in which the tasks were created; those of one
    millisecond, in that of their ids."""

    created_at: int
    task_id: str


@dataclass(frozen=True, slots=True)
class EndedEntry:
    """A task that has ended."""

    cursor: int
    """Its place among all tasks that have ended, by when the index noted it: in ms since 1970 by
    the store's own clock, or more where several ended in one ms. No two tasks of an owner have the
    same."""
    task_id: str


@dataclass(frozen=True, slots=True)
class TaskPage:
    tasks: Sequence[Task]
    """The newest first."""
    next: Entry | None
    """The last entry that was examined, if there are more behind it."""


class TaskIndex(Protocol):
    """The tasks of each owner (None: the one owner of a service without API keys). Every method may
    raise StoreUnavailable. A task that another version of this service wrote is left out."""

    async def page(
        self, owner: str | None, wanted: TaskFilter, after: Entry | None, limit: int
    ) -> TaskPage:
        """Return at most `limit` tasks that match, the newest first, of those behind `after` (None:
        of all), examining at most EXAMINED entries. So a page may have fewer, and even none,
        together with a `next`."""
        ...

    async def records(self, task_ids: Sequence[str]) -> Sequence[Task]:
        """Return the records of these tasks, in this order, without those that are gone."""
        ...

    async def unfinished(
        self, owner: str | None, after: Entry | None, limit: int
    ) -> Sequence[Entry]:
        """Return at most `limit` tasks of which the index has not noted that they ended, the newest
        first, of those behind `after`. Some may have ended, or may be gone."""
        ...

    async def ended(self, owner: str | None, since: int, limit: int) -> Sequence[EndedEntry]:
        """Return at most `limit` tasks that have ended, in the order of their cursors, of those
        whose cursor is greater than `since`; fewer only if there are no more. A task that is
        missing both here and in an `unfinished` that was read before has a cursor of at most
        `since`, or is gone."""
        ...


class Watcher(Protocol):
    """A subscriber to the changes of an owner's tasks. Its methods are called in the event loop and
    must not block."""

    __slots__ = ()

    def changed(self, task_id: str) -> None:
        """Called when a task was created, has another status or attempt, or was deleted, at least
        once."""
        ...

    def missed(self) -> None:
        """Called when tasks may have changed of which `changed` is not called: read the index."""
        ...

    def closed(self) -> None:
        """Called when nothing more is told: this process stops."""
        ...


class ChangeFeed(Protocol):
    """Tells of changes, in the same step that writes them: once `watch` has returned, `changed` is
    called after each change of a task of the owner, or `missed` is."""

    async def watch(self, owner: str | None, watcher: Watcher) -> None:
        """Return once the watcher is told of every change from now on. A feed that is closed calls
        `closed` at once. Raises StoreUnavailable, and then the watcher is told nothing."""
        ...

    def unwatch(self, owner: str | None, watcher: Watcher) -> None:
        """Tell the watcher nothing more. Safe to call twice."""
        ...
