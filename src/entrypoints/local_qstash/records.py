"""Records: what clients name and what has no end of its own, such as queues and schedules. All of
them are in memory, and each change is in the file, if there is one, before it is seen."""

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from sqlite3 import Connection
from typing import Any, NamedTuple

from adapters.database import Database, Transaction
from entrypoints.local_qstash.bounds import RECORDS
from entrypoints.local_qstash.refusals import TooMany
from entrypoints.local_qstash.tables import translated

URL_GROUPS, SCHEDULES, SCHEDULE_RUNS = "URL groups", "schedules", "schedule runs"
"""Kinds of records. The text of TooMany names them."""

_PUT = (
    "INSERT INTO records (kind, name, value) VALUES (?, ?, ?)"
    " ON CONFLICT (kind, name) DO UPDATE SET value = excluded.value"
)
_DROP = "DELETE FROM records WHERE kind = ? AND name = ?"


class Record(NamedTuple):
    kind: str
    name: str
    value: dict[str, Any]
    """As JSON has it. It is replaced, never changed."""


class Records:
    def __init__(self, database: Database | None, kept: Iterable[Record] = ()) -> None:
        """`kept`: what is in the database."""
        self._database = database
        self._kinds: dict[str, dict[str, dict[str, Any]]] = {}
        self._changing = asyncio.Lock()
        """So that memory and file see the changes in the same order."""
        for each in kept:
            self._kinds.setdefault(each.kind, {})[each.name] = each.value

    def of(self, kind: str) -> Mapping[str, dict[str, Any]]:
        """Return the values of this kind by name, in the order in which they were first kept."""
        return self._kinds.get(kind, {})

    @translated
    async def put(self, kind: str, name: str, value: dict[str, Any]) -> None:
        """Keep the value under this name, instead of an earlier one. Raises TooMany beyond RECORDS
        of a kind, or Unavailable."""
        async with self._changing:
            values = self._kinds.setdefault(kind, {})
            if name not in values and len(values) >= RECORDS:
                raise TooMany(kind)
            if self._database is not None:
                row = (kind, name, json.dumps(value))
                await self._database.write(lambda tx: tx.execute(_PUT, row))
            values[name] = value

    @translated
    async def drop(self, kind: str, name: str) -> bool:
        """Keep the value no longer. Returns whether there was one. Raises Unavailable."""
        async with self._changing:
            values = self._kinds.get(kind, {})
            if name not in values:
                return False
            if self._database is not None:
                await self._database.write(lambda tx: tx.execute(_DROP, (kind, name)))
            del values[name]
            return True

    def apply(self, changes: "Changes") -> None:
        """Have in memory what is in the file."""
        for kind, name, value in changes.records:
            if name is None:
                self._kinds.pop(kind, None)  # there may be a new kind for each run
            elif value is None:
                self._kinds.get(kind, {}).pop(name, None)
            else:
                self._kinds.setdefault(kind, {})[name] = value


class Changes:
    """Changes of records, of kinds that have bounds of their own, and cancels of messages. All of
    them are kept in one step, with messages that are published (`Store.publish`)."""

    def __init__(self, records: Records) -> None:
        """Nothing else may change these records meanwhile."""
        self._records = records
        self.records: list[tuple[str, str | None, dict[str, Any] | None]] = []
        """The kind, the name (None: all of them) and the new value (None: no longer kept)."""
        self.cancelled: Sequence[str] = ()
        """The ids of messages that are cancelled."""

    def put(self, kind: str, name: str, value: dict[str, Any]) -> None:
        self.records.append((kind, name, value))

    def drop(self, kind: str, name: str | None = None) -> None:
        self.records.append((kind, name, None))

    def write(self, tx: Transaction) -> None:
        """Write what changes of records into the file."""
        for kind, name, value in self.records:
            if name is None:
                tx.execute("DELETE FROM records WHERE kind = ?", (kind,))
            elif value is None:
                tx.execute(_DROP, (kind, name))
            else:
                tx.execute(_PUT, (kind, name, json.dumps(value)))

    def apply(self) -> None:
        """Must be called once they are kept."""
        self._records.apply(self)


def all_records(db: Connection) -> list[Record]:
    """Return what is in the file."""
    rows = db.execute("SELECT kind, name, value FROM records ORDER BY rowid")
    return [Record(kind, name, json.loads(value)) for kind, name, value in rows]
