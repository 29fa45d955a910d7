"""Running the service, and the local QStash beside it, on uvicorn.

The data file is opened and the sockets are bound before anything starts, so that a file in use or a
port taken is one clear error, port 0 works, and the addresses that parts tell each other are known
when they are wired. The file comes first: if another `longtask serve` has both, the error names
that process. It is closed last, when nothing writes to it any more.
"""

import asyncio
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack

import structlog

from adapters.database import Database
from adapters.qstash import QueueCredentials
from application.errors import StoreUnavailable
from entrypoints.container import Container
from entrypoints.data_file import open_data_file, warn_of_tasks_left
from entrypoints.descriptors import deliveries_at_once, max_connections, use_all_descriptors
from entrypoints.event_loop import (
    collect_garbage_less_often,
    loop_factory,
    switch_threads_more_often,
)
from entrypoints.http.app import create_app
from entrypoints.http.protocol.uvicorn_server import GracefulServer
from entrypoints.loading import no_garbage_collection
from entrypoints.queue_server import credentials_of, listen_for_queue, local_qstash
from entrypoints.settings import Settings
from entrypoints.sockets import listen, url_of

log = structlog.get_logger(__name__)


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
                    at_once=deliveries_at_once(settings),
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
                if self._settings.store.shared:
                    await warn_of_tasks_left(self._database)
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
        if self._stopping:
            log.info("stopping at once")
        else:
            service = self._settings.service
            again = "; a second Ctrl-C ends the grace" if service.workers == 1 else ""
            log.info(f"stopping{again}", grace=service.grace)
        self._stopping = True
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
    with no_garbage_collection():
        service = Service(settings)
    collect_garbage_less_often()
    if settings.data_file is not None:
        switch_threads_more_often()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(service.run())
