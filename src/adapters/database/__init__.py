"""One SQLite file that one process holds: its lock, its schemas, a writer with group commits, and
readers.

The store (adapters.sqlite) and the local QStash keep their tables in it. It knows neither of them.
"""

from adapters.database.backup import back_up
from adapters.database.engine import Database, DatabaseUnavailable
from adapters.database.opening import (
    DatabaseError,
    DatabaseHeld,
    DatabaseNewer,
    DatabaseUnusable,
    Schema,
    check_database,
    holder_of,
    open_database,
)
from adapters.database.transaction import Insert, Transaction

__all__ = [
    "Database",
    "DatabaseError",
    "DatabaseHeld",
    "DatabaseNewer",
    "DatabaseUnavailable",
    "DatabaseUnusable",
    "Insert",
    "Schema",
    "Transaction",
    "back_up",
    "check_database",
    "holder_of",
    "open_database",
]
