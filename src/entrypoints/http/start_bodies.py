"""Read the bodies of starts within a bound on the memory of all that are being read.

A body is short and soon read, unless its client is slow on purpose. So when all of them together
hold more than they may, the one that has been read for the longest time is refused, and quick
clients are not kept waiting.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from entrypoints.http.problems import problem, retry_after_header

SHORT = 16 * 1024
"""Bytes of a body that is not worth counting: the connection itself may hold more."""
ROOM = 64 * 1024 * 1024
"""Bytes of bodies that are being read: 64 of the largest."""


class StartBodies:
    def __init__(self, room: int = ROOM) -> None:
        self._room = room
        self._held = 0
        self._reading: dict[asyncio.Timeout, int] = {}  # bytes of each, the longest first

    async def counted(self, chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """The chunks of a body as they come. Raises a problem (503) for a body that took too long
        while there was no room."""
        try:
            async with asyncio.timeout(None) as cut, aclosing(chunks):
                self._reading[cut] = 0
                async for chunk in chunks:
                    self._add(cut, len(chunk))
                    yield chunk
        except TimeoutError:
            raise problem(
                503,
                "too-many-requests-at-once",
                "The body came too slowly while too many others were being read.",
                headers={"Connection": "close", **retry_after_header(1)},
            ) from None
        finally:
            self._held -= self._reading.pop(cut, 0)

    def _add(self, body: asyncio.Timeout, size: int) -> None:
        if body not in self._reading:
            return  # it is being refused
        self._reading[body] += size
        self._held += size
        while self._held > self._room:
            longest = next(iter(self._reading))
            self._held -= self._reading.pop(longest)
            longest.reschedule(0.0)
