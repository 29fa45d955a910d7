"""Dead letters in the tables of a database. Their lists are read by pages, so that however many
there are, few are in memory."""

import json
from collections.abc import Iterable
from sqlite3 import Connection
from typing import Any

from adapters.database import Database, Transaction
from entrypoints.local_qstash.dead_letters import DeadLetter, Limits, page_of
from entrypoints.local_qstash.delivery_response import DeliveryResponse
from entrypoints.local_qstash.filters import Search
from entrypoints.local_qstash.store import DeadLetterStore
from entrypoints.local_qstash.tables import FACTS, facts_of, head_of, message_of, translated


class FileDeadLetters(DeadLetterStore):
    def __init__(self, database: Database, limits: Limits | None = None) -> None:
        self._database = database
        self._limits = limits or Limits()

    def add(self, tx: Transaction, letter: DeadLetter) -> None:
        """Add a letter, whose message has its body in the tables."""
        message, response = letter.message, letter.response
        tx.execute(
            "INSERT INTO dead_letters (id, at, size, facts, message, head, not_before, retried,"
            " status, headers, response) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                letter.id,
                letter.at,
                letter.size,
                "",  # of earlier versions
                message.id,
                head_of(message),
                message.not_before,
                message.retried,
                response.status,
                json.dumps(dict(response.headers)),
                response.body,
            ),
        )
        number, size = tx.execute("SELECT count(*), sum(size) FROM dead_letters").fetchone()
        if number > self._limits.number or size > self._limits.size:
            beyond = []
            for each, its_size in tx.execute("SELECT id, size FROM dead_letters ORDER BY number"):
                if number <= self._limits.number and size <= self._limits.size:
                    break
                beyond.append(each)
                number, size = number - 1, size - its_size
            delete_letters(tx, beyond)
        self.drop_old(tx)

    def drop_old(self, tx: Transaction) -> None:
        old = tx.execute("SELECT id FROM dead_letters WHERE at <= ?", (self._limits.oldest_kept(),))
        if ids := [each for (each,) in old]:
            delete_letters(tx, ids)

    @translated
    async def page(self, search: Search) -> tuple[list[DeadLetter], str | None]:
        def work(db: Connection) -> tuple[list[DeadLetter], str | None]:
            ids, following = self._page_of(db, search)
            return [_letter_of(db, each) for each in ids], following

        return await self._database.read(work)

    @translated
    async def ids(self, search: Search) -> tuple[list[str], str | None]:
        return await self._database.read(lambda db: self._page_of(db, search))

    def _page_of(self, db: Connection, search: Search) -> tuple[list[str], str | None]:
        rows = db.execute(
            f"SELECT id, at, message, {FACTS}, status, size FROM dead_letters"  # noqa: S608
            " WHERE at > ? ORDER BY number DESC",
            (self._limits.oldest_kept(),),
        )
        return page_of(((facts_of(*facts), size) for *facts, size in rows), search)

    @translated
    async def get(self, dlq_id: str) -> DeadLetter | None:
        def work(db: Connection) -> DeadLetter | None:
            kept = db.execute(
                "SELECT 1 FROM dead_letters WHERE id = ? AND at > ?",
                (dlq_id, self._limits.oldest_kept()),
            ).fetchone()
            return _letter_of(db, dlq_id) if kept else None

        return await self._database.read(work)

    @translated
    async def delete(self, dlq_ids: Iterable[str]) -> int:
        ids = list(dlq_ids)
        return await self._database.write(lambda tx: delete_letters(tx, ids))


def _letter_of(db: Connection, dlq_id: str) -> DeadLetter:
    """Return a letter that is there."""
    row: tuple[Any, ...] = db.execute(
        "SELECT at, status, headers, response, dead_letters.message, head, body, not_before,"
        " retried FROM dead_letters JOIN bodies ON bodies.message = dead_letters.message"
        " WHERE id = ?",
        (dlq_id,),
    ).fetchone()
    at, status, headers, body, *message = row
    response = DeliveryResponse(status, json.loads(headers), body)
    return DeadLetter(dlq_id, message_of(*message), response, at)


def delete_letters(tx: Transaction, dlq_ids: list[str]) -> int:
    """Delete these; return how many of them there were."""
    ids = (json.dumps(dlq_ids),)
    tx.execute(
        "DELETE FROM bodies WHERE message IN (SELECT message FROM dead_letters"
        " WHERE id IN (SELECT value FROM json_each(?)))",
        ids,
    )
    deleted = tx.execute(
        "DELETE FROM dead_letters WHERE id IN (SELECT value FROM json_each(?))", ids
    )
    return deleted.rowcount
