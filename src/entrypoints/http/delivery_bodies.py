"""Read the bodies of deliveries within a bound on the memory of all that are being read.

QStash delivers any number of messages at once, each up to its limit. A body is read once there is
room for the whole of it, or for the limit where its length is unknown. A delivery that finds no
room waits a moment, since most bodies are small and soon read, and is then refused with 503 and
Retry-After: that costs QStash a retry and this process nothing.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Request

ROOM = 64 * 1024 * 1024
"""Bytes of bodies that are read at the same time: four of the largest."""
WAIT = 5.0
"""Seconds that a delivery waits for room."""


class NoRoom(Exception):
    """Raised when there was no room for a body. It may be delivered again after `retry_after`
    seconds."""

    retry_after = WAIT


class DeliveryBodies:
    def __init__(self, room: int = ROOM) -> None:
        self._free = room
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def body(self, request: Request[Any, Any, Any], limit: int) -> AsyncIterator[bytearray]:
        """The body, whose room is reserved while the context is open. Raises NoRoom, or Litestar's
        error for a body of more than `limit` bytes, which must be the handler's own limit."""
        size = request.content_length
        size = limit if size is None else min(size, limit)
        await self._reserve(size)
        try:
            whole = bytearray()
            # Not `request.body()`, which keeps it for as long as the attempt lasts.
            async for chunk in request.stream():
                whole += chunk
            yield whole
        finally:
            self._release(size)

    async def _reserve(self, size: int) -> None:
        """Reserve room, first come, first served: small bodies do not overtake a large one."""
        if not self._waiting and size <= self._free:
            self._free -= size
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            async with asyncio.timeout(WAIT):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():  # it was its turn at the same moment
                self._release(size)
            else:
                turn.cancel()
                self._serve()  # those behind it
            if isinstance(error, TimeoutError):
                raise NoRoom from None
            raise

    def _release(self, size: int) -> None:
        self._free += size
        self._serve()

    def _serve(self) -> None:
        while self._waiting:
            size, turn = self._waiting[0]
            if not turn.done():
                if size > self._free:
                    return
                self._free -= size
                turn.set_result(None)
            self._waiting.popleft()
