"""What is read from the file before the queue serves, so that a damaged file is told at once: the
token and signing keys, the messages, the periods of rates, and the records.

The token and keys stay with the messages. What was published or signed before a restart is good
behind it, too. Each function blocks for some milliseconds, may be called in any thread but those of
the database, and raises DatabaseUnavailable.
"""

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from sqlite3 import Connection
from typing import Any, TypeVar

from adapters.database import Database, DatabaseUnavailable, Transaction
from entrypoints.local_qstash.bounds import LONGEST_PERIOD, PERIODS
from entrypoints.local_qstash.message import FlowControl
from entrypoints.local_qstash.records import Record, all_records
from entrypoints.local_qstash.slots import Period
from entrypoints.local_qstash.store import TASKLESS_LABELS, Pending

T = TypeVar("T")


Keys = tuple[str, str, str]
"""The token, the current signing key and the next one."""
KEYS = ("keys", "signing")
"""The kind and the name of the record that has the keys once they have been rotated."""


@dataclass(frozen=True, slots=True)
class Left:
    """What an earlier process has left."""

    messages: Sequence[Pending] = ()
    """In the order in which their queues deliver them."""
    periods: Sequence[Period] = ()
    """Those of rates that have not ended."""
    records: Sequence[Record] = ()
    keys: Mapping[str, str] | None = None
    """The signing keys, as `GET /v2/keys` shows them, if they have been rotated."""


def kept_keys(database: Database, fresh: Keys) -> Keys:
    """Return the token and the keys that are in the file, and put `fresh` there if it has none."""

    def work(tx: Transaction) -> Keys:
        kept = tx.execute("SELECT token, current_key, next_key FROM keys").fetchone()
        if kept is None:
            tx.execute("INSERT INTO keys (token, current_key, next_key) VALUES (?, ?, ?)", fresh)
        token, current_key, next_key = kept or fresh
        if (rotated := _rotated(tx)) is not None:
            current_key, next_key = rotated["current"], rotated["next"]
        return token, current_key, next_key

    return _apart(lambda: database.write(work))


def _rotated(db: Connection | Transaction) -> dict[str, str] | None:
    row = db.execute("SELECT value FROM records WHERE (kind, name) = (?, ?)", KEYS).fetchone()
    return None if row is None else json.loads(row[0])


def left_in(database: Database) -> Left:
    """Return what is in the file."""
    at = int(time.time() * 1000)

    async def read() -> Left:
        return await database.read(
            lambda db: Left(_unfinished(db, at), _unended(db, at), all_records(db), _rotated(db))
        )

    try:
        return _apart(read)
    except (TypeError, ValueError) as error:
        raise DatabaseUnavailable("the file is damaged") from error


def _unended(db: Connection, at: int) -> list[Period]:
    """Return the periods of rates that have not ended, the last PERIODS to end. `at`: now, in ms
    since 1970. A period that seems to last longer than LONGEST_PERIOD was noted before the clock
    was set back, and is left out."""
    rows = db.execute(
        "SELECT name, ends_at, begun FROM periods WHERE ends_at BETWEEN ? AND ?"
        " ORDER BY ends_at DESC LIMIT ?",
        (at + 1, at + 1000 * LONGEST_PERIOD, PERIODS),
    )
    return [Period(*row) for row in rows][::-1]


def _unfinished(db: Connection, at: int) -> list[Pending]:
    """Return the messages that an earlier process has left, in the order in which their queues
    deliver them. `at`: now, in ms since 1970."""
    # What has been retried holds its queue. The others of a queue became due in this order. If the
    # clock was set back behind the publish, the message waits no longer for that.
    rows = db.execute(
        "SELECT id, queue, flow, created_at, not_before - max(0, created_at - ?), retried,"
        " interruptions, size,"
        " json_extract(head, '$.failure_callback') IS NULL"
        " OR coalesce(coalesce(json_extract(head, '$.labels[0]'), json_extract(head, '$.label'))"
        " IN (SELECT value FROM json_each(?)), 0)"
        " FROM messages ORDER BY retried = 0, max(created_at, not_before), number",
        (at, json.dumps(TASKLESS_LABELS)),
    )
    return [
        Pending(
            id=message_id,
            queue=None if queue is None else json.loads(queue),
            flow=None if flow is None else FlowControl(*json.loads(flow)),
            created_at=created_at,
            not_before=not_before,
            retried=retried,
            interruptions=interruptions,
            size=size,
            callback=bool(callback),
            resumed=True,
        )
        for (
            message_id,
            queue,
            flow,
            created_at,
            not_before,
            retried,
            interruptions,
            size,
            callback,
        ) in rows
    ]


def _apart(step: Callable[[], Coroutine[Any, Any, T]]) -> T:
    # In a thread of its own: the caller may have an event loop.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(step())).result()
