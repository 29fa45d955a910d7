"""Keeps the indexes of owners' tasks up to date. Each owner's lies in a slot of its own, so it is
written apart from the records, in an order in which a crash loses nothing (task_index.py)."""

import structlog

from adapters.redis.connection import Connection, Word
from adapters.redis.index_entry import beginning_of, entry_of
from adapters.redis.keys import owner_keys
from adapters.redis.script import Script
from application.errors import StoreUnavailable
from domain.task import Task

log = structlog.get_logger(__name__)


class IndexWriter:
    def __init__(self, connection: Connection, ttl: int = 0) -> None:
        """`ttl`: milliseconds for which records are kept after their last change, if it is to tell
        of those."""
        self._ttl = ttl
        self._add = Script(connection, "index_add", behind="index")
        self._end = Script(connection, "index_end", behind="index")
        self._remove = Script(connection, "index_remove", behind="index")

    async def add(self, task: Task) -> None:
        """Put a task that is about to be created. Raises StoreUnavailable."""
        await self._put(task, created_anew=True)

    async def touch(self, task: Task) -> None:
        """Let the entry of an unfinished task expire later, and put it if it is missing. If that
        fails, it is done at the end of the task, or a quarter of the time to live later."""
        try:
            await self._put(task, created_anew=False)
        except StoreUnavailable as error:
            log.warning("task not put into the list", task_id=task.id, error=str(error))

    async def note_end(self, task: Task) -> None:
        """Note that a task has ended. If that fails, the task still counts as unfinished here,
        and readers of the index read its record."""
        try:
            own = self._ttl if task.ttl is None else round(task.ttl * 1000)
            await self.end(task, min(own, self._ttl))
        except StoreUnavailable as error:
            log.warning("end of the task not noted", task_id=task.id, error=str(error))

    async def end(self, task: Task, ttl: int, cursor: int | None = None) -> None:
        """Note that a task has ended, which is kept for `ttl` milliseconds more. `cursor`: the one
        that it has in the store that it comes from. Raises StoreUnavailable."""
        keys = owner_keys(task.owner)
        entry, given = entry_of(task, ended=True), "" if cursor is None else cursor
        words: list[Word] = [task.id, entry, ttl, given, keys.channel]
        await self._end(keys.index, words)

    async def remove(self, task: Task) -> None:
        """Remove a task, if the index has it as created at this time. If that fails, its entry
        points to nothing, until it expires."""
        try:
            keys = owner_keys(task.owner)
            await self._remove(keys.index, [task.id, beginning_of(task), keys.channel])
        except StoreUnavailable as error:
            log.warning("task not removed from the list", task_id=task.id, error=str(error))

    async def put_instead(self, task: Task, added: Task) -> None:
        """Put a task which kept the one that was added from being created."""
        if (task.owner, task.created_at) != (added.owner, added.created_at):
            await self.remove(added)
        if task.status.terminal:
            await self.note_end(task)
        else:
            await self.touch(task)

    async def _put(self, task: Task, *, created_anew: bool) -> None:
        # Twice the time for which its record lives on after a change: the entry must not go first,
        # and is put off only now and then (commit.lua, renew.lua).
        entry, not_before = entry_of(task, ended=False), task.not_before or 0
        words: list[Word] = [task.id, entry, 2 * self._ttl, int(created_anew), not_before]
        await self._add(owner_keys(task.owner).index, words)
