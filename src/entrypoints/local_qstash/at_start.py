"""What is read from the file before the queue serves, so that a damaged file is told at once: the
token and signing keys, the messages, and the periods of rates.

The token and keys stay with the messages. What was published or signed before a restart is good
behind it, too. Each function blocks for some milliseconds, may be called in any thread but those of
the database, and raises DatabaseUnavailable.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from adapters.database import Database, DatabaseUnavailable, Transaction
from entrypoints.local_qstash.file_store import unended, unfinished
from entrypoints.local_qstash.slots import Period
from entrypoints.local_qstash.store import Pending

T = TypeVar("T")

Keys = tuple[str, str, str]
"""The token, the current signing key and the next one."""


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


def messages_left(database: Database) -> list[Pending]:
    """Return the messages that an earlier process has left, in the order in which their queues
    deliver them."""
    at = int(time.time() * 1000)
    try:
        return _apart(lambda: database.read(lambda db: unfinished(db, at)))
    except (TypeError, ValueError) as error:
        raise DatabaseUnavailable("the file is damaged") from error


def periods_left(database: Database) -> list[Period]:
    """Return the periods of rates that have not ended."""
    at = int(time.time() * 1000)
    return _apart(lambda: database.read(lambda db: unended(db, at)))


def _apart(step: Callable[[], Coroutine[Any, Any, T]]) -> T:
    # In a thread of its own: the caller may have an event loop.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(lambda: asyncio.run(step())).result()
