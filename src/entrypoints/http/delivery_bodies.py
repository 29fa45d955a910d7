"""Read the bodies of deliveries within a bound on the memory of all that are being read.

QStash delivers any number of messages at once, each up to its limit. A body is read once there is
room for the whole of it, or for the limit where its length is unknown. A delivery that finds no
room waits a moment, since most bodies are small and soon read, and is then refused with 503 and
Retry-After: that costs QStash a retry and this process nothing.
"""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from litestar import Request
from litestar.exceptions.http_exceptions import RequestEntityTooLarge

MIB = 1024 * 1024

QUEUED_BEFORE = MIB + MIB // 16
"""Bytes of a message that is read whatever the bound of messages is now: the version before had no
bound, and accepted requests of 1 MiB. A message may be delivered days after it was published."""
RESPONSE_LIMIT = MIB
"""Bytes of our response to the last delivery, or of what a proxy made of it, in a failure
callback."""
HEADERS_LIMIT = 64 * 1024
"""Bytes of headers and all else in a failure callback."""
ROOM = 64 * MIB
"""Bytes of bodies that are read at the same time, unless four of the largest have more."""
WAIT = 5.0
"""Seconds that a delivery waits for room."""


class NoRoom(Exception):
    """Raised when there was no room for a body. It may be delivered again after `retry_after`
    seconds."""

    retry_after = WAIT


class DeliveryBodies:
    def __init__(self, max_message_bytes: int) -> None:
        """`max_message_bytes`: the longest message that this service publishes."""
        self.task_limit = max(max_message_bytes, QUEUED_BEFORE)
        """Bytes of a delivery."""
        self.failure_limit = (
            _in_base64(self.task_limit) + _in_base64(RESPONSE_LIMIT) + HEADERS_LIMIT
        )
        """Bytes of a failure callback: the message and our response, in base64."""
        self._free = max(ROOM, 4 * self.failure_limit)
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @asynccontextmanager
    async def body(self, request: Request[Any, Any, Any], limit: int) -> AsyncIterator[bytearray]:
        """The body, whose room is reserved while the context is open. Raises NoRoom, or
        RequestEntityTooLarge for a body of more than `limit` bytes."""
        size = request.content_length
        if size is None:
            size = limit
        elif size > limit:
            raise RequestEntityTooLarge
        await self._reserve(size)
        try:
            whole = bytearray()
            # Not `request.body()`, which keeps it for as long as the attempt lasts.
            async for chunk in request.stream():
                if len(whole) + len(chunk) > size:
                    raise RequestEntityTooLarge
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


def _in_base64(size: int) -> int:
    return 4 * math.ceil(size / 3)
