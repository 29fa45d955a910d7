"""uvicorn's server, on bounded connections, stopping in an order that streams and attempts need."""

import asyncio
import contextlib
import math
import signal
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from types import FrameType
from typing import Any, cast

import uvicorn
from litestar.types import ASGIApp

from entrypoints.http.protocol.bounded_protocol import BoundedProtocol
from entrypoints.http.protocol.bounds import Bounds
from entrypoints.http.protocol.unsent import Unsent

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
CLOSE_TIMEOUT = 10
"""Seconds that uvicorn waits for open responses after they were told to end."""

KEEP_ALIVE = 75
"""Seconds that a connection is kept without a request: longer than the proxies in front keep it, so
that none sends a request into a connection that is being closed."""

LOCAL_CONNECTIONS = 512
"""Connections of a local QStash, whose clients are few."""

TICK = 0.1
"""Seconds between two ticks of a server, as uvicorn counts them. A third Ctrl-C, which waits for
nothing, is obeyed at the next tick."""


class GracefulServer(uvicorn.Server):
    """A uvicorn that passes the order to stop on when it arrives. uvicorn itself would first wait
    for open responses, and an event stream ends only when it is told to."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        signals: bool,
        on_stop: Callable[[], None] = lambda: None,
        drained: Callable[[], Awaitable[None]] | None = None,
        grace: float = 0.0,
        request_timeout: float = 30.0,
        write_timeout: float = 60.0,
        max_connections: int = LOCAL_CONNECTIONS,
        proxies: Sequence[str] = (),
    ) -> None:
        """`on_stop` is called when the order to stop arrives, and again by a second Ctrl-C, which
        ends the grace. `grace`: seconds that requests may go on after the order. New requests are
        still served until `drained` returns: readiness is red by then, and a load balancer needs a
        moment to see it. X-Forwarded-For and X-Forwarded-Proto are believed from `proxies`
        (addresses or networks) only."""
        self._bounds = Bounds(request_timeout, max_connections, Unsent(write_timeout))
        super().__init__(
            uvicorn.Config(
                app,
                interface="asgi3",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                http=cast(Any, partial(BoundedProtocol, bounds=self._bounds)),
                ws="none",
                proxy_headers=bool(proxies),
                forwarded_allow_ips=list(proxies),
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=math.ceil(grace) + CLOSE_TIMEOUT,
            )
        )
        self.ready = asyncio.Event()
        self._on_stop = on_stop
        self._drained = drained
        self._signals = signals
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ordered_to_stop = asyncio.Event()
        self._hurried = False

    def stop(self) -> None:
        """End `serve` at once, not at its next tick. From any thread, and from a signal handler."""
        self.should_exit = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ordered_to_stop.set)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        again = self.should_exit and sig == signal.SIGINT
        if again and not self._hurried and self._drained is not None and self._loop is not None:
            self._hurried = True
            self._loop.call_soon_threadsafe(self._on_stop)
            return
        super().handle_exit(sig, frame)
        self.stop()

    async def main_loop(self) -> None:
        """Tick until the order to stop. uvicorn's own loop notices the order at its next tick."""
        counter = 0
        while not await self.on_tick(counter):
            counter += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TICK):
                    await self._ordered_to_stop.wait()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        self.ready.set()

    async def on_tick(self, counter: int) -> bool:
        self._bounds.unsent.sweep(cast("set[BoundedProtocol]", self.server_state.connections))
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle the signals without raising them again. uvicorn would do so once it has stopped,
        while what runs beside it is still being stopped."""
        if not self._signals:
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in STOP_SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stop()
        if self._drained is not None:
            drained = asyncio.ensure_future(self._drained())
            while not (drained.done() or self.force_exit):
                await asyncio.wait([drained], timeout=TICK)
            drained.cancel()
        self._bounds.turns.let_all_begin()
        self._bounds.closed = True  # those that uvicorn does not see yet when it tells all to end
        await super().shutdown(sockets)
