"""Messages in the tables of a database. They outlive the process: what was published, and what a
delivery led to, is in the file before a client learns of it."""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from sqlite3 import Connection

from adapters.database import Database, Transaction
from entrypoints.local_qstash.beginnings import Portions
from entrypoints.local_qstash.bounds import PERIODS, REMEMBERED
from entrypoints.local_qstash.file_dead_letters import FileDeadLetters, delete_letters
from entrypoints.local_qstash.filters import Search
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.message_rows import (
    WINDOW,
    MessageRow,
    add_messages,
    delete_messages,
    known_messages,
)
from entrypoints.local_qstash.records import Changes
from entrypoints.local_qstash.refusals import NotThere
from entrypoints.local_qstash.slots import Period
from entrypoints.local_qstash.store import Outcome, Store
from entrypoints.local_qstash.tables import FACTS, facts_of, message_of, translated

RETURNED_PAGES = 2_000
"""Free pages that a sweep returns to the file system at most: 8 MB. A store of tasks in the same
file returns them sooner."""


class FileStore(Store):
    def __init__(
        self,
        database: Database,
        begin: Callable[[list[QueuedMessage]], None],
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
    async def publish(
        self, messages: Sequence[QueuedMessage], now: float, changes: Changes | None = None
    ) -> list[str]:
        rows, at, portions = list[MessageRow](), int(now * 1000), Portions()
        for each in messages:
            rows.append(MessageRow.of(each))
            await portions.step()
        if changes is None:
            return await self._database.write(
                lambda tx: add_messages(tx, rows, at),
                committed=lambda ids: self._begin_new(messages, ids),
            )

        def work(tx: Transaction) -> tuple[list[str], list[QueuedMessage] | None]:
            ids = add_messages(tx, rows, at)
            if ids != [row.id for row in rows]:
                return ids, None
            changes.write(tx)
            return ids, delete_messages(tx, changes.cancelled)

        def begin(result: tuple[list[str], list[QueuedMessage] | None]) -> None:
            ids, cancelled = result
            if cancelled is not None:
                changes.apply()
                self._cancelled(cancelled)
            self._begin_new(messages, ids)

        ids, _ = await self._database.write(work, committed=begin)
        return ids

    def _begin_new(self, messages: Sequence[QueuedMessage], ids: Sequence[str]) -> None:
        pairs = zip(messages, ids, strict=True)
        self._begin([message for message, known_as in pairs if message.id == known_as])

    @translated
    async def known(self, names: Sequence[str], now: float) -> Mapping[str, str]:
        return await self._database.read(
            lambda db: known_messages(db.execute, names, int(now * 1000))
        )

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
        rows, at = [MessageRow.of(each) for each in callbacks], int(now * 1000)
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
            return kept, add_messages(tx, [each for each in rows if kept or each.id != failure], at)

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
        found = await self._database.write(
            lambda tx: delete_messages(tx, message_ids), committed=self._cancelled
        )
        return len(found)

    @translated
    async def retry(self, pairs: Sequence[tuple[str, QueuedMessage]], now: float) -> list[str]:
        rows, at = [(dlq_id, MessageRow.of(message)) for dlq_id, message in pairs], int(now * 1000)

        def work(tx: Transaction) -> list[str]:
            for dlq_id, _ in rows:
                if not delete_letters(tx, [dlq_id]):
                    raise NotThere(f"message {dlq_id} not found")
            return add_messages(tx, [row for _, row in rows], at)

        messages = [message for _, message in pairs]
        return await self._database.write(
            work, committed=lambda ids: self._begin_new(messages, ids)
        )

    @translated
    async def sweep(self, now: float) -> None:
        at = int(now * 1000)

        def work(tx: Transaction) -> None:
            oldest, newest = at - WINDOW, at + WINDOW
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
