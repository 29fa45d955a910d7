"""Running the service, and the local QStash beside it or alone, on uvicorn.

Sockets are bound before anything starts, so that a port taken is one clear error, port 0 works, and
the addresses that parts tell each other are known when they are wired.
"""

import asyncio
import contextlib
import gc
import math
import signal
import socket
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from functools import partial
from types import FrameType
from typing import Any, cast

import structlog
import uvicorn
from litestar.types import ASGIApp

from adapters.qstash import DEVELOPMENT, QueueCredentials
from application.errors import StoreUnavailable
from entrypoints.container import Container
from entrypoints.descriptors import max_connections, use_all_descriptors
from entrypoints.host_names import accepts_host
from entrypoints.http.app import create_app
from entrypoints.http.bounded_protocol import BoundedProtocol
from entrypoints.http.bounds import Bounds
from entrypoints.http.unsent import Unsent
from entrypoints.local_qstash.app import create_app as create_local_qstash
from entrypoints.settings import Settings

log = structlog.get_logger(__name__)

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
LAST_WORDS = 10
"""Seconds that uvicorn waits for open requests once they were told to end."""

KEEP_ALIVE = 75
"""Seconds that a connection is kept without a request: longer than the proxies in front keep it, so
that none sends a request into a connection that is being closed."""

SEND_BUFFER = 128 * 1024
"""Bytes (the kernel takes twice as many) that the kernel holds for a client that does not read:
else 4 MB, which no bound of ours sees, and so late that a client seems to take nothing."""

LOCAL_CONNECTIONS = 512
"""Connections of a local QStash, whose clients are few."""

TICK = 0.1
"""Seconds between two ticks of a server, as uvicorn counts them. A second order to stop, which ends
the first one's grace, is obeyed at the next tick."""


class AddressTaken(Exception):
    """Raised when an address cannot be listened on."""


class Server(uvicorn.Server):
    """uvicorn, telling us of the order to stop when it comes, not when it has been carried out:
    it waits for open responses first, and an event stream only ends when it is told to."""

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
        """`grace`: seconds that requests may go on after `on_stop` has told them to end. Until
        `drained` returns all requests are still answered: readiness is red by then, and whoever
        balances the load needs a moment to see it. Only `proxies` (addresses or networks) are
        believed whom they forward for."""
        self._unsent = Unsent(write_timeout)
        super().__init__(
            uvicorn.Config(
                app,
                interface="asgi3",
                lifespan="on",
                log_config=None,
                access_log=False,
                server_header=False,
                http=cast(
                    Any,
                    partial(
                        BoundedProtocol,
                        bounds=Bounds(request_timeout, max_connections, self._unsent),
                    ),
                ),
                ws="none",
                proxy_headers=bool(proxies),
                forwarded_allow_ips=list(proxies),
                timeout_keep_alive=KEEP_ALIVE,
                timeout_graceful_shutdown=math.ceil(grace) + LAST_WORDS,
            )
        )
        self.ready = asyncio.Event()
        self._on_stop = on_stop
        self._drained = drained
        self._signals = signals
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ordered_to_stop = asyncio.Event()

    def stop(self) -> None:
        """End `serve` at once, not at its next tick. From any thread, and from a signal handler."""
        self.should_exit = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._ordered_to_stop.set)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        super().handle_exit(sig, frame)
        self.stop()

    async def main_loop(self) -> None:
        """uvicorn's own sleeps through an order to stop until its next tick."""
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
        self._unsent.sweep(cast("set[BoundedProtocol]", self.server_state.connections))
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn would raise the signal again once it has stopped, in the middle of stopping what
        stands beside it."""
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
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """Raises AddressTaken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise AddressTaken(f"cannot listen on {host} port {port}: {error.strerror}") from error
    # Its connections inherit it.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    return listener


def url_of(listener: socket.socket) -> str:
    """Where a program on this machine reaches it."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class Service:
    """The service on its sockets, not yet started. `url` is known; `run` serves until stopped.

    `run` may be used where signals belong to somebody else: then `stop` ends it.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        listener: socket.socket | None = None,
        qstash_url: str | None = None,
        queue_credentials: QueueCredentials | None = None,
        signals: bool = True,
    ) -> None:
        """A worker among several is given the socket and the queue that they share, with the
        queue's credentials. Raises AddressTaken."""
        self._settings = settings
        self._listener = listener or listen(settings.service.host, settings.service.port)
        self.url = url_of(self._listener)
        self._local: Server | None = None
        credentials = queue_credentials or settings.queue.credentials()
        if settings.queue.embedded and qstash_url is None:
            self._local_listener = listen("127.0.0.1", settings.queue.local_qstash_port)
            self._local = local_qstash(credentials, signals=False)
            qstash_url = url_of(self._local_listener)
        self.container = Container(
            settings=settings,
            base_url=settings.service.base_url or self.url,
            local_qstash_url=qstash_url or "",
            queue_credentials=credentials,
        )
        self._lifecycle = self.container.lifecycle()
        self._server = Server(
            create_app(self.container.http(), self._lifecycle.running),
            signals=signals,
            on_stop=self._stop,
            drained=self._lifecycle.drained,
            grace=settings.service.grace,
            request_timeout=settings.http.request_timeout,
            write_timeout=settings.http.write_timeout,
            max_connections=max_connections(settings),
            proxies=list(map(str, settings.access.trusted_proxies)),
        )

    async def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Serve until a signal or `stop`. `on_ready` is called once requests are answered."""
        ready = asyncio.create_task(self._announce(on_ready))
        try:
            if self._local is None:
                await self._server.serve([self._listener])
                return
            queue = asyncio.create_task(self._local.serve([self._local_listener]))
            try:
                await self._server.serve([self._listener])
            finally:
                # After the service: the answers to its last deliveries still have to arrive.
                self._local.stop()
                await queue
        finally:
            ready.cancel()
            log.info("stopped")

    def _stop(self) -> None:
        log.info("stopping", grace=self._settings.service.grace)
        self._lifecycle.stop()

    def stop(self) -> None:
        """From any thread."""
        self._server.stop()

    async def _announce(self, on_ready: Callable[[], None]) -> None:
        await self._server.ready.wait()
        if self._local is not None:
            await self._local.ready.wait()
        settings = self._settings
        log.info(
            "listening", url=self.url, environment=settings.environment, **settings.chosen_parts()
        )
        on_ready()
        try:
            await self.container.tasks().check()
        except StoreUnavailable as error:
            log.error("store unavailable: no task is taken until it is back", error=str(error))


def serve(settings: Settings) -> None:
    """Run the service until a signal. Raises AddressTaken."""
    use_all_descriptors()
    service = Service(settings)
    collect_garbage_less_often()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(service.run())


def serve_local_qstash(host: str, port: int, names: Collection[str]) -> None:
    """Run a QStash alone until a signal, with the token and keys of Upstash's development server.
    Besides addresses and localhost it answers to `names`. Raises AddressTaken."""
    use_all_descriptors()
    listener = listen(host, port)
    server = local_qstash(DEVELOPMENT, signals=True, names=names)
    log.info("local QStash listening", url=url_of(listener))
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(server.serve([listener]))


def local_qstash(
    credentials: QueueCredentials, *, signals: bool, names: Collection[str] = ()
) -> Server:
    """A QStash that is not yet started."""
    app = create_local_qstash(
        credentials.token,
        credentials.current_key,
        credentials.next_key,
        partial(accepts_host, names=frozenset(names)),
    )
    return Server(app, signals=signals)


def collect_garbage_less_often() -> None:
    """Python looks for cycles after every 700 new objects by default, and through all objects after
    some 70,000: with a thousand subscribers that is a hundred milliseconds, several times a second
    (docs/performance.md). What a stream allocates dies without any of it."""
    gc.set_threshold(10_000, 20, 100)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415  (not on every platform)
    except ImportError:
        return None
    return uvloop.new_event_loop
