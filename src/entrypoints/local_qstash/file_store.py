"""Messages in the tables of a database. They outlive the process: what was published, and what a
delivery led to, is in the file before a client learns of it."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from sqlite3 import Connection
from typing import Any, NamedTuple

from adapters.database import Database, Insert, Transaction
from entrypoints.local_qstash.bounds import DEDUPLICATION_WINDOW, PERIODS, REMEMBERED, size_of
from entrypoints.local_qstash.file_dead_letters import FileDeadLetters, delete_letters
from entrypoints.local_qstash.filters import Search
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.refusals import NotThere
from entrypoints.local_qstash.slots import Period
from entrypoints.local_qstash.store import Outcome, Store
from entrypoints.local_qstash.tables import (
    FACTS,
    facts_of,
    flow_of,
    head_of,
    message_of,
    translated,
)

_MESSAGE = Insert(
    "INSERT INTO messages (id, queue, flow, created_at, not_before, retried, size, head)", 8
)
_BODY = Insert("INSERT INTO bodies (message, body)", 2)
_RECENT = Insert("INSERT OR REPLACE INTO recent (name, message, at)", 3)
RETURNED_PAGES = 2_000
"""Free pages that a sweep returns to the file system at most: 8 MB. A store of tasks in the same
file returns them sooner."""
_WINDOW = int(DEDUPLICATION_WINDOW * 1000)


class _Row(NamedTuple):
    """A message as the tables hold it."""

    id: str
    name: str | None
    """Of its deduplication."""
    columns: tuple[Any, ...]
    body: bytes

    @classmethod
    def of(cls, message: QueuedMessage) -> "_Row":
        columns = (
            message.id,
            None if message.queue is None else json.dumps(message.queue),
            None if message.flow is None else json.dumps(flow_of(message)),
            message.created_at,
            message.not_before,
            message.retried,
            size_of(message),
            head_of(message),
        )
        return cls(message.id, message.deduplication, columns, message.body)


class FileStore(Store):
    def __init__(
        self,
        database: Database,
        begin: Callable[[QueuedMessage], None],
        cancelled: Callable[[list[QueuedMessage]], None],
    ) -> None:
        self._database = database
        self._begin = begin
        self._cancelled = cancelled
        self._dead_letters = FileDeadLetters(database)

    @property
    def dead_letters(self) -> FileDeadLetters:
        return self._dead_letters

    @translated
    async def publish(self, messages: Sequence[QueuedMessage], now: float) -> list[str]:
        rows, at = [_Row.of(each) for each in messages], int(now * 1000)
        return await self._database.write(
            lambda tx: _add(tx, rows, at), committed=lambda ids: self._begin_new(messages, ids)
        )

    def _begin_new(self, messages: Sequence[QueuedMessage], ids: Sequence[str]) -> None:
        for message, known_as in zip(messages, ids, strict=True):
            if message.id == known_as:
                self._begin(message)

    @translated
    async def known(self, names: Sequence[str], now: float) -> Mapping[str, str]:
        return await self._database.read(lambda db: _known(db.execute, names, int(now * 1000)))

    @translated
    async def get(self, message_id: str) -> QueuedMessage | None:
        def work(db: Connection) -> QueuedMessage | None:
            row = db.execute(
                "SELECT id, head, body, not_before, retried"
                " FROM messages JOIN bodies ON message = id WHERE id = ?",
                (message_id,),
            ).fetchone()
            return None if row is None else message_of(*row)

        return await self._database.read(work)

    @translated
    async def oldest(self, count: int) -> list[QueuedMessage]:
        statement = (
            "SELECT id, head, x'', not_before, retried FROM messages ORDER BY number LIMIT ?"
        )
        return await self._database.read(
            lambda db: [message_of(*row) for row in db.execute(statement, (count,))]
        )

    @translated
    async def note_resumed(self, message_id: str) -> None:
        statement = "UPDATE messages SET interruptions = interruptions + 1 WHERE id = ?"
        await self._database.write(lambda tx: tx.execute(statement, (message_id,)), durable=False)

    @translated
    async def reset_interruptions(self, message_ids: Sequence[str]) -> None:
        statement = (
            "UPDATE messages SET interruptions = 0"
            " WHERE id IN (SELECT value FROM json_each(?)) AND interruptions > 0"
        )
        ids = (json.dumps(list(message_ids)),)
        await self._database.write(lambda tx: tx.execute(statement, ids), durable=False)

    @translated
    async def note_period(self, period: Period) -> None:
        def work(tx: Transaction) -> None:
            # Two that begin at the same time may be noted in either order.
            tx.execute(
                "INSERT INTO periods (name, ends_at, begun) VALUES (?, ?, ?)"
                " ON CONFLICT DO UPDATE SET ends_at = excluded.ends_at, begun = "
                " iif(ends_at = excluded.ends_at, max(begun, excluded.begun), excluded.begun)",
                (period.name, period.ends_at, period.begun),
            )

        await self._database.write(work, durable=False)

    @translated
    async def commit(self, outcome: Outcome, now: float) -> bool:
        callbacks = [each for each in (outcome.callback, outcome.failure) if each is not None]
        rows, at = [_Row.of(each) for each in callbacks], int(now * 1000)
        failure = None if outcome.failure is None else outcome.failure.id

        def work(tx: Transaction) -> tuple[bool, list[str]]:
            if outcome.again_at is not None:
                change = tx.execute(
                    "UPDATE messages SET retried = retried + 1, interruptions = 0, not_before = ?"
                    " WHERE id = ?",
                    (outcome.again_at, outcome.message_id),
                )
            else:
                change = tx.execute("DELETE FROM messages WHERE id = ?", (outcome.message_id,))
            kept = change.rowcount > 0
            if kept and outcome.letter is not None:
                self._dead_letters.add(tx, outcome.letter)  # which takes the body over
            elif kept and outcome.again_at is None:
                tx.execute("DELETE FROM bodies WHERE message = ?", (outcome.message_id,))
            return kept, _add(tx, [each for each in rows if kept or each.id != failure], at)

        def begin(result: tuple[bool, list[str]]) -> None:
            kept, ids = result
            self._begin_new([each for each in callbacks if kept or each.id != failure], ids)

        # After a power cut a message may be delivered again that was delivered. But what a message
        # has become, such as a dead letter, stays.
        kept, _ = await self._database.write(
            work, durable=bool(callbacks or outcome.letter), committed=begin
        )
        return kept

    @translated
    async def search(self, search: Search) -> list[str]:
        def work(db: Connection) -> list[str]:
            if search.everything:
                rows = db.execute(
                    "SELECT id FROM messages ORDER BY number LIMIT ?", (search.count or -1,)
                )
                return [message_id for (message_id,) in rows]
            rows = db.execute(
                f"SELECT id, created_at, id, {FACTS} FROM messages ORDER BY number"  # noqa: S608
            )
            found = (row[0] for row in rows if search.matches(facts_of(*row)))
            return list(islice(found, search.count))

        return await self._database.read(work)

    @translated
    async def cancel(self, message_ids: Sequence[str]) -> int:
        ids = (json.dumps(list(message_ids)),)

        def work(tx: Transaction) -> list[QueuedMessage]:
            rows = tx.execute(
                "SELECT id, head, not_before, retried FROM messages"
                " WHERE id IN (SELECT value FROM json_each(?))",
                ids,
            )
            found = [message_of(one, head, b"", *changing) for one, head, *changing in rows]
            kept = (json.dumps([each.id for each in found]),)
            tx.execute("DELETE FROM messages WHERE id IN (SELECT value FROM json_each(?))", kept)
            tx.execute("DELETE FROM bodies WHERE message IN (SELECT value FROM json_each(?))", kept)
            return found

        found = await self._database.write(work, committed=self._cancelled)
        return len(found)

    @translated
    async def retry(self, pairs: Sequence[tuple[str, QueuedMessage]], now: float) -> list[str]:
        rows, at = [(dlq_id, _Row.of(message)) for dlq_id, message in pairs], int(now * 1000)

        def work(tx: Transaction) -> list[str]:
            for dlq_id, _ in rows:
                if not delete_letters(tx, [dlq_id]):
                    raise NotThere(f"message {dlq_id} not found")
            return _add(tx, [row for _, row in rows], at)

        messages = [message for _, message in pairs]
        return await self._database.write(
            work, committed=lambda ids: self._begin_new(messages, ids)
        )

    @translated
    async def sweep(self, now: float) -> None:
        at = int(now * 1000)

        def work(tx: Transaction) -> None:
            oldest, newest = at - _WINDOW, at + _WINDOW
            tx.execute("DELETE FROM recent WHERE at <= ? OR at >= ?", (oldest, newest))
            tx.execute(
                "DELETE FROM recent WHERE rowid <= (SELECT max(rowid) FROM recent) - ?",
                (REMEMBERED,),
            )
            tx.execute("DELETE FROM periods WHERE ends_at <= ?", (at,))
            tx.execute(
                "DELETE FROM periods WHERE rowid IN"
                " (SELECT rowid FROM periods ORDER BY ends_at DESC LIMIT -1 OFFSET ?)",
                (PERIODS,),
            )
            self._dead_letters.drop_old(tx)
            tx.return_pages(RETURNED_PAGES)

        await self._database.write(work, durable=False)


def _known(
    execute: Callable[[str, Sequence[Any]], Iterable[Any]], names: Sequence[str], at: int
) -> dict[str, str]:
    """What these names of deduplications stand for. A clock that was set back by less than the
    window changes nothing; beyond that it was wrong before, and what it has dated is not valid."""
    rows = execute(
        "SELECT name, message FROM recent"
        " WHERE name IN (SELECT value FROM json_each(?)) AND at > ? AND at < ?",
        (json.dumps(names), at - _WINDOW, at + _WINDOW),
    )
    return dict(rows)


def _add(tx: Transaction, rows: Sequence[_Row], at: int) -> list[str]:
    """Insert the messages that are no duplicates. Returns the id under which each is known."""
    named = [row.name for row in rows if row.name is not None]
    known = _known(tx.execute, named, at) if named else {}
    ids: list[str] = []
    for row in rows:
        if row.name is not None:
            if row.name in known:
                ids.append(known[row.name])
                continue
            known[row.name] = row.id
            tx.insert(_RECENT, (row.name, row.id, at))
        tx.insert(_MESSAGE, row.columns)
        tx.insert(_BODY, (row.id, row.body))
        ids.append(row.id)
    return ids
