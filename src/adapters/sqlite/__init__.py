"""The store in one SQLite file, which one process holds (adapters.database)."""

from adapters.sqlite.idempotency import KEYS, SqliteIdempotencyKeys
from adapters.sqlite.limiter import LIMITS, SqliteLimiter
from adapters.sqlite.schema import TASKS
from adapters.sqlite.task_log import SqliteTaskLog

__all__ = [
    "KEYS",
    "LIMITS",
    "TASKS",
    "SqliteIdempotencyKeys",
    "SqliteLimiter",
    "SqliteTaskLog",
]
