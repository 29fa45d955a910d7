"""What is read from the file before the queue serves, so that a damaged file is told at once: the
token and signing keys, the messages, the periods of rates, and the records.

The token and keys stay with the messages. What was published or signed before a restart is good
behind it, too. Each function blocks for some milliseconds, may be called in any thread but those of
the database, and raises DatabaseUnavailable.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from adapters.database import Database, DatabaseUnavailable, Transaction
from entrypoints.local_qstash.file_store import unended, unfinished
from entrypoints.local_qstash.records import Record, all_records
from entrypoints.local_qstash.slots import Period
from entrypoints.local_qstash.store import Pending

T = TypeVar("T")

Keys = tuple[str, str, str]
"""The token, the current signing key and the next one."""


@dataclass(frozen=True, slots=True)
class Left:
    """What an earlier process has left."""

    messages: Sequence[Pending] = ()
    """In the order in which their queues deliver them."""
    periods: Sequence[Period] = ()
    """Those of rates that have not ended."""
    records: Sequence[Record] = ()


def kept_keys(database: Database, fresh: Keys) -> Keys:
    """Return the keys that are in the file. If it has none, `fresh` are put there and returned."""

    def work(tx: Transaction) -> Keys:
        kept = tx.execute("SELECT token, current_key, next_key FROM keys").fetchone()
        if kept is not None:
            token, current_key, next_key = kept
            return token, current_key, next_key
        tx.execute("INSERT INTO keys (token, current_key, next_key) VALUES (?, ?, ?)", fresh)
        return fresh

    return _apart(lambda: database.write(work))


def left_in(database: Database) -> Left:
    """Return what is in the file."""
    at = int(time.time() * 1000)

    async def read() -> Left:
        return await database.read(
            lambda db: Left(unfinished(db, at), unended(db, at), all_records(db))
        )

    try:
        return _apart(read)
    except (TypeError, ValueError) as error:
        raise DatabaseUnavailable("the file is damaged") from error


def _apart(step: Callable[[], Coroutine[Any, Any, T]]) -> T:
    # In a thread of its own: the caller may have an event loop.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(step())).result()
