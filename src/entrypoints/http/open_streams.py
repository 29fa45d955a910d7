"""The open streams of this process: each is counted, and holds its caller's slot. Those of an owner
whose keys were all withdrawn end."""

import asyncio
from collections.abc import Coroutine, Iterable
from contextvars import Context
from typing import Any

from application.quotas import Quotas, StreamSlot
from application.reader import Reader
from entrypoints.http.request_counts import RequestCounts
from entrypoints.valid_keys import ValidKeys


class OpenStreams:
    def __init__(self, quotas: Quotas, request_counts: RequestCounts, keys: ValidKeys) -> None:
        self._quotas = quotas
        self._request_counts = request_counts
        self._keys = keys
        self._readers: dict[str, dict[str, Reader]] = {}
        """Of each owner, by the holder of the slot."""
        self._leaving: set[asyncio.Task[None]] = set()

    def open(self, slot: StreamSlot, reader: Reader, *, resumed: bool) -> None:
        """Count a stream that begins, and keep its slot until it is closed. To be called before its
        reader starts."""
        self._request_counts.stream_opened(resumed=resumed)
        self._quotas.enter(slot)
        if slot.owner is None:
            return
        self._readers.setdefault(slot.owner, {})[slot.holder] = reader
        if slot.owner not in self._keys.names:  # withdrawn since the request began
            reader.close()

    def close(self, slot: StreamSlot) -> None:
        """Count a stream that has ended, and release its slot, soon."""
        self._request_counts.stream_closed()
        if slot.owner is not None and (readers := self._readers.get(slot.owner)) is not None:
            readers.pop(slot.holder, None)
            if not readers:
                del self._readers[slot.owner]
        self.finish_soon(self._quotas.leave(slot))

    def end_of(self, owners: Iterable[str]) -> None:
        """End the streams and held responses of these owners, as if this process stopped."""
        for owner in owners:
            for reader in list(self._readers.get(owner, {}).values()):
                reader.close()

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
