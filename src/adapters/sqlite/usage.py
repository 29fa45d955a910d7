"""UsageLedger in the file: one row for each account, day and model.

An addition need not be flushed to the disk by itself: a power cut may take the newest ones.
"""

import sqlite3
from collections.abc import Sequence

from adapters.database import Database, Schema, Transaction
from adapters.sqlite.errors import translated_errors
from application.ports import Addition, Row, Tokens, UsageLedger
from application.ports.usage import (
    ADDRESS_RETENTION_DAYS,
    MODELS_LIMIT,
    OTHER,
    RETENTION_DAYS,
    is_address,
    kept_form,
)

USAGE = Schema(
    "usage",
    (
        """
        CREATE TABLE usage (
            account TEXT NOT NULL, day INTEGER NOT NULL, model TEXT NOT NULL,
            input INTEGER NOT NULL, cached INTEGER NOT NULL,
            output INTEGER NOT NULL, reasoning INTEGER NOT NULL, tasks INTEGER NOT NULL,
            PRIMARY KEY (account, day, model)
        ) WITHOUT ROWID;
        CREATE INDEX usage_day ON usage (day);
        """,
    ),
)
"""`day`: of UTC, counted since 1970. `model`: empty for an address."""
DAY_MS = 86_400_000

_ADD = """
    INSERT INTO usage (account, day, model, input, cached, output, reasoning, tasks)
    VALUES (?, ?, ?, max(0, ?), max(0, ?), max(0, ?), max(0, ?), max(0, ?))
    ON CONFLICT (account, day, model) DO UPDATE SET
        input = max(0, input + ?), cached = max(0, cached + ?), output = max(0, output + ?),
        reasoning = max(0, reasoning + ?), tasks = max(0, tasks + ?)
"""
_MODELS = """
    SELECT count(*), coalesce(sum(model = ?), 0) FROM usage WHERE account = ? AND day = ?
"""
_USED = "SELECT coalesce(sum(input + output), 0) FROM usage WHERE account = ? AND day = ?"
_ROWS = """
    SELECT account, day, model, input, cached, output, reasoning, tasks FROM usage
    WHERE day BETWEEN ? AND ? AND model <> '' AND input + cached + output + reasoning + tasks > 0
"""


class SqliteUsageLedger(UsageLedger):
    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, additions: Sequence[Addition]) -> Sequence[int]:
        kept = [kept_form(each) for each in additions]
        with translated_errors():
            return await self._database.write(
                lambda tx: [_add(tx, each) for each in kept], durable=False
            )

    async def used(self, account: str, day: int) -> int:
        def read(connection: sqlite3.Connection) -> int:
            used: int = connection.execute(_USED, (account, day)).fetchone()[0]
            return used

        with translated_errors():
            return await self._database.read(read)

    async def rows(self, accounts: Sequence[str] | None, first: int, last: int) -> Sequence[Row]:
        def read(connection: sqlite3.Connection) -> list[Row]:
            if accounts is None:
                found = connection.execute(_ROWS, (first, last)).fetchall()
            else:
                found = [
                    row
                    for account in set(accounts)
                    for row in connection.execute(
                        f"{_ROWS} AND account = ?", (first, last, account)
                    )
                ]
            rows = (
                Row(account, day, model, Tokens(*tokens), tasks)
                for account, day, model, *tokens, tasks in found
                if not is_address(account)
            )
            return sorted(rows, key=lambda row: (row.day, row.account, row.model))

        with translated_errors():
            return await self._database.read(read)


def _add(tx: Transaction, addition: Addition) -> int:
    account, day, model = addition.account, addition.day, addition.model
    models, known = tx.execute(_MODELS, (model, account, day)).fetchone()
    if not known and models >= MODELS_LIMIT:
        model = OTHER
    tokens = addition.tokens
    numbers = (tokens.input, tokens.cached, tokens.output, tokens.reasoning, addition.tasks)
    tx.execute(_ADD, (account, day, model, *numbers, *numbers))
    used: int = tx.execute(_USED, (account, day)).fetchone()[0]
    return used


def drop_old_usage(tx: Transaction, now: int, rows: int) -> int:
    """Delete at most so many rows that are older than the ledger keeps them at `now` (ms since
    1970); return how many were."""
    today = now // DAY_MS
    dropped = 0
    for days, some in ((RETENTION_DAYS, ""), (ADDRESS_RETENTION_DAYS, "AND model = ''")):
        dropped += tx.execute(
            "DELETE FROM usage WHERE (account, day, model) IN "  # noqa: S608  (constants)
            f"(SELECT account, day, model FROM usage WHERE day < ? {some} LIMIT ?)",
            (today - days, rows),
        ).rowcount
    return dropped
