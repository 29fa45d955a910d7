"""The store in one SQLite file, which one process holds (adapters.database)."""

from adapters.sqlite.clock import AwakeClock
from adapters.sqlite.handing_over import HandingOver
from adapters.sqlite.housekeeping import Housekeeping
from adapters.sqlite.idempotency import KEYS, SqliteIdempotencyKeys
from adapters.sqlite.limiter import LIMITS, SqliteLimiter
from adapters.sqlite.schema import TASKS
from adapters.sqlite.task_log import SqliteTaskLog
from adapters.sqlite.usage import USAGE, SqliteUsageLedger

__all__ = [
    "KEYS",
    "LIMITS",
    "TASKS",
    "USAGE",
    "AwakeClock",
    "HandingOver",
    "Housekeeping",
    "SqliteIdempotencyKeys",
    "SqliteLimiter",
    "SqliteTaskLog",
    "SqliteUsageLedger",
]
