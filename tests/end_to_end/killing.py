"""Processes that are killed before the call of a chosen number: of their store, their queue, or
their model."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.processes import found_in, process_of
from tests.redis_server import LocalRedis
from tests.running import Client
from tests.tcp_proxy import TcpProxy
from tests.waiting import within

IDLE = 0.5
"""Seconds without a call after which a worker has done all that it has to do."""
_CALLS = tuple(
    f"{method} /{version}/".encode()
    for method, version in (
        ("POST", "v2"),
        ("DELETE", "v2"),
        ("POST", "v1"),
        ("GET", "v1"),
        ("DELETE", "v1"),
    )
)


def proxy_of(url: str) -> TcpProxy:
    port = urlsplit(url).port
    assert port is not None
    return TcpProxy(port)


class Counting:
    """Counts the calls of a process to its store, its queue and its model, and kills it before the
    one of this number. It is called by proxies, which pass each call on."""

    def __init__(self, process: "subprocess.Popen[str]", fatal: int) -> None:
        self._process = process
        self._fatal = fatal
        self._lock = threading.Lock()
        self.counted = 0
        self._last = time.monotonic()

    @property
    def idle(self) -> bool:
        return time.monotonic() - self._last > within(IDLE)

    def __call__(self, chunk: bytes) -> None:
        if b"EVALSHA" not in chunk and not chunk.startswith(_CALLS):
            return
        with self._lock:
            self.counted += 1
            self._last = time.monotonic()
            if self.counted == self._fatal:
                os.kill(self._process.pid, signal.SIGKILL)
                self._process.wait(within(10))
            if self.counted >= self._fatal:
                raise ConnectionError  # this chunk is not passed on


@contextmanager
def running_worker(
    folder: Path, redis: LocalRedis, qstash: str, fatal: int, **settings: str
) -> Iterator[tuple[Client, "subprocess.Popen[str]", Counting]]:
    """A process of the service that is killed at that call."""
    folder.mkdir()
    queue = proxy_of(qstash)
    with TcpProxy(redis.port).running() as store, queue.running():
        ours = {
            "REDIS_URL": f"redis://127.0.0.1:{store.port}",
            "QSTASH_URL": queue.url,
        }
        with (
            process_of(folder, "serve", "--port", "0", **{**settings, **ours}) as (process, log),
            Client(found_in(log)) as client,
        ):
            counting = Counting(process, fatal)
            store.before = queue.before = counting
            yield client, process, counting
