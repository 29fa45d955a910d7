"""Opening the file: its lock, its schemas and their migrations.

Each user of the file has a schema of its own, with a version. A file of an older version is
migrated, and one of a newer version is refused.
"""

import contextlib
import errno
import fcntl
import os
import socket
import sqlite3
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import sleep

from adapters.database.engine import BUSY_TIMEOUT, Database

APPLICATION_ID = 0x4C544B31
"""Says in the file's header that it is ours (PRAGMA application_id)."""
CACHE_KIB = 16 * 1024
LOOK = 0.05
"""Seconds, longer than `holder_of` has the lock."""
LARGEST_IDLE_WAL = 16 * 1024 * 1024
"""Bytes to which the write-ahead log is cut once it has been copied into the file."""


@dataclass(frozen=True, slots=True)
class Schema:
    """The tables of one user of the file."""

    name: str
    migrations: tuple[str, ...]
    """Scripts of SQL: the first makes the tables, each further one changes them to the next
    version. A script that was released must not change any more."""


class DatabaseError(Exception):
    """The base of what `open_database` raises. Its text is one sentence for people, which names the
    file."""


class DatabaseHeld(DatabaseError):
    """Raised when another process holds the file."""


class DatabaseNewer(DatabaseError):
    """Raised for a file that a newer version of this program has written."""


class DatabaseUnusable(DatabaseError):
    """Raised for a file that cannot be opened or written, or is none of ours."""


def open_database(path: Path, schemas: Sequence[Schema]) -> Database:
    """Open the file, or make it (mode 0600, in a folder that exists); bring its tables to the
    newest version. Only one process has it open at a time. Raises DatabaseError."""
    lock = _lock(path)
    try:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(_real(path), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        connection = _connect(path)
        try:
            _migrate(connection, path, schemas)
        except BaseException:
            connection.close()
            raise
    except UnicodeDecodeError as error:  # sqlite3 tells of a damaged schema, which is no text
        os.close(lock)
        raise DatabaseUnusable(f"cannot use {path}: the file is damaged") from error
    except (OSError, sqlite3.Error) as error:
        os.close(lock)
        raise DatabaseUnusable(f"cannot use {path}: {_words(error)}") from error
    except BaseException:
        os.close(lock)
        raise
    return Database(path, connection, lambda: os.close(lock))


def check_database(path: Path, schemas: Sequence[Schema]) -> None:
    """Raise the DatabaseError that `open_database` would raise for what is in a file that exists.
    Nothing is migrated or locked."""
    try:
        with contextlib.closing(_reading(path)) as connection:
            _refuse_of_others(connection, path)
            if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'schemas'").fetchone():
                versions = dict(connection.execute("SELECT name, version FROM schemas"))
                _refuse_newer(versions, path, schemas)
    except sqlite3.Error as error:
        raise DatabaseUnusable(f"cannot use {path}: {_words(error)}") from error


def holder_of(path: Path) -> str | None:
    """Return which process has the file open, such as `process 12 on host`. None if no process has
    it open. This takes the lock for a moment, which `open_database` waits for. Raises OSError if
    that cannot be found out."""
    try:
        lock = os.open(_beside(path), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(lock)
    finally:
        os.close(lock)
    return None


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # `resolve` may raise


def _beside(path: Path) -> Path:
    file = _real(path)  # of a link: the lock of its file
    return file.with_name(file.name + ".lock")


def _holder(lock: int) -> str:
    return os.pread(lock, 200, 0).decode(errors="replace").strip() or "another process"


def _lock(path: Path) -> int:
    """Lock the file beside it. The system drops the lock when the process ends, however it does."""
    beside = _beside(path)
    try:
        # Another user may have put a link there: what it leads to would be overwritten.
        flags = os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
        lock = os.open(beside, flags, 0o600)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EISDIR):
            raise DatabaseUnusable(f"{beside} is a link or folder, not a file") from error
        raise DatabaseUnusable(f"cannot use {path}: {_words(error)}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sleep(LOOK)  # `holder_of` may have it for a moment
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_ours(lock):
            os.close(lock)
            raise DatabaseUnusable(f"{beside} is a file of something else, and is not overwritten")
        os.truncate(lock, 0)
        os.pwrite(lock, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
    except OSError as error:
        holder = _holder(lock)
        os.close(lock)
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise DatabaseUnusable(f"cannot use {path}: {_words(error)}") from error
        raise DatabaseHeld(f"{path} is in use by {holder}: only one process can hold it") from error
    return lock


def _is_ours(lock: int) -> bool:
    if not stat.S_ISREG(os.fstat(lock).st_mode):
        return False
    written = os.pread(lock, 200, 0).strip(b"\0")  # a power cut may leave zeros
    return not written or written.startswith(b"process ")


def _words(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _reading(path: Path) -> sqlite3.Connection:
    # Not mode=ro: such a connection, being the last one, would leave its files beside the database.
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", uri=True, timeout=BUSY_TIMEOUT)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(  # some builds take a relative name that begins with `file:` apart
        path.absolute(), timeout=BUSY_TIMEOUT, isolation_level=None, check_same_thread=False
    )
    try:
        _refuse_of_others(connection, path)  # before anything is changed
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # counts for a new file only
        connection.execute("PRAGMA journal_mode = WAL")
        # macOS flushes to the disk by this only, other systems know no other way.
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute(f"PRAGMA journal_size_limit = {LARGEST_IDLE_WAL}")
        # Some builds overwrite every page that is freed, which writes what is deleted once more.
        connection.execute("PRAGMA secure_delete = FAST")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
    except BaseException:
        connection.close()
        raise
    return connection


def _refuse_of_others(connection: sqlite3.Connection, path: Path) -> None:
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if application != APPLICATION_ID and tables:
        raise DatabaseUnusable(f"{path} is a database of another program")


def _refuse_newer(versions: dict[str, int], path: Path, schemas: Sequence[Schema]) -> None:
    for schema in schemas:
        version, newest = versions.get(schema.name, 0), len(schema.migrations)
        if version > newest:
            raise DatabaseNewer(
                f"{path} was written by a newer version of longtask ({schema.name} {version}, and "
                f"this version knows {newest}): run that version, or use another file"
            )


def _migrate(connection: sqlite3.Connection, path: Path, schemas: Sequence[Schema]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS schemas (name TEXT PRIMARY KEY, version INTEGER NOT NULL)"
    )
    versions: dict[str, int] = dict(connection.execute("SELECT name, version FROM schemas"))
    _refuse_newer(versions, path, schemas)
    for schema in schemas:
        version, newest = versions.get(schema.name, 0), len(schema.migrations)
        for migration in schema.migrations[version:]:
            for statement in _statements(migration):
                connection.execute(statement)
        connection.execute("INSERT OR REPLACE INTO schemas VALUES (?, ?)", (schema.name, newest))
    connection.execute("COMMIT")


def _statements(script: str) -> list[str]:
    """The statements of a script. (`executescript` would commit the transaction first.)"""
    statements, begun = [], ""
    for line in script.splitlines():
        begun += line + "\n"
        if sqlite3.complete_statement(begun):
            statements.append(begun)
            begun = ""
    return statements
