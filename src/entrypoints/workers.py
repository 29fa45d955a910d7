"""Several processes of the service behind one port.

The parent binds the socket, runs the local QStash if there is one, which keeps its messages in the
data file, and replaces workers that die.
The workers share the socket, the store and the queue's credentials. They get the credentials
through a pipe, since other users can read a process's command line and environment. Each watches
the file of API keys, and so does the parent: the replacement of a worker begins with the keys that
are valid then, also while the file cannot be read. When the parent dies, the workers stop.
"""

import asyncio
import contextlib
import multiprocessing
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import closing, nullcontext
from dataclasses import replace
from multiprocessing.context import SpawnProcess
from multiprocessing.process import parent_process
from tempfile import TemporaryDirectory

import structlog

from adapters.database import Database
from adapters.prometheus import forget_process
from adapters.prometheus.metrics import DIRECTORY
from adapters.qstash import QueueCredentials
from application.cancellation import end_tasks
from entrypoints.choices import valid_keys
from entrypoints.data_file import open_data_file, warn_of_tasks_left
from entrypoints.descriptors import deliveries_at_once, use_all_descriptors
from entrypoints.event_loop import collect_garbage_less_often, loop_factory
from entrypoints.http.protocol.uvicorn_server import CLOSE_TIMEOUT, STOP_SIGNALS
from entrypoints.log_output import configure_logs
from entrypoints.queue_server import credentials_of, listen_for_queue, local_qstash
from entrypoints.server import Service, base_url_of
from entrypoints.settings import Settings
from entrypoints.sockets import listen, url_of
from entrypoints.valid_keys import ValidKeys, watch

log = structlog.get_logger(__name__)

RESTART_PAUSE = 1.0
"""Seconds between the death of a worker and the start of its replacement."""
KILL_PAUSE = CLOSE_TIMEOUT + 5
"""Seconds that workers have to stop, in addition to the grace of their attempts."""

_WorkerArgs = tuple[Settings, socket.socket, str, QueueCredentials]

_spawn = multiprocessing.get_context("spawn")
multiprocessing.allow_connection_pickling()


def serve_workers(settings: Settings) -> None:
    """Run `settings.service.workers` processes until a signal. Raises DataFileError and
    AddressTaken."""
    use_all_descriptors()
    file = settings.data_file
    with (
        nullcontext() if file is None else closing(open_data_file(file)) as database,
        TemporaryDirectory(prefix="longtask-metrics-") as metrics,
        listen(settings.service.host, settings.service.port) as listener,
        asyncio.Runner(loop_factory=loop_factory()) as runner,
    ):
        os.environ[DIRECTORY] = metrics  # the workers inherit it
        runner.run(_supervise(settings, listener, database))


async def _supervise(
    settings: Settings, listener: socket.socket, database: Database | None
) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stopping.set)
    credentials = credentials_of(settings, database)
    service_url = base_url_of(settings, listener)
    if database is not None:
        await warn_of_tasks_left(database)
    async with _queue(settings, credentials, database, stopping, service_url) as qstash_url:
        log.info(
            "listening",
            url=url_of(listener),
            environment=settings.environment,
            workers=settings.service.workers,
            **settings.chosen_parts(),
        )
        keys = valid_keys(settings)
        watching = asyncio.create_task(watch(keys, lambda _: None))  # the workers tell of changes

        def args() -> _WorkerArgs:
            return _with_keys(settings, keys), listener, qstash_url, credentials

        places = [
            asyncio.create_task(_keep(args, stopping)) for _ in range(settings.service.workers)
        ]
        await asyncio.gather(*places)
        await end_tasks([watching])


def _with_keys(settings: Settings, keys: ValidKeys) -> Settings:
    """The settings with the file of keys as it was when it was last good."""
    update = {"api_keys_file": keys.file}
    return replace(settings, access=settings.access.model_copy(update=update))


@contextlib.asynccontextmanager
async def _queue(
    settings: Settings,
    credentials: QueueCredentials,
    database: Database | None,
    stopping: asyncio.Event,
    service_url: str,
) -> AsyncIterator[str]:
    """Run the local QStash, if there is one, while the workers run. Yields the queue's URL."""
    if not settings.queue.embedded:
        yield settings.queue.qstash_url
        return
    listener = listen_for_queue(settings)
    server = local_qstash(
        credentials,
        signals=False,
        message_limit=settings.queue.max_message_bytes,
        database=database,
        stopping=stopping.is_set,
        service_url=service_url,
        at_once=deliveries_at_once(settings),
    )
    serving = asyncio.create_task(server.serve([listener]))
    await server.ready.wait()
    try:
        yield url_of(listener)
    finally:
        server.stop()
        await serving


async def _keep(args: Callable[[], _WorkerArgs], stopping: asyncio.Event) -> None:
    """Run one worker, and a replacement whenever it dies, until `stopping` is set."""
    while not stopping.is_set():
        given = args()
        process = _spawn.Process(target=_work, args=given)
        process.start()
        ended = asyncio.create_task(_end_of(process))
        stop = asyncio.create_task(stopping.wait())
        await asyncio.wait([ended, stop], return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if stopping.is_set():
            process.terminate()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(given[0].service.grace + KILL_PAUSE):
                    await ended
            process.kill()
        else:
            log.error("worker died", pid=process.pid, exit_code=process.exitcode)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RESTART_PAUSE):
                    await stopping.wait()
        process.join()
        forget_process(process.pid or 0, os.environ[DIRECTORY])
        process.close()


async def _end_of(process: SpawnProcess) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(process.sentinel, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(process.sentinel)


def _work(
    settings: Settings,
    listener: socket.socket,
    qstash_url: str,
    queue_credentials: QueueCredentials,
) -> None:
    """Run a worker, in a process of its own."""
    # Ctrl-C reaches every process of the terminal, but the parent decides when workers stop.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    configure_logs(
        settings.observability.log_level,
        settings.console_logs,
        traced=settings.observability.otlp_endpoint is not None,
    )
    use_all_descriptors()
    service = Service(
        settings, listener=listener, qstash_url=qstash_url, queue_credentials=queue_credentials
    )
    collect_garbage_less_often()

    async def run() -> None:
        parent = parent_process()
        assert parent is not None  # noqa: S101
        asyncio.get_running_loop().add_reader(parent.sentinel, service.stop)
        await service.run()

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(run())
