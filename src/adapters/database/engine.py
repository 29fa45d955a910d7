"""The engine: one writer thread, which commits all that waits for it in one transaction (a group
commit), and a few reader threads.

A group costs one transaction however many writes it has, so the engine keeps up with many tasks at
once. sqlite3 gives up the GIL at every statement and, while the event loop is busy, waits for it
again: so rows of one table are inserted by few statements (`Transaction.insert`).

A group is flushed to the disk (synchronous=FULL) if one of its writes is `durable`. The others
survive the death of the process, but a power cut may take the newest of them. What is left is
consistent in either case.
"""

import asyncio
import contextlib
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from adapters.database.identity import GONE, Identity
from adapters.database.transaction import Transaction

T = TypeVar("T")

LARGEST_GROUP = 500
"""Writes in one transaction."""
READERS = 2
BUSY_TIMEOUT = 5.0
"""Seconds to wait for another process that has locked the file, such as a program that inspects
it."""
LARGEST_WAL = 64 * 1024 * 1024
"""Bytes of the write-ahead log after which its restart is no longer left to chance. SQLite restarts
it when there are no reads, which never is while one read begins before another ends."""
RESTART_TIMEOUT = 0.2
"""Seconds for which a restart of the log waits for reads that use it. Writes wait meanwhile; reads
that begin do not use it."""
LOOK_PAUSE, BUSY_PAUSE = 1.0, 10.0
"""Seconds between two looks at the size of the log, and after a restart that waited in vain."""


class DatabaseUnavailable(Exception):
    """Raised when the file cannot be read or written now (the disk is full or fails), or when the
    database is closed. A write that raises it was not carried out."""


@dataclass(slots=True)
class _Write:
    work: Callable[[Transaction], Any]
    durable: bool
    committed: Callable[[Any], None] | None
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[Any]"
    result: Any = None
    error: Exception | None = None

    def finish(self) -> None:
        """Called in the event loop."""
        if self.error is None and self.committed is not None:
            try:
                self.committed(self.result)
            except Exception as error:
                self.error = error
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class Database:
    """Made by `open_database`."""

    def __init__(
        self, path: Path, writing: sqlite3.Connection, release: Callable[[], None]
    ) -> None:
        """`writing`: the connection that opened the file. `release` is called once everything is
        closed."""
        self.path = path
        self._writing = writing
        self._identity = Identity(path)
        self._release = release
        self._durable: bool | None = None
        self._look_at = 0.0
        self._waiting: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._forget: list[Callable[[], None]] = []
        self._closed = False
        self._idle_readers: queue.SimpleQueue[sqlite3.Connection] = queue.SimpleQueue()
        self._readers = ThreadPoolExecutor(READERS, "database-reader")
        self._writer = threading.Thread(target=self._write_groups, name="database-writer")
        self._writer.daemon = True  # a process that crashes does not wait for it
        self._writer.start()

    def on_rollback(self, forget: Callable[[], None]) -> None:
        """Have `forget` called in the writer thread whenever writes that were executed do not
        count: for what a work keeps in memory about what it has written."""
        self._forget.append(forget)

    async def write(
        self,
        work: Callable[[Transaction], T],
        *,
        durable: bool = True,
        committed: Callable[[T], None] | None = None,
    ) -> T:
        """Execute `work` in the writer thread, behind all writes that were asked for before; return
        what it returns once that is committed, and raise what it raises, which undoes its changes
        alone. `work` may be executed twice: the first time does not count then.

        `committed` is called with the result in the event loop, in the order of the writes, even if
        the caller was cancelled. `durable`: whether the write must survive a power cut.

        Raises DatabaseUnavailable."""
        if self._closed:
            raise DatabaseUnavailable("the database is closed")
        loop = asyncio.get_running_loop()
        write = _Write(work, durable, committed, loop, loop.create_future())
        self._waiting.put(write)
        result: T = await write.future
        return result

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Execute `work`, which only reads, in a reader thread, on one snapshot that has everything
        that was committed; return what it returns. Raises DatabaseUnavailable."""
        if self._closed:
            raise DatabaseUnavailable("the database is closed")
        return await asyncio.get_running_loop().run_in_executor(self._readers, self._read, work)

    async def aclose(self) -> None:
        """Carry out what was asked for, then close the file. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        self._waiting.put(None)
        await asyncio.get_running_loop().run_in_executor(None, self.close)

    def close(self) -> None:
        """Close the file, as `aclose` does, from any other thread than those of the database. Safe
        to call twice."""
        if not self._closed:
            self._closed = True
            self._waiting.put(None)
        self._writer.join()
        self._readers.shutdown()
        with contextlib.suppress(queue.Empty):
            while True:
                self._idle_readers.get_nowait().close()
        with contextlib.suppress(sqlite3.Error):  # a full disk: the log is read at the next start
            self._writing.close()
        self._identity.put_log_aside()
        release, self._release = self._release, lambda: None
        release()

    def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            connection = self._idle_reader()
            try:
                connection.execute("BEGIN")
                return work(connection)
            finally:
                connection.rollback()
                self._idle_readers.put(connection)
        except sqlite3.Error as error:
            raise DatabaseUnavailable(str(error)) from error

    def _idle_reader(self) -> sqlite3.Connection:
        with contextlib.suppress(queue.Empty):
            return self._idle_readers.get_nowait()
        if self._identity.lost(now_too=True):
            raise DatabaseUnavailable(GONE)
        connection = sqlite3.connect(
            f"{self.path.absolute().as_uri()}?mode=ro",
            uri=True,
            timeout=BUSY_TIMEOUT,
            isolation_level=None,
            check_same_thread=False,
        )
        connection.execute("PRAGMA query_only = ON")
        return connection

    def _write_groups(self) -> None:
        while self._write_group(self._waiting.get()):
            pass
        # Asked for while the database was being closed.
        with contextlib.suppress(queue.Empty):
            while True:
                if (late := self._waiting.get_nowait()) is not None:
                    late.error = DatabaseUnavailable("the database is closed")
                    self._finish([late])

    def _write_group(self, first: _Write | None) -> bool:
        """Carry out a write with those that wait behind it; return whether there may be more. A
        function of its own, so that nothing of them is in memory while the thread waits."""
        if first is None:
            return False
        group, last = [first], False
        with contextlib.suppress(queue.Empty):
            while len(group) < LARGEST_GROUP:
                write = self._waiting.get_nowait()
                if write is None:
                    last = True
                    break
                group.append(write)
        if not self._commit(group):
            # One of them failed: each counts by itself, so that it alone fails.
            for each in group:
                self._commit([each])
        self._finish(group)
        self._restart_log()
        return not last

    def _commit(self, group: Sequence[_Write]) -> bool:
        """Carry out writes in one transaction. Return False, having undone it, if one of several
        failed in a way that may have changed something. Otherwise what failed is noted."""
        transaction = Transaction(self._writing)
        begun = False
        try:
            self._begin(any(each.durable for each in group))
            begun = True
            for each in group:
                transaction.changed = False
                try:
                    each.result, each.error = each.work(transaction), None
                except sqlite3.Error:
                    raise
                except Exception as error:
                    if transaction.changed:
                        raise
                    each.error = error
            transaction.flush()
            self._writing.execute("COMMIT")
        except Exception as error:
            for each in group:
                each.error = (
                    DatabaseUnavailable(str(error)) if isinstance(error, sqlite3.Error) else error
                )
            self._undo()
            # If no write was executed (another process has locked the file, say), none is at fault.
            return not begun or len(group) == 1
        transaction.vacuum()
        return True

    def _restart_log(self) -> None:
        """Have the write-ahead log written from its beginning again if it is too large."""
        if (now := time.monotonic()) < self._look_at:
            return
        self._look_at = now + LOOK_PAUSE
        with contextlib.suppress(OSError, sqlite3.Error):
            if os.stat(f"{os.path.realpath(self.path)}-wal").st_size <= LARGEST_WAL:
                return
            self._writing.execute(f"PRAGMA busy_timeout = {RESTART_TIMEOUT * 1000:.0f}")
            try:
                (busy, *_) = self._writing.execute("PRAGMA wal_checkpoint(RESTART)").fetchone()
                if busy:
                    self._look_at = time.monotonic() + BUSY_PAUSE
            finally:
                self._writing.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT * 1000:.0f}")

    def _begin(self, durable: bool) -> None:
        if self._identity.lost():
            raise DatabaseUnavailable(GONE)
        if durable is not self._durable:
            self._writing.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
            self._durable = durable
        self._writing.execute("BEGIN IMMEDIATE")

    def _undo(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._writing.rollback()
        for forget in self._forget:
            forget()

    def _finish(self, group: Sequence[_Write]) -> None:
        """Tell the callers, with one call into the event loop for all of them."""
        by_loop: dict[asyncio.AbstractEventLoop, list[_Write]] = {}
        for each in group:
            by_loop.setdefault(each.loop, []).append(each)
        for loop, writes in by_loop.items():
            with contextlib.suppress(RuntimeError):  # the loop is closed: no caller waits any more
                loop.call_soon_threadsafe(_finish_all, writes)


def _finish_all(writes: Sequence[_Write]) -> None:
    for each in writes:
        each.finish()
