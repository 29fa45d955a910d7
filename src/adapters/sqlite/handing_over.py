"""Reads from the file what another store is to take over: a few rows at a time, none decoded."""

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from itertools import groupby
from operator import attrgetter
from typing import Any, TypeVar

import msgspec

from adapters.database import Database
from adapters.handover import BoundKey, EndedTask, Tombstone
from adapters.sqlite.errors import translated_errors
from adapters.sqlite.schema import OFFSETS, key_of
from adapters.sqlite.usage import DAY_MS, SqliteUsageLedger
from application.errors import UnreadableEvent
from application.ports import PAGE_SIZE, Row
from application.ports.usage import RETENTION_DAYS

T = TypeVar("T")
_Columns = tuple[Any, ...]

ROWS = 200
"""Tasks, keys or tombstones that are listed at once."""

_TASK = """
SELECT id, v, status, attempt, state, message, epochs, expires,
    (SELECT v FROM requests WHERE requests.task = tasks.task),
    (SELECT request FROM requests WHERE requests.task = tasks.task),
    (SELECT expires FROM tombstones WHERE tombstones.id = tasks.id), ended
FROM tasks WHERE task = ?
"""
_raw_events = msgspec.json.Decoder(list[msgspec.Raw]).decode


class HandingOver:
    def __init__(self, database: Database, now: int) -> None:
        """`now`: in ms since 1970. What has expired by then is left out."""
        self._database = database
        self._now = now

    async def count(self) -> int:
        """Return how many tasks are in the file, expired ones included."""
        counting = "SELECT count(*) FROM tasks WHERE id IS NOT NULL"
        (count,) = await self._read(lambda connection: connection.execute(counting).fetchone())
        return int(count)

    async def unfinished(self) -> int:
        """Return how many tasks have not ended."""
        counting = "SELECT count(*) FROM tasks WHERE expires IS NULL AND id IS NOT NULL"
        (count,) = await self._read(lambda connection: connection.execute(counting).fetchone())
        return int(count)

    async def ended(self) -> AsyncIterator[Sequence[int]]:
        """Yield the rows of all tasks that have ended, some at a time."""
        listing = (
            "SELECT task FROM tasks WHERE task > ? AND expires > ? AND id IS NOT NULL"
            " ORDER BY task LIMIT ?"
        )
        async for rows in self._pages(listing, 0):
            yield [row for (row,) in rows]

    async def task(self, row: int) -> EndedTask:
        """Return one of them."""
        found = await self._read(lambda connection: connection.execute(_TASK, (row,)).fetchone())
        task_id, version, status, attempt, record, message_id = found[:6]
        epochs, expires, request_version, request, tombstone, cursor = found[6:]
        opened = [each.partition("-") for each in epochs.split()]
        return EndedTask(
            task_id,
            version,
            status,
            attempt,
            record,
            message_id,
            request,
            request_version,
            [(int(first), epoch) for first, _, epoch in opened],
            self._left(expires),
            None if tombstone is None else self._left(tombstone),
            cursor,
        )

    async def log(self, row: int) -> AsyncIterator[Sequence[bytes]]:
        """Yield all events of a task, a bounded number of bytes at a time. Raises
        UnreadableEvent."""
        first = 1

        def page(connection: sqlite3.Connection) -> tuple[int, list[bytes]]:
            batches, size, after = [], 0, first
            for key, count, events in connection.execute(
                "SELECT key, count, events FROM batches WHERE key BETWEEN ? AND ? ORDER BY key",
                (key_of(row, first), key_of(row, OFFSETS)),
            ):
                batches.append(events)
                size, after = size + len(events), (key & OFFSETS) + count
                if size >= PAGE_SIZE:
                    break
            return after, batches

        while True:
            first, batches = await self._read(page)
            if not batches:
                return
            try:
                yield list(map(bytes, _raw_events(b"[" + b",".join(batches) + b"]")))
            except msgspec.DecodeError as error:
                raise UnreadableEvent(str(error)) from error

    async def tombstones(self) -> AsyncIterator[Sequence[Tombstone]]:
        """Yield the tombstones of all tasks that are gone or will leave one, some at a time."""
        listing = (
            "SELECT id, expires, expired FROM tombstones"
            " WHERE id > ? AND expires > ? ORDER BY id LIMIT ?"
        )
        async for rows in self._pages(listing, ""):
            yield [
                Tombstone(task_id, self._left(expires), bool(expired))
                for task_id, expires, expired in rows
            ]

    async def keys(self) -> AsyncIterator[Sequence[BoundKey]]:
        """Yield all bindings, some at a time."""
        listing = (
            "SELECT key, fingerprint, task, since, expires FROM idempotency_keys"
            " WHERE key > ? AND expires > ? ORDER BY key LIMIT ?"
        )
        async for rows in self._pages(listing, b""):
            yield [
                BoundKey(digest, fingerprint, task_id, since, self._left(expires))
                for digest, fingerprint, task_id, since, expires in rows
            ]

    async def usage(self) -> AsyncIterator[Sequence[Sequence[Row]]]:
        """Yield what each owner has used in each day, a day at a time."""
        ledger, today = SqliteUsageLedger(self._database), self._now // DAY_MS
        for day in range(today - RETENTION_DAYS, today + 1):
            rows = await ledger.rows(None, day, day)
            yield [list(each) for _, each in groupby(rows, key=attrgetter("account"))]

    async def _pages(self, listing: str, first: int | str | bytes) -> AsyncIterator[list[_Columns]]:
        """Yield pages of rows, which begin with what they are ordered by."""
        after = first
        while rows := await self._read(_rows_of(listing, (after, self._now, ROWS))):
            yield rows
            after = rows[-1][0]

    def _left(self, expires: int) -> float:
        return (expires - self._now) / 1000

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with translated_errors():
            return await self._database.read(work)


def _rows_of(
    listing: str, values: tuple[int | str | bytes, int, int]
) -> Callable[[sqlite3.Connection], list[_Columns]]:
    return lambda connection: connection.execute(listing, values).fetchall()
