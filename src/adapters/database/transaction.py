"""What a write is given: it executes statements, and gathers rows of one table into few of them."""

import contextlib
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

ROWS_AT_ONCE = 100
"""Rows in one statement of `Transaction.insert`."""
KEPT_FREE_PAGES = 256
"""Free pages that stay in the file, for what is written next: 1 MiB."""


@dataclass(frozen=True, slots=True)
class Insert:
    """A statement that inserts one row: `INSERT INTO name (columns)`."""

    into: str
    columns: int

    def of(self, rows: int) -> str:
        row = "(" + ", ".join("?" * self.columns) + ")"
        return f"{self.into} VALUES {', '.join([row] * rows)}"


class Transaction:
    """What a write is given. Its changes are visible to the writes behind it at once, and to
    readers when the group is committed."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._rows: dict[Insert, list[Any]] = {}
        self.changed = False
        """Whether a write has changed anything since this was last set to False."""
        self._excess = 0

    def execute(self, statement: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Execute a statement behind all rows that are to be inserted."""
        if self._rows:
            self.flush()
        before = self._connection.total_changes
        cursor = self._connection.execute(statement, values)
        self.changed |= self._connection.total_changes != before
        return cursor

    def insert(self, insert: Insert, row: Sequence[Any]) -> None:
        """Insert a row before the next statement, or at the end of the group."""
        self.changed = True
        values = self._rows.setdefault(insert, [])
        values.extend(row)
        if len(values) >= ROWS_AT_ONCE * insert.columns:
            self.flush()

    def return_pages(self, at_once: int) -> bool:
        """Return free pages of the file to the file system behind the commit, at most so many and
        all but KEPT_FREE_PAGES; return whether there are more."""
        (free,) = self.execute("PRAGMA freelist_count").fetchone()
        excess: int = max(0, free - KEPT_FREE_PAGES)
        self._excess = min(excess, at_once)
        return excess > at_once

    def vacuum(self) -> None:
        if self._excess:
            with contextlib.suppress(sqlite3.Error):  # the next one may succeed
                # Not `execute`: sqlite3 takes it for a query, and returns one page only.
                self._connection.executescript(f"PRAGMA incremental_vacuum({self._excess})")

    def flush(self) -> None:
        waiting, self._rows = self._rows, {}
        for insert, values in waiting.items():
            self._connection.execute(insert.of(len(values) // insert.columns), values)
