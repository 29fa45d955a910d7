"""The local QStash as a server, beside the service or alone."""

import asyncio
import socket
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import structlog

from adapters.database import Database, DatabaseUnavailable, open_database
from adapters.qstash import DEVELOPMENT, DEVELOPMENT_USERS, QueueCredentials
from entrypoints.data_file import DataFileError
from entrypoints.descriptors import use_all_descriptors
from entrypoints.event_loop import (
    collect_garbage_less_often,
    loop_factory,
    switch_threads_more_often,
)
from entrypoints.host_names import accepts_host
from entrypoints.http.paths import FAILURE_PATH, WEBHOOK_PATH
from entrypoints.http.protocol.uvicorn_server import GracefulServer
from entrypoints.local_qstash.account import AccountSettings
from entrypoints.local_qstash.app import create_app
from entrypoints.local_qstash.at_start import Left, kept_keys, left_in
from entrypoints.local_qstash.bounds import MESSAGE_LIMIT
from entrypoints.local_qstash.journal import NO_LOG
from entrypoints.local_qstash.tables import QUEUE
from entrypoints.settings import Settings
from entrypoints.sockets import listen, url_of

log = structlog.get_logger(__name__)


def listen_for_queue(settings: Settings) -> socket.socket:
    """Bind the socket of the local QStash. Raises AddressTaken."""
    return listen("127.0.0.1", settings.queue.local_qstash_port, "LONGTASK_LOCAL_QSTASH_PORT")


def local_qstash(
    credentials: QueueCredentials,
    *,
    signals: bool,
    message_limit: int = MESSAGE_LIMIT,
    database: Database | None = None,
    stopping: Callable[[], bool] = lambda: False,
    service_url: str | None = None,
    at_once: int | None = None,
) -> GracefulServer:
    """A QStash that is not yet started. A message's body may have `message_limit` bytes. It keeps
    what it holds in the database, if there is one; `stopping` says that the service which it
    delivers to is being stopped (entrypoints/local_qstash/account.py). `service_url`: where that
    service is now, if it has the queue for itself. It is sent all messages: an earlier process may
    have published them while it listened elsewhere, and a file that came from others must not have
    requests sent to any address. `at_once`: how many deliveries that service handles at the same
    time. Raises DataFileError."""

    def address_of(url: str) -> str:
        if service_url is None:
            return url
        return service_url + (FAILURE_PATH if url.endswith(FAILURE_PATH) else WEBHOOK_PATH)

    with _as_data_file_error(None if database is None else database.path):
        account = _account(credentials, database)
    account = replace(
        account,
        message_limit=message_limit,
        stopping=stopping,
        address_of=address_of,
        at_once=at_once,
        # No client has its token, and a prompt must not stay in memory longer than its task.
        log_limits=NO_LOG,
    )
    app = create_app([account], partial(accepts_host, names=()))
    return GracefulServer(app, signals=signals)


def credentials_of(settings: Settings, database: Database | None) -> QueueCredentials:
    """Return the queue's credentials. Those of a local QStash stay in the database with its
    messages. Raises DataFileError."""
    credentials = settings.queue.credentials()
    if database is None or not settings.queue.embedded:
        return credentials
    fresh = (credentials.token, credentials.current_key, credentials.next_key)
    with _as_data_file_error(database.path):
        return QueueCredentials(*kept_keys(database, fresh))


@contextmanager
def _as_data_file_error(path: Path | None) -> Iterator[None]:
    """Raise DatabaseUnavailable of this file as DataFileError."""
    try:
        yield
    except DatabaseUnavailable as error:
        raise DataFileError(f"cannot use {path}: {error}") from error


@contextmanager
def local_qstash_alone(
    data: Path | None = None, names: Collection[str] = (), *, signals: bool
) -> Iterator[tuple[GracefulServer, QueueCredentials]]:
    """A QStash that is not yet started, with the users of Upstash's development server and a page
    that shows what they have; the token and keys of the default user. Besides addresses and
    localhost it accepts requests at `names`. It keeps what it holds in files, if the one of the
    default user is given as `data`. Raises DatabaseError and DataFileError."""
    with ExitStack() as stack:

        def opened(file: Path | None, user: QueueCredentials) -> AccountSettings:
            with ExitStack() as opening:
                database = None
                if file is not None:
                    database = open_database(file, [QUEUE])
                    opening.callback(database.close)
                account = _account(user, database)
                stack.callback(opening.pop_all().close)
            return account

        at_start, later = [], {}
        for name, user in DEVELOPMENT_USERS.items():
            file = data and _file_of(data, name)
            if user is DEVELOPMENT or (file is not None and file.exists()):
                with _as_data_file_error(file):
                    at_start.append(opened(file, user))
            else:
                later[user.token] = partial(opened, file, user)
        app = create_app(
            at_start,
            partial(accepts_host, names=frozenset(names)),
            later,
            {name: user.token for name, user in DEVELOPMENT_USERS.items()},
        )
        keys = at_start[0].keys
        default = QueueCredentials(DEVELOPMENT.token, keys["current"], keys["next"])
        yield GracefulServer(app, signals=signals), default


def serve_local_qstash(
    host: str,
    port: int,
    names: Collection[str],
    data: Path | None,
    on_listening: Callable[[str, QueueCredentials], None],
) -> None:
    """Run a QStash alone until a signal (`local_qstash_alone`). `on_listening` is told its URL, and
    the token and keys of the default user. Raises AddressTaken, DatabaseError and DataFileError."""
    use_all_descriptors()
    with (
        local_qstash_alone(data, names, signals=True) as (server, default),
        listen(host, port, "--port") as listener,
    ):
        on_listening(url_of(listener), default)
        log.info("local QStash listening", url=url_of(listener))
        collect_garbage_less_often()
        if data is not None:
            switch_threads_more_often()
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(server.serve([listener]))


def _file_of(data: Path, user: str) -> Path:
    """Where what this user has is kept. Each has a file of its own: `data`, or one beside it."""
    if DEVELOPMENT_USERS[user] is DEVELOPMENT:
        return data
    return data.with_name(f"{data.stem}-{user}{data.suffix}")


def _account(credentials: QueueCredentials, database: Database | None) -> AccountSettings:
    """An account that keeps what it holds in the database, if there is one. Raises
    DatabaseUnavailable."""
    return AccountSettings(
        token=credentials.token,
        current_key=credentials.current_key,
        next_key=credentials.next_key,
        database=database,
        left=Left() if database is None else left_in(database),
    )
