"""Removing what is over from the file, in steps that hold up the writer for milliseconds.

A step is a few statements whatever it removes. It is bounded in rows and in bytes, since a log has
any number of rows, and a request may be megabytes.
"""

import time

from adapters.database import Transaction

TASKS_AT_ONCE = 100
ROWS_AT_ONCE = 500
REQUEST_BYTES_AT_ONCE = 4 * 1024 * 1024
KEPT_FREE_PAGES = 256
"""Free pages that stay in the file, for what is written next: 1 MiB."""

_OVER = f"SELECT task FROM tasks WHERE expires <= ?1 ORDER BY expires LIMIT {TASKS_AT_ONCE}"
_BATCHES = f"""
DELETE FROM batches WHERE (task, first) IN (
    SELECT batches.task, batches.first FROM ({_OVER}) AS ended
    CROSS JOIN batches ON batches.task = ended.task LIMIT {ROWS_AT_ONCE}
)
"""
_REQUESTS = f"""
DELETE FROM requests WHERE task IN (
    SELECT task FROM (
        SELECT task, sum(length(request)) OVER (ORDER BY task) - length(request) AS before
        FROM requests WHERE task IN ({_OVER})
    ) WHERE before < {REQUEST_BYTES_AT_ONCE}
)
"""
_TASKS = f"""
DELETE FROM tasks WHERE task IN (
    SELECT task FROM ({_OVER}) AS ended
    WHERE NOT EXISTS (SELECT 1 FROM batches WHERE batches.task = ended.task)
    AND NOT EXISTS (SELECT 1 FROM requests WHERE requests.task = ended.task)
)
"""
_TOMBSTONES = f"""
DELETE FROM tombstones WHERE id IN (
    SELECT id FROM tombstones WHERE expires <= ?1 ORDER BY expires LIMIT {ROWS_AT_ONCE}
)
"""


def sweep(transaction: Transaction, now: int) -> bool:
    """Remove some of what has expired by `now`; return whether there may be more."""
    removed = [
        transaction.execute(statement, (now,)).rowcount
        for statement in (_BATCHES, _REQUESTS, _TASKS, _TOMBSTONES)
    ]
    return any(removed)


def return_pages(transaction: Transaction, seconds: float) -> bool:
    """Return free pages to the file system for so long; return whether there are more."""
    (free,) = transaction.execute("PRAGMA freelist_count").fetchone()
    excess = free - KEPT_FREE_PAGES
    if excess <= 0:
        return False
    until = time.monotonic() + seconds
    cursor = transaction.execute(f"PRAGMA incremental_vacuum({excess})")
    while cursor.fetchone() is not None:  # each is one page
        if time.monotonic() > until:
            cursor.close()
            return True
    return False
