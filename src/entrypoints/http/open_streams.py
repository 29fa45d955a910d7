"""The open streams of this process: each is counted, and holds its caller's slot."""

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any

from application.quotas import Quotas, StreamSlot
from entrypoints.http.request_counts import RequestCounts


class OpenStreams:
    def __init__(self, quotas: Quotas, request_counts: RequestCounts) -> None:
        self._quotas = quotas
        self._request_counts = request_counts
        self._leaving: set[asyncio.Task[None]] = set()

    def open(self, slot: StreamSlot, *, resumed: bool) -> None:
        """Count a stream that begins, and keep its slot until it is closed."""
        self._request_counts.stream_opened(resumed=resumed)
        self._quotas.enter(slot)

    def close(self, slot: StreamSlot) -> None:
        """Count a stream that has ended, and release its slot, soon."""
        self._request_counts.stream_closed()
        self.finish_soon(self._quotas.leave(slot))

    def finish_soon(self, work: Coroutine[Any, Any, None]) -> None:
        """Do what is left to do for a stream that was closed."""
        leaving = asyncio.create_task(work, context=Context())
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def aclose(self) -> None:
        """Return once the slots of all streams that were closed are released, and all that is left
        to do for them is done."""
        while self._leaving:  # others may be closed in the meantime
            await asyncio.gather(*self._leaving)
