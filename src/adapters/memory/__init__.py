"""The store inside one process: the embedded default. Nothing survives the process."""

from adapters.memory.allowances import MemoryAllowances
from adapters.memory.idempotency import MemoryIdempotencyKeys
from adapters.memory.task_log import MemoryTaskLog

__all__ = ["MemoryAllowances", "MemoryIdempotencyKeys", "MemoryTaskLog"]
