"""Streams that stay open behind their last event, with nothing but pings on them.

A browser's EventSource reports an error when the server ends its stream, and connects again. The
page of the older system never closes its EventSource, and shows that error in the place of the
answer. So the stream of such a client is held open, for a bounded time and number. It is no open
stream any more: it holds no slot, and counts towards no limit of streams.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextvars import Context
from functools import partial

from application.accounts import network
from entrypoints.http.protocol.direct_write import DirectWriter
from entrypoints.http.request_counts import RequestCounts
from entrypoints.http.sse.encoder import PING


def is_event_source(headers: Mapping[str, str]) -> bool:
    """Whether a browser sent this request for an EventSource, or for a fetch that looks like one.
    Other clients read to the end of the body, and must get the end at once."""
    accepted = headers.get("accept", "").partition(",")[0].partition(";")[0].strip().lower()
    return accepted == "text/event-stream" and any(
        f"sec-fetch-{name}" in headers for name in ("site", "mode", "dest")
    )


class HeldStreams:
    def __init__(
        self,
        request_counts: RequestCounts,
        *,
        seconds: float,
        ping_interval: float,
        per_address: int,
        in_all: int,
    ) -> None:
        """Hold each stream for `seconds`, at most `per_address` for one network address and at most
        `in_all` in this process. A further stream takes the place of the one held longest."""
        self._request_counts = request_counts
        self._seconds = seconds
        self._ping_interval = ping_interval
        self._per_address = per_address
        self._in_all = in_all
        self._held: dict[_Held, None] = {}  # in the order in which they came
        self._addresses: dict[str, dict[_Held, None]] = {}
        self._closed = False

    def holder(
        self, headers: Mapping[str, str], address: str, *, resumed: bool
    ) -> Callable[[DirectWriter], None] | None:
        """Return what holds the stream of this request behind its last event. None if it must end
        there: a client that resumes knows about ids, and 204 ends it the next time it asks."""
        if resumed or not is_event_source(headers):
            return None
        return partial(self.hold, address=address)

    def hold(self, writer: DirectWriter, address: str) -> None:
        """Hold a detached response open and end it later; end it now if none may be held."""
        if self._closed or not (self._seconds and self._per_address and self._in_all):
            writer.finish()
            return
        account = network(address)
        same = self._addresses.get(account, {})
        if len(same) >= self._per_address:
            self._release(next(iter(same)))
        elif len(self._held) >= self._in_all:
            self._release(next(iter(self._held)))
        held = _Held(writer, account)
        self._held[held] = None
        self._request_counts.stream_held()
        self._addresses.setdefault(account, {})[held] = None
        loop = asyncio.get_running_loop()
        self._ping_later(held, loop, loop.time() + self._seconds)
        writer.on_close(lambda: self._release(held))

    def close(self) -> None:
        """End all, and hold no more: the process stops."""
        self._closed = True
        for held in list(self._held):
            self._release(held)

    def _ping_later(self, held: "_Held", loop: asyncio.AbstractEventLoop, until: float) -> None:
        delay = min(self._ping_interval, until - loop.time())
        # The context of the request that opened the stream would be kept for as long as it is held.
        held.timer = loop.call_later(
            max(0.0, delay), self._tick, held, loop, until, context=Context()
        )

    def _tick(self, held: "_Held", loop: asyncio.AbstractEventLoop, until: float) -> None:
        if loop.time() >= until:
            self._release(held)
        else:
            held.writer.push(PING)
            self._ping_later(held, loop, until)

    def _release(self, held: "_Held") -> None:
        if held not in self._held:
            return
        del self._held[held]
        self._request_counts.held_stream_ended()
        same = self._addresses[held.account]
        del same[held]
        if not same:
            del self._addresses[held.account]
        if held.timer is not None:
            held.timer.cancel()
        held.writer.finish()


class _Held:
    """One stream."""

    __slots__ = ("account", "timer", "writer")

    def __init__(self, writer: DirectWriter, account: str) -> None:
        self.writer = writer
        self.account = account
        self.timer: asyncio.TimerHandle | None = None
