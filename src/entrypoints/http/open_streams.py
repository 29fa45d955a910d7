"""The open streams of this process: each is counted, and holds its caller's slot. Those of an owner
whose keys were all withdrawn end, and all end when the process stops."""

import asyncio
from collections.abc import Coroutine, Iterable
from contextvars import Context
from typing import Any, Protocol

from application.quotas import Quotas, StreamSlot
from entrypoints.http.request_counts import RequestCounts
from entrypoints.valid_keys import ValidKeys


class OpenStream(Protocol):
    """What writes a stream: a reader of a task, or a watcher of an owner's tasks."""

    def close(self) -> None:
        """End the stream, as if this process stopped. Safe to call twice."""
        ...


class OpenStreams:
    def __init__(self, quotas: Quotas, request_counts: RequestCounts, keys: ValidKeys) -> None:
        self._quotas = quotas
        self._request_counts = request_counts
        self._keys = keys
        self._open: dict[str | None, dict[str, OpenStream]] = {}
        """Of each owner, by the holder of the slot."""
        self._leaving: set[asyncio.Task[None]] = set()

    def open(self, slot: StreamSlot, stream: OpenStream, *, resumed: bool) -> None:
        """Count a stream that begins, and keep its slot until it is closed. To be called before its
        stream starts."""
        self._request_counts.stream_opened(resumed=resumed)
        self._quotas.enter(slot)
        self._open.setdefault(slot.owner, {})[slot.holder] = stream
        if slot.owner is not None and slot.owner not in self._keys.names:
            stream.close()  # withdrawn since the request began

    def close(self, slot: StreamSlot) -> None:
        """Count a stream that has ended, and release its slot, soon."""
        self._request_counts.stream_closed()
        if (streams := self._open.get(slot.owner)) is not None:
            streams.pop(slot.holder, None)
            if not streams:
                del self._open[slot.owner]
        self.finish_soon(self._quotas.leave(slot))

    def end_all(self) -> None:
        """End all streams and held responses: this process stops."""
        self.end_of(tuple(self._open))

    def end_of(self, owners: Iterable[str | None]) -> None:
        """End the streams and held responses of these owners, as if this process stopped."""
        for owner in owners:
            for stream in list(self._open.get(owner, {}).values()):
                stream.close()

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
