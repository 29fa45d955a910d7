"""The store in one SQLite file, which one process holds (adapters.database)."""

from adapters.sqlite.schema import TASKS
from adapters.sqlite.task_log import SqliteTaskLog

__all__ = ["TASKS", "SqliteTaskLog"]
