"""Running the service, and the local QStash beside it or alone, on uvicorn.

The data file is opened and the sockets are bound before anything starts, so that a file in use or a
port taken is one clear error, port 0 works, and the addresses that parts tell each other are known
when they are wired. The file comes first: if another `longtask serve` has both, the error names
that process. It is closed last, when nothing writes to it any more.
"""

import asyncio
import errno
import gc
import socket
from collections.abc import Callable, Collection
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from pathlib import Path

import structlog

from adapters.database import Database, DatabaseUnavailable, open_database
from adapters.qstash import DEVELOPMENT, QueueCredentials
from application.errors import StoreUnavailable
from entrypoints.container import Container
from entrypoints.data_file import DataFileError, open_data_file
from entrypoints.descriptors import max_connections, use_all_descriptors
from entrypoints.host_names import accepts_host, local_url
from entrypoints.http.app import create_app
from entrypoints.http.paths import FAILURE_PATH, WEBHOOK_PATH
from entrypoints.http.protocol.uvicorn_server import GracefulServer
from entrypoints.local_qstash.app import create_app as create_local_qstash
from entrypoints.local_qstash.bounds import MESSAGE_LIMIT
from entrypoints.local_qstash.kept_keys import kept_keys
from entrypoints.local_qstash.tables import QUEUE
from entrypoints.settings import Settings

log = structlog.get_logger(__name__)

SEND_BUFFER = 128 * 1024
"""Bytes that the kernel keeps for a client that does not read (the kernel doubles the number). By
default it keeps up to 4 MB. No bound of ours counts these, and the kernel accepts more so late that
a client that reads slowly seems to read nothing."""


class AddressTaken(Exception):
    """Raised when an address cannot be listened on."""


def listen(host: str, port: int, port_setting: str = "LONGTASK_PORT") -> socket.socket:
    """Bind a socket. Raises AddressTaken, whose message names `port_setting` if another port would
    help."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        # create_server repeats the address behind the system's own words.
        reason, _, _ = (error.strerror or "").partition(" (while")
        fixable = error.errno in (errno.EADDRINUSE, errno.EACCES)
        advice = f"; set {port_setting} to another port" if fixable else ""
        raise AddressTaken(f"cannot listen on {host} port {port}: {reason}{advice}") from error
    # Its connections inherit both. (asyncio's own loop does not set the second for a socket that it
    # is given, and then a body waits 40 ms behind its head.)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def listen_for_queue(settings: Settings) -> socket.socket:
    """Bind the socket of the local QStash. Raises AddressTaken."""
    return listen("127.0.0.1", settings.queue.local_qstash_port, "LONGTASK_LOCAL_QSTASH_PORT")


def url_of(listener: socket.socket) -> str:
    """Where a program on this machine reaches it."""
    host, port = listener.getsockname()[:2]
    return local_url(host, port)


def base_url_of(settings: Settings, listener: socket.socket) -> str:
    """Where the queue and clients reach the service that listens there."""
    return settings.service.base_url or url_of(listener)


class Service:
    """The service on its sockets, not yet started. `url` is known; `run` serves until stopped.

    `run` may be used where another program handles the signals: then `stop` ends it.
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
        queue's credentials, and opens no file. Raises DataFileError and AddressTaken."""
        self._settings = settings
        self._database: Database | None = None
        self._local: GracefulServer | None = None
        self._stopping = False
        with ExitStack() as undo:
            if qstash_url is None and settings.data_file is not None:
                self._database = open_data_file(settings.data_file)
                undo.callback(self._database.close)
            self._listener = listener or undo.enter_context(
                listen(settings.service.host, settings.service.port)
            )
            self.url = url_of(self._listener)
            credentials = queue_credentials or credentials_of(settings, self._database)
            if settings.queue.embedded and qstash_url is None:
                self._local_listener = undo.enter_context(listen_for_queue(settings))
                self._local = local_qstash(
                    credentials,
                    signals=False,
                    message_limit=settings.queue.max_message_bytes,
                    database=self._database,
                    stopping=lambda: self._stopping,
                    service_url=base_url_of(settings, self._listener),
                )
                qstash_url = url_of(self._local_listener)
            self._wire(credentials, qstash_url or "", signals)
            undo.pop_all()

    def _wire(self, credentials: QueueCredentials, qstash_url: str, signals: bool) -> None:
        settings = self._settings
        self.container = Container(
            settings=settings,
            database=self._database,
            base_url=base_url_of(settings, self._listener),
            local_qstash_url=qstash_url,
            queue_credentials=credentials,
        )
        self._lifecycle = self.container.lifecycle()
        self._server = GracefulServer(
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
        """Serve until a signal or `stop`. `on_ready` is called once requests are served."""
        async with AsyncExitStack() as stack:
            stack.callback(log.info, "stopped")
            if self._database is not None:
                stack.push_async_callback(self._database.aclose)
            if (housekeeping := self.container.housekeeping()) is not None:
                # Requeues what was running before the queue delivers.
                await stack.enter_async_context(housekeeping.running())
            ready = asyncio.create_task(self._announce(on_ready))
            stack.callback(ready.cancel)
            if self._local is not None:
                queue = asyncio.create_task(self._local.serve([self._local_listener]))
                stack.push_async_callback(_stop_and_wait, self._local, queue)
            # Ends before the queue: the responses to its last deliveries still have to arrive.
            await self._server.serve([self._listener])

    def _stop(self) -> None:
        self._stopping = True
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


async def _stop_and_wait(server: GracefulServer, serving: asyncio.Task[None]) -> None:
    server.stop()
    await serving


def serve(settings: Settings) -> None:
    """Run the service until a signal. Raises DataFileError and AddressTaken."""
    use_all_descriptors()
    service = Service(settings)
    collect_garbage_less_often()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(service.run())


def serve_local_qstash(
    host: str,
    port: int,
    names: Collection[str],
    data: Path | None,
    on_listening: Callable[[str], None],
) -> None:
    """Run a QStash alone until a signal, with the token and keys of Upstash's development server.
    Besides addresses and localhost it accepts requests at `names`. It keeps what it holds in the
    file `data`, if one is given. `on_listening` is told its URL. Raises AddressTaken and
    DatabaseError."""
    use_all_descriptors()
    database = None if data is None else open_database(data, [QUEUE])
    try:
        listener = listen(host, port, "--port")
        on_listening(url_of(listener))
        server = local_qstash(DEVELOPMENT, signals=True, names=names, database=database)
        log.info("local QStash listening", url=url_of(listener))
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(server.serve([listener]))
    finally:
        if database is not None:
            database.close()


def local_qstash(
    credentials: QueueCredentials,
    *,
    signals: bool,
    names: Collection[str] = (),
    message_limit: int = MESSAGE_LIMIT,
    database: Database | None = None,
    stopping: Callable[[], bool] = lambda: False,
    service_url: str | None = None,
) -> GracefulServer:
    """A QStash that is not yet started. A message's body may have `message_limit` bytes. It keeps
    what it holds in the database, if there is one; `stopping` says that the service which it
    delivers to is being stopped (entrypoints/local_qstash/app.py). `service_url`: where that
    service is now, if it has the queue for itself. An earlier process may have published messages
    while it listened elsewhere."""

    def address_of(url: str) -> str:
        if service_url is not None:
            for path in (WEBHOOK_PATH, FAILURE_PATH):
                if url.endswith(path):
                    return service_url + path
        return url

    app = create_local_qstash(
        credentials.token,
        credentials.current_key,
        credentials.next_key,
        partial(accepts_host, names=frozenset(names)),
        message_limit,
        database,
        stopping,
        address_of,
    )
    return GracefulServer(app, signals=signals)


def credentials_of(settings: Settings, database: Database | None) -> QueueCredentials:
    """Return the queue's credentials. Those of a local QStash stay in the database with its
    messages. Raises DataFileError."""
    credentials = settings.queue.credentials()
    if database is None or not settings.queue.embedded:
        return credentials
    fresh = (credentials.token, credentials.current_key, credentials.next_key)
    try:
        return QueueCredentials(*kept_keys(database, fresh))
    except DatabaseUnavailable as error:
        raise DataFileError(f"cannot use {database.path}: {error}") from error


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
