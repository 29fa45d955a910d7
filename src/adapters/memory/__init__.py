"""The store inside one process: the embedded default. Nothing survives the process."""

from adapters.memory.idempotency import MemoryIdempotencyKeys
from adapters.memory.limiter import MemoryLimiter
from adapters.memory.task_log import MemoryTaskLog

__all__ = ["MemoryIdempotencyKeys", "MemoryLimiter", "MemoryTaskLog"]
