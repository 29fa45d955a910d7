"""TaskIndex on Redis: the tasks of each owner, in sorted sets in one slot of a Cluster (keys.py).

Records lie in slots of their own, so no step writes both. A task is put here before its record is
created, and noted as ended after its end was written. So a crash in between leaves

- an entry without a record, which nothing returns and which expires, or
- a task that has ended among the unfinished ones. Of those every reader reads the records.

An entry rules out tasks that do not match; records decide on the others.
"""

import asyncio
from collections.abc import Sequence

from adapters.redis.connection import Connection
from adapters.redis.index_entry import Sieve, is_noted, member_of, members_between, read_member
from adapters.redis.index_writer import IndexWriter
from adapters.redis.keys import OwnerKeys, owner_keys
from adapters.redis.records import Records
from adapters.redis.script import Script
from application.ports import EXAMINED, EndedEntry, Entry, TaskIndex, TaskPage
from domain.task import Task
from domain.task_filter import TaskFilter

FIRST_ENTRIES = 200
"""Entries that are read first where some may be ruled out, before as many as may be examined."""


class RedisTaskIndex(TaskIndex):
    def __init__(self, connection: Connection, ttl: float) -> None:
        """`ttl`: that of the task log."""
        self._call = connection.call
        self._records = Records(connection)
        self._writer = IndexWriter(connection, round(ttl * 1000))
        self._entries = Script(connection, "index_page", long=True)
        self._ended = Script(connection, "index_ended", long=True)

    async def page(
        self, owner: str | None, wanted: TaskFilter, after: Entry | None, limit: int
    ) -> TaskPage:
        # Where nothing is ruled out, a page needs as many entries as it has tasks. Only if some of
        # them are gone it needs more.
        keys, sieve, tasks = owner_keys(owner), Sieve(wanted), list[Task]()
        left, count = EXAMINED, FIRST_ENTRIES if sieve.selects else limit
        while True:
            found = await self._read(keys, wanted, after, count + 1)
            examined, more = found[:count], len(found) > count
            candidates = [each for each in examined if sieve.may_match(each[1])]
            at_once = limit
            while candidates:
                some, candidates = candidates[:at_once], candidates[at_once:]
                for entry, task in await self._matching(owner, wanted, some):
                    tasks.append(task)
                    if len(tasks) == limit:
                        behind = more or entry != examined[-1][0]
                        return TaskPage(tasks, entry if behind else None)
                at_once = FIRST_ENTRIES
            left -= len(examined)
            if not more:
                return TaskPage(tasks, None)
            after = examined[-1][0]
            if not left:
                return TaskPage(tasks, after)
            count = left if sieve.selects else min(left, FIRST_ENTRIES)

    async def records(self, task_ids: Sequence[str]) -> Sequence[Task]:
        return await self._records.all_of(task_ids)

    async def unfinished(
        self, owner: str | None, after: Entry | None, limit: int
    ) -> Sequence[Entry]:
        highest = "+" if after is None else f"({member_of(after)}"
        words = (highest, "-", "BYLEX", "REV", "LIMIT", 0, limit)
        members = await self._call("ZRANGE", owner_keys(owner).unfinished, *words)
        return [read_member(member) for member in members]

    async def ended(self, owner: str | None, since: int, limit: int) -> Sequence[EndedEntry]:
        found = await self._ended([owner_keys(owner).ended], [since, limit])
        return [
            EndedEntry(int(float(cursor)), task_id.decode())
            for task_id, cursor in zip(found[::2], found[1::2], strict=True)
        ]

    async def _read(
        self, keys: OwnerKeys, wanted: TaskFilter, after: Entry | None, count: int
    ) -> list[tuple[Entry, bytes]]:
        """Return entries behind `after`, the newest first, b"" for those that have expired."""
        walked = keys.unfinished if wanted.unfinished_only else keys.created
        names = [walked, keys.entries, keys.expiries]
        members, entries = await self._entries(names, [*members_between(wanted, after), count])
        return list(zip(map(read_member, members), entries, strict=True))

    async def _matching(
        self, owner: str | None, wanted: TaskFilter, entries: Sequence[tuple[Entry, bytes]]
    ) -> list[tuple[Entry, Task]]:
        """Read the records of these entries, and return those that match."""
        by_id = {entry.task_id: (entry, value) for entry, value in entries}
        # A task of another owner is there if this one has asked for its id.
        tasks = [each for each in await self._records.all_of([*by_id]) if each.owner == owner]
        # Their ends were written, and then the process died.
        unnoted = [e for e in tasks if e.status.terminal and not is_noted(by_id[e.id][1])]
        await asyncio.gather(*map(self._writer.note_end, unnoted))
        return [(by_id[each.id][0], each) for each in tasks if wanted.matches(each)]
