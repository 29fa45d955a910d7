"""A copy of the file as it is at one moment, also while another process holds it and writes.

The copy is made within one read transaction (VACUUM INTO), which keeps no writer waiting. It has no
pages that are free, and needs no file beside it.
"""

import contextlib
import os
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path

from adapters.database.engine import BUSY_TIMEOUT
from adapters.database.opening import APPLICATION_ID, DatabaseUnusable

SIGNALS_SEEN_EVERY = 10_000
"""Instructions of SQLite after which a signal such as Ctrl-C is noticed."""


@dataclass(frozen=True, slots=True)
class Copied:
    size: int
    """Bytes of the copy."""
    rows: int


def back_up(path: Path, target: Path, counted: str) -> Copied:
    """Copy the database to a new file (mode 0600), which appears when it is whole and on the disk.
    `counted`: the table whose rows are counted in the copy. Takes no lock. Raises DatabaseUnusable;
    then there is no new file."""
    _refuse_existing(target)
    try:
        handle, name = tempfile.mkstemp(".partial", f"{target.name}.", target.absolute().parent)
    except OSError as error:
        raise DatabaseUnusable(f"cannot write {target}: {error.strerror}") from error
    partial = Path(name)
    try:
        rows = _copy(path, partial, counted)
        os.fsync(handle)
        size = os.fstat(handle).st_size
        _refuse_existing(target)
        partial.rename(target)
    except (OSError, sqlite3.Error) as error:
        raise DatabaseUnusable(f"cannot copy {path} to {target}: {error}") from error
    finally:
        os.close(handle)
        for each in (partial, partial.with_name(f"{partial.name}-journal")):
            with contextlib.suppress(OSError):
                each.unlink()
    _flush_folder(target)
    return Copied(size, rows)


def _refuse_existing(target: Path) -> None:
    if os.path.lexists(target):  # unlike `exists`, it does not raise
        raise DatabaseUnusable(f"{target} is there already, and is not overwritten")


def _copy(path: Path, partial: Path, counted: str) -> int:
    # Not mode=ro: such a connection, being the last one, would leave its files beside the database.
    with contextlib.closing(_open(path, "rw")) as source:
        (application,) = source.execute("PRAGMA application_id").fetchone()
        if application != APPLICATION_ID:
            raise DatabaseUnusable(f"{path} is a database of another program")
        source.set_progress_handler(lambda: 0, SIGNALS_SEEN_EVERY)
        # Bytes, since a name need not be text.
        source.execute("VACUUM INTO CAST(? AS TEXT)", (os.fsencode(partial),))
    with contextlib.closing(_open(partial, "ro")) as copied:
        (rows,) = copied.execute(f"SELECT count(*) FROM {counted}").fetchone()  # noqa: S608
    return int(rows)


def _open(path: Path, mode: str) -> sqlite3.Connection:
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}",
        uri=True,
        timeout=BUSY_TIMEOUT,
        isolation_level=None,
    )


def _flush_folder(target: Path) -> None:
    with contextlib.suppress(OSError):  # not every file system can
        folder = os.open(target.absolute().parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
