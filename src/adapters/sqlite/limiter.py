"""Limiter that counts in memory and keeps the file in step, so that its counts survive a restart.

One process holds the file, so memory decides, and a call costs at most one write, which need not
reach the disk before the call returns: a power cut may take the newest counts.

A slot that is held for a short time has to be renewed by the process that holds it, as those of
streams are. It ends with this process, so it is not written at all.
"""

import sqlite3
from collections.abc import Callable, Sequence

from adapters.database import Database, Insert, Schema, Transaction
from adapters.memory import MemoryLimiter
from adapters.sqlite.errors import translated_errors
from adapters.sqlite.steady_clock import steady_clock
from application.errors import StoreUnavailable
from application.ports import HeldSlot, Limiter, WindowUsage

LIMITS = Schema(
    "limits",
    (
        """
        CREATE TABLE windows (
            counter TEXT PRIMARY KEY, used INTEGER NOT NULL,
            until INTEGER NOT NULL, length INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE INDEX windows_until ON windows (until);
        CREATE TABLE slots (
            counter TEXT NOT NULL, holder TEXT NOT NULL, until INTEGER NOT NULL,
            PRIMARY KEY (counter, holder)
        ) WITHOUT ROWID;
        CREATE INDEX slots_until ON slots (until);
        """,
    ),
)
"""`until` in ms since 1970, `length` of a window in ms."""
SHORT = 3600.0
"""Seconds. A slot that is held for less is not written."""

SWEEP_INTERVAL = 60.0
"""Seconds between two looks for slots that have ended without a release."""

_LARGEST = 2**62
_WINDOW = Insert("INSERT OR REPLACE INTO windows (counter, used, until, length)", 4)
_SLOT = Insert("INSERT OR REPLACE INTO slots (counter, holder, until)", 3)


class SqliteLimiter(Limiter):
    def __init__(self, database: Database, clock: Callable[[], float] | None = None) -> None:
        """`clock`: gives seconds since 1970, and never goes back."""
        self._database = database
        self._clock = clock or steady_clock()
        self._loaded: MemoryLimiter | None = None
        self._written: dict[tuple[str, str], float] = {}
        """Slots that are in the file, and when each ends."""
        self._swept = 0.0

    async def consume(
        self, counter: str, amount: int, limit: int | None, window: float
    ) -> WindowUsage:
        counts = await self._counts()
        usage = await counts.consume(counter, amount, limit, window)
        if usage.granted and amount:
            until = _milliseconds(self._clock() + usage.reset)
            row = (counter, min(usage.used, _LARGEST), until, _milliseconds(window))
            await self._write(lambda tx: tx.insert(_WINDOW, row))
        return usage

    async def acquire(self, counter: str, holder: str, limit: int, ttl: float) -> bool:
        counts = await self._counts()
        if not await counts.acquire(counter, holder, limit, ttl):
            return False
        try:
            await self._write_slots(counter, [holder], ttl)
        except StoreUnavailable:
            self._written.pop((counter, holder), None)
            await counts.release(counter, holder)
            raise
        return True

    async def renew(self, counter: str, holders: Sequence[str], ttl: float) -> None:
        counts = await self._counts()
        await counts.renew(counter, holders, ttl)
        await self._write_slots(counter, holders, ttl)

    async def holders(self, counter: str, limit: int) -> Sequence[HeldSlot]:
        return await (await self._counts()).holders(counter, limit)

    async def postpone(self, counter: str, holders: Sequence[str], ttl: float) -> None:
        counts = await self._counts()
        await counts.postpone(counter, holders, ttl)
        held = [each for each in holders if (counter, each) in self._written]
        await self._write_slots(counter, held, ttl)

    async def release(self, counter: str, holder: str) -> None:
        counts = await self._counts()
        await counts.release(counter, holder)
        if self._written.pop((counter, holder), None) is not None:
            await self._write(
                lambda tx: tx.execute(
                    "DELETE FROM slots WHERE counter = ? AND holder = ?", (counter, holder)
                )
            )

    async def _counts(self) -> MemoryLimiter:
        """Return the counts, those of the file at first. Until then nothing is counted, so of
        several that read the file at the same time any one may be the first."""
        if self._loaded is None:
            with translated_errors():
                windows, slots = await self._database.read(_read)
            if self._loaded is None:
                self._loaded = await self._restored(windows, slots)
        return self._loaded

    async def _restored(
        self, windows: Sequence[tuple[str, int, int, int]], slots: Sequence[tuple[str, str, int]]
    ) -> MemoryLimiter:
        counts, now = MemoryLimiter(self._clock), self._clock()
        for counter, used, until, length in windows:
            # No longer than a window is: the system's clock may have been set back meanwhile.
            if (left := min(until / 1000 - now, length / 1000)) > 0:
                await counts.consume(counter, used, None, left)
        for counter, holder, until in slots:
            if (left := until / 1000 - now) > 0:
                await counts.renew(counter, [holder], left)
                self._written[counter, holder] = until / 1000
        return counts

    async def _write_slots(self, counter: str, holders: Sequence[str], ttl: float) -> None:
        names = [each for each in holders if ttl >= SHORT or (counter, each) in self._written]
        if not names:
            return
        ends = self._clock() + ttl
        self._forget_ended()
        self._written.update(((counter, each), ends) for each in names)
        until = _milliseconds(ends)

        def write(tx: Transaction) -> None:
            for each in names:
                tx.insert(_SLOT, (counter, each, until))

        await self._write(write)

    def _forget_ended(self) -> None:
        """Forget slots that were not released. The housekeeping removes them from the file."""
        now = self._clock()
        if now - self._swept >= SWEEP_INTERVAL:
            self._swept = now
            self._written = {slot: ends for slot, ends in self._written.items() if ends > now}

    async def _write(self, work: Callable[[Transaction], object]) -> None:
        with translated_errors():
            await self._database.write(work, durable=False)


def drop_ended(tx: Transaction, now: int, rows: int) -> int:
    """Delete at most so many windows and as many slots that are over at `now` (ms since 1970);
    return how many were."""
    dropped = 0
    for table, key in (("windows", "counter"), ("slots", "counter, holder")):
        dropped += tx.execute(
            f"DELETE FROM {table} WHERE ({key}) IN "  # noqa: S608  (constants)
            f"(SELECT {key} FROM {table} WHERE until <= ? LIMIT ?)",
            (now, rows),
        ).rowcount
    return dropped


def _read(
    connection: sqlite3.Connection,
) -> tuple[list[tuple[str, int, int, int]], list[tuple[str, str, int]]]:
    windows = connection.execute("SELECT counter, used, until, length FROM windows").fetchall()
    return windows, connection.execute("SELECT counter, holder, until FROM slots").fetchall()


def _milliseconds(seconds: float) -> int:
    return round(seconds * 1000)
