"""What connections hold in memory because their clients do not read: bounded, for each and in all.

A connection counts while its transport holds more than the transport's high-water mark (64 KiB), or
while requests that came behind the one being handled wait unread. One that takes nothing for the
write time-out is cut, and so is the one that has held something for the longest time as soon as all
of them together hold more than they may. A reader that was cut connects again and goes on behind
its last event.
"""

import asyncio
import time
from collections.abc import Iterable
from typing import Protocol

import structlog

from entrypoints.http.protocol.direct_write import cut_off

log = structlog.get_logger(__name__)

UNSENT_LIMIT = 128 * 1024 * 1024
"""Bytes that wait for slow clients, or because of them, in one process."""
SWEEP_PAUSE = 1.0
"""Seconds between two looks at connections that make no progress."""


NOTHING = (0, 0.0)
"""Of a connection for which nothing waits."""


class Connection(Protocol):
    transport: asyncio.Transport
    unsent: tuple[int, float]
    """Bytes that its client had taken when `sweep` last looked, and when it last took any."""

    @property
    def written(self) -> int:
        """Bytes that were written to it, at least those of streams."""
        ...


class Unsent:
    def __init__(self, timeout: float, limit: int = UNSENT_LIMIT) -> None:
        """`timeout`: seconds without progress after which a connection is cut. `limit`: bytes that
        all together may hold."""
        self._timeout = timeout
        self._limit = limit
        self._held: dict[Connection, int] = {}  # the longest first
        self._total = 0
        self._swept = 0.0

    def holds(self, connection: Connection, size: int) -> None:
        """So many bytes wait for a connection now."""
        before = self._held.get(connection, 0)
        if size == before:
            return
        self._total += size - before
        if size == 0:
            del self._held[connection]
        else:
            self._held[connection] = size  # an older one keeps its place
        while self._total > self._limit:
            longest = next(iter(self._held))
            log.warning("slow client cut: too much waits for all", bytes=self._held[longest])
            self._cut(longest)

    def sweep(self, connections: Iterable[Connection]) -> None:
        """Cut those that have taken nothing for the time-out, whether little waits for them or
        much, and also while they are being closed. To be called often: it looks once a second."""
        now = time.monotonic()
        if now - self._swept < SWEEP_PAUSE:
            return
        self._swept = now
        for connection in list(connections):
            size = connection.transport.get_write_buffer_size()
            taken = connection.written - size
            before, since = connection.unsent
            if size == 0:
                connection.unsent = NOTHING
            elif taken > before or since == 0.0:
                connection.unsent = (taken, now)
            elif now - since <= self._timeout:
                connection.unsent = (taken, since)
            else:
                log.info("slow client cut: it takes nothing", bytes=size)
                self._cut(connection)

    def _cut(self, connection: Connection) -> None:
        self.holds(connection, 0)
        cut_off(connection.transport)
