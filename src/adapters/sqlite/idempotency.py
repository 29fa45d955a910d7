"""IdempotencyKeys in the file: one row per key, under a hash of it.

Most calls are one statement: to bind a key, or to replace the binding that the caller has seen,
needs no reading before it.

A binding need not be flushed to the disk by itself. The record of its task is flushed after it, and
whatever was written to the file before goes to the disk with it.
"""

import hashlib
import sqlite3
from collections.abc import Callable

from adapters.database import Database, Schema, Transaction
from adapters.sqlite.errors import translated_errors
from adapters.sqlite.steady_clock import steady_clock
from application.ports import IDEMPOTENCY_TTL, Binding, IdempotencyKeys

KEYS = Schema(
    "idempotency keys",
    (
        """
        CREATE TABLE idempotency_keys (
            key BLOB PRIMARY KEY, fingerprint TEXT NOT NULL, task TEXT NOT NULL,
            since INTEGER NOT NULL, expires INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX idempotency_keys_expires ON idempotency_keys (expires);
        """,
    ),
)
"""`key`: the SHA-256 of the key. `since` and `expires` in ms since 1970."""

_BIND = """
    INSERT INTO idempotency_keys (key, fingerprint, task, since, expires) VALUES (?, ?, ?, ?, ?)
    ON CONFLICT (key) DO UPDATE SET
        fingerprint = excluded.fingerprint, task = excluded.task,
        since = excluded.since, expires = excluded.expires
"""
_FREE_OR_SEEN = """
    WHERE idempotency_keys.expires <= ?
        OR (idempotency_keys.since = ? AND idempotency_keys.task = ?
            AND idempotency_keys.fingerprint = ?)
"""
_FIND = "SELECT fingerprint, task, since FROM idempotency_keys WHERE key = ?"


class SqliteIdempotencyKeys(IdempotencyKeys):
    def __init__(self, database: Database, clock: Callable[[], float] | None = None) -> None:
        """`clock`: gives seconds since 1970, and never goes back."""
        self._database = database
        self._clock = clock or steady_clock()
        self._last = 0

    async def find(self, key: str) -> Binding | None:
        digest = digest_of(key)
        now = self._now()

        def work(connection: sqlite3.Connection) -> Binding | None:
            row = connection.execute(_FIND + " AND expires > ?", (digest, now)).fetchone()
            return None if row is None else _read(row, now)

        with translated_errors():
            return await self._database.read(work)

    async def bind(
        self,
        key: str,
        fingerprint: str,
        task_id: str,
        instead_of: Binding | None = None,
        ttl: float = IDEMPOTENCY_TTL,
    ) -> Binding:
        digest = digest_of(key)
        seen: tuple[int | None, str, str] = (None, "", "")
        if instead_of is not None:
            seen = (instead_of.since, instead_of.task_id, instead_of.fingerprint)

        def work(tx: Transaction) -> Binding:
            now = self._next()
            row = (digest, fingerprint, task_id, now, now + round(ttl * 1000))
            if tx.execute(_BIND + _FREE_OR_SEEN, (*row, now, *seen)).rowcount:
                return Binding(fingerprint, task_id, now, 0.0)
            return _read(tx.execute(_FIND, (digest,)).fetchone(), now)

        with translated_errors():
            return await self._database.write(work, durable=False)

    async def rebind(self, key: str, fingerprint: str, task_id: str, ttl: float) -> Binding:
        digest = digest_of(key)

        def work(tx: Transaction) -> Binding:
            now = self._next()
            tx.execute(_BIND, (digest, fingerprint, task_id, now, now + round(ttl * 1000)))
            return Binding(fingerprint, task_id, now, 0.0)

        with translated_errors():
            return await self._database.write(work, durable=False)

    async def release(self, key: str, task_id: str) -> None:
        with translated_errors():
            await self._database.write(
                lambda tx: tx.execute(
                    "DELETE FROM idempotency_keys WHERE key = ? AND task = ?",
                    (digest_of(key), task_id),
                ),
                durable=False,
            )

    def _now(self) -> int:
        return max(self._last, round(self._clock() * 1000))

    def _next(self) -> int:
        """Return the time, in the writer thread, as no binding had it before."""
        self._last = max(self._last + 1, round(self._clock() * 1000))
        return self._last


def digest_of(key: str) -> bytes:
    """Return what stands in the file for a key, which may be a client's text of any length."""
    return hashlib.sha256(key.encode()).digest()


def _read(row: tuple[str, str, int], now: int) -> Binding:
    fingerprint, task_id, since = row
    return Binding(fingerprint, task_id, since, max(0, now - since) / 1000)


def drop_expired(tx: Transaction, now: int, rows: int) -> int:
    """Delete at most so many bindings that have expired at `now` (ms since 1970); return how many
    were."""
    return tx.execute(
        "DELETE FROM idempotency_keys WHERE key IN "
        "(SELECT key FROM idempotency_keys WHERE expires <= ? LIMIT ?)",
        (now, rows),
    ).rowcount
