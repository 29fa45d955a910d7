"""The store in the memory of one process (`LONGTASK_DATA=memory`). It loses everything when the
process ends."""

from adapters.memory.housekeeping import MemoryHousekeeping
from adapters.memory.idempotency import MemoryIdempotencyKeys
from adapters.memory.limiter import MemoryLimiter
from adapters.memory.task_log import MemoryTaskLog
from adapters.memory.usage import MemoryUsageLedger

__all__ = [
    "MemoryHousekeeping",
    "MemoryIdempotencyKeys",
    "MemoryLimiter",
    "MemoryTaskLog",
    "MemoryUsageLedger",
]
