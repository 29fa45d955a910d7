"""TaskIndex in the file: indexes of the table of tasks, which are written with its rows.

sqlite3 gives up the GIL at every row, and gets it back late while the event loop is busy. So SQLite
joins the rows of a page as one JSON array.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec

from adapters.database import Database
from adapters.record_codec import decode_task, encode_json
from adapters.sqlite.errors import translated_errors
from adapters.sqlite.records import Records
from adapters.sqlite.stored import Connection
from application.errors import UnreadableTask
from application.ports import EXAMINED, EndedEntry, Entry, TaskIndex, TaskPage
from domain.events import TaskStatus
from domain.task import Task
from domain.task_filter import TaskFilter

T = TypeVar("T")

CHUNK = 200
"""Tasks that are read at once to be matched with a filter of what is in their records."""
_BEHIND_ALL = Entry(1 << 62, "")

_LISTED = """
FROM tasks INDEXED BY tasks_listed
WHERE owner IS ? AND id IS NOT NULL AND created > ? AND (created, id) < (?, ?)
"""
_UNFINISHED = """
FROM tasks INDEXED BY tasks_unfinished_of
WHERE owner IS ? AND expires IS NULL AND created > ? AND (created, id) < (?, ?)
"""
_NEWEST_FIRST = "ORDER BY created DESC, id DESC"
_RECORD = "json_array(id, v, message, expires, created, hex(state))"
"""A state need not be a text: another version may have written it."""
_RECORDS = f"""
SELECT json_group_array({_RECORD}) FROM (
    SELECT tasks.* FROM json_each(?) AS wanted CROSS JOIN tasks ON tasks.id = wanted.value
    ORDER BY wanted.key
)
"""  # noqa: S608
_ENDED = """
SELECT json_group_array(json_array(ended, id)) FROM (
    SELECT ended, id FROM tasks INDEXED BY tasks_ended_of
    WHERE owner IS ? AND ended > ? ORDER BY ended LIMIT ?
)
"""


class _Row(msgspec.Struct, array_like=True):
    id: str
    version: int
    message: str | None
    expires: int | None
    created: int
    state: str


_rows = msgspec.json.Decoder(list[_Row]).decode
_pairs = msgspec.json.Decoder(list[tuple[int, str]]).decode


class SqliteTaskIndex(TaskIndex):
    def __init__(self, database: Database, records: Records) -> None:
        self._database = database
        self._records = records

    async def page(
        self, owner: str | None, wanted: TaskFilter, after: Entry | None, limit: int
    ) -> TaskPage:
        begin = after or _BEHIND_ALL
        if wanted.created_before is not None:
            begin = min(begin, Entry(wanted.created_before, ""))
        entries = _UNFINISHED if wanted.unfinished_only else _LISTED
        oldest = -1 if wanted.created_after is None else wanted.created_after

        def work(connection: Connection) -> TaskPage:
            walk = _Walk(connection, entries, owner, oldest)
            last = walk.entry(begin, EXAMINED - 1) or Entry(oldest, "")
            tasks: list[Task] = []
            at = begin
            size = CHUNK if wanted.model is not None or wanted.metadata else limit
            while True:
                rows = walk.rows(at, last, wanted, size)
                for row in rows:
                    at = Entry(row.created, row.id)
                    task = self._task(row)
                    if task is not None and wanted.matches(task):
                        tasks.append(task)
                    if len(tasks) == limit:
                        return TaskPage(tasks, at if walk.entry(at, 0) else None)
                if len(rows) < size:
                    return TaskPage(tasks, last if walk.entry(last, 0) else None)

        return await self._read(work)

    async def records(self, task_ids: Sequence[str]) -> Sequence[Task]:
        def work(connection: Connection) -> list[Task]:
            wanted = encode_json(task_ids).decode()
            rows = _rows(connection.execute(_RECORDS, (wanted,)).fetchone()[0])
            return [task for task in map(self._task, rows) if task is not None]

        return await self._read(work)

    async def unfinished(
        self, owner: str | None, after: Entry | None, limit: int
    ) -> Sequence[Entry]:
        begin = after or _BEHIND_ALL
        return await self._read(
            lambda connection: _Walk(connection, _UNFINISHED, owner, -1).entries(begin, limit)
        )

    async def ended(self, owner: str | None, since: int, limit: int) -> Sequence[EndedEntry]:
        def work(connection: Connection) -> list[EndedEntry]:
            found = connection.execute(_ENDED, (owner, since, limit)).fetchone()[0]
            return [EndedEntry(*each) for each in _pairs(found)]

        return await self._read(work)

    def _task(self, row: _Row) -> Task | None:
        """Return the record, or None if it has expired or cannot be read."""
        if self._records.is_over(row.id, row.expires):
            return None
        try:
            return decode_task(row.id, row.version, bytes.fromhex(row.state), row.message)
        except UnreadableTask:
            return None

    async def _read(self, work: Callable[[Connection], T]) -> T:
        with translated_errors():
            return await self._database.read(work)


@dataclass(frozen=True, slots=True)
class _Walk:
    """Through the tasks of an owner, from the newest to those that were created after `oldest`."""

    connection: Connection
    source: str
    owner: str | None
    oldest: int

    def entry(self, after: Entry, skipped: int) -> Entry | None:
        """Return the entry behind `after` and so many others."""
        found = self._execute(
            f"SELECT created, id {self.source} {_NEWEST_FIRST} LIMIT 1 OFFSET ?", after, skipped
        )
        return None if found is None else Entry(*found)

    def entries(self, after: Entry, limit: int) -> list[Entry]:
        listed = f"SELECT created, id {self.source} {_NEWEST_FIRST} LIMIT ?"
        joined = self._execute(
            f"SELECT json_group_array(json_array(created, id)) FROM ({listed})",  # noqa: S608
            after,
            limit,
        )
        return [Entry(*each) for each in _pairs(joined[0])]

    def rows(self, after: Entry, last: Entry, wanted: TaskFilter, limit: int) -> list[_Row]:
        """Return at most `limit` rows behind `after`, up to `last`, whose status is wanted."""
        statuses = [each.value for each in wanted.statuses or TaskStatus]
        examined = f"SELECT * {self.source} {_NEWEST_FIRST} LIMIT {EXAMINED}"
        matching = (
            f"SELECT * FROM ({examined}) WHERE (created, id) >= (?, ?)"  # noqa: S608
            " AND status IN (SELECT value FROM json_each(?)) LIMIT ?"
        )
        joined = self._execute(
            f"SELECT json_group_array({_RECORD}) FROM ({matching})",  # noqa: S608
            after,
            last.created_at,
            last.task_id,
            encode_json(statuses).decode(),
            limit,
        )
        return _rows(joined[0])

    def _execute(self, statement: str, after: Entry, *values: object) -> Any:
        place = (self.owner, self.oldest, after.created_at, after.task_id)
        return self.connection.execute(statement, (*place, *values)).fetchone()
