"""Removing what is over from the file, in steps that hold up the writer for milliseconds.

A step is a few statements whatever it removes. It is bounded in rows and in bytes, since a log has
any number of rows, and a request may be megabytes.
"""

from adapters.database import Transaction
from adapters.sqlite.stored import Connection

ROWS_AT_ONCE = 500
PAGES_AT_ONCE = 200

# Each but the last works on the same 100 tasks, the first to expire: on 2,000 rows of their logs,
# and on their requests, of each until there is a megabyte. Tasks with neither are removed
# themselves. The first takes away their ids, so that none is ever there with a part of its log.
_IDS = """
UPDATE tasks SET id = NULL, ended = NULL WHERE id IS NOT NULL AND task IN (
    SELECT task FROM tasks WHERE expires <= ? ORDER BY expires, task LIMIT 100
)
"""
_BATCHES = """
DELETE FROM batches WHERE key IN (
    WITH over AS (SELECT task FROM tasks WHERE expires <= ? ORDER BY expires, task LIMIT 100)
    SELECT key FROM (
        SELECT key, sum(size) OVER (ORDER BY key) - size AS before FROM (
            SELECT key, size FROM over CROSS JOIN batches
            ON key BETWEEN over.task << 28 AND (over.task << 28) + 268435455 LIMIT 2000
        )
    ) WHERE before < 1000000
)
"""
_REQUESTS = """
DELETE FROM requests WHERE task IN (
    WITH over AS (SELECT task FROM tasks WHERE expires <= ? ORDER BY expires, task LIMIT 100)
    SELECT task FROM (
        -- The limit keeps the window from being given whole requests, which would copy them all.
        SELECT task, sum(size) OVER (ORDER BY task) - size AS before FROM (
            SELECT task, length(request) AS size FROM requests WHERE task IN over LIMIT 100
        )
    ) WHERE before < 1000000
)
"""
_TASKS = """
DELETE FROM tasks WHERE task IN (
    WITH over AS (SELECT task FROM tasks WHERE expires <= ? ORDER BY expires, task LIMIT 100)
    SELECT task FROM over
    WHERE NOT EXISTS (
        SELECT 1 FROM batches WHERE key BETWEEN over.task << 28 AND (over.task << 28) + 268435455
    )
    AND NOT EXISTS (SELECT 1 FROM requests WHERE requests.task = over.task)
)
"""
_TOMBSTONES = """
DELETE FROM tombstones WHERE id IN (
    SELECT id FROM tombstones WHERE expires <= ? ORDER BY expires LIMIT 500
)
"""


def sweep(transaction: Transaction, now: int) -> bool:
    """Remove some of what has expired by `now`; return whether there may be more."""
    removed = [
        transaction.execute(statement, (now,)).rowcount
        for statement in (_IDS, _BATCHES, _REQUESTS, _TASKS, _TOMBSTONES)
    ]
    return any(removed)


def running_ids(connection: Connection) -> list[str]:
    statement = "SELECT id FROM tasks WHERE status = 'running' AND expires IS NULL"
    return [task_id for (task_id,) in connection.execute(statement).fetchall()]


def delayed(connection: Connection, now: int) -> list[tuple[str, int]]:
    """Return the tasks that wait for their time, and when it is, in ms since 1970."""
    statement = """
    SELECT id, at FROM (
        SELECT id, CASE WHEN json_valid(CAST(state AS TEXT))
            THEN json_extract(CAST(state AS TEXT), '$.not_before') END AS at
        FROM tasks INDEXED BY tasks_unfinished
        WHERE expires IS NULL AND status = 'pending' AND attempt = 0 AND id IS NOT NULL
    ) WHERE at > ?
    """
    return connection.execute(statement, (now,)).fetchall()


def unfinished(connection: Connection, after: int) -> list[tuple[int, str]]:
    """Return the row and id of a number of unfinished tasks, in rows behind that one."""
    statement = (
        "SELECT task, id FROM tasks WHERE expires IS NULL AND task > ? ORDER BY task LIMIT ?"
    )
    return connection.execute(statement, (after, ROWS_AT_ONCE)).fetchall()
