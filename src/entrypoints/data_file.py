"""The file that keeps tasks and the messages of the local queue (`LONGTASK_DATA`): its folder, and
what a person is told where it cannot be opened."""

import time
from contextlib import suppress
from pathlib import Path

import structlog

from adapters.database import (
    Database,
    DatabaseError,
    DatabaseHeld,
    DatabaseUnusable,
    Schema,
    open_database,
)
from adapters.sqlite import KEYS, LIMITS, TASKS, USAGE, HandingOver
from application.errors import StoreUnavailable
from entrypoints.local_qstash.tables import QUEUE

log = structlog.get_logger(__name__)

SCHEMAS: tuple[Schema, ...] = (TASKS, LIMITS, KEYS, USAGE, QUEUE)
"""Of all users of the file, so that it has the same tables whatever the settings choose."""
ELSEWHERE = "set LONGTASK_DATA to another folder, or to `memory` to keep nothing on disk"


class DataFileError(Exception):
    """Raised when the file cannot be opened. Its text is one sentence, with what to do."""


def open_data_file(path: Path) -> Database:
    """Open the file, or make it. A folder that does not exist is made, for this user alone, and git
    ignores what is in it. Only one process has the file open at a time. Raises DataFileError."""
    try:
        _make_folder(path.absolute().parent)
        return open_database(path, SCHEMAS)
    except DatabaseHeld as error:
        raise DataFileError(f"{error}; stop that process, or {ELSEWHERE}") from error
    except DatabaseUnusable as error:
        raise DataFileError(f"{error}; {ELSEWHERE}") from error
    except DatabaseError as error:
        raise DataFileError(str(error)) from error
    except (OSError, ValueError) as error:
        words = (error.strerror if isinstance(error, OSError) else None) or str(error)
        raise DataFileError(f"cannot use {path}: {words}; {ELSEWHERE}") from error


async def warn_of_tasks_left(database: Database) -> None:
    """Log how many tasks are in the file of a service that keeps its tasks in Redis. It does not
    show them."""
    left = 0
    with suppress(StoreUnavailable):
        left = await HandingOver(database, round(time.time() * 1000)).count()
    if left:
        log.warning(
            "tasks are kept in Redis, and those in the data file cannot be read: stop the service, "
            "then copy them with `longtask migrate`, or move the file away",
            file=str(database.path),
            tasks=left,
        )


def _make_folder(folder: Path) -> None:
    # Of a folder that is there we do not know whose it is, unless a start was killed just here.
    if folder.is_dir() and (folder.stat().st_mode & 0o777 != 0o700 or any(folder.iterdir())):
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # another start may make it now
    (folder / ".gitignore").write_text("*\n")
