"""Real Redis servers for tests: a container where a Docker engine answers, else redis-server. Of
several workers the first one starts a container, which takes seconds of CPU; the others do if this
machine has no redis-server.

Never a stand-in. Where there is neither, the tests that need one are skipped and say so. Clusters,
Sentinels and servers that a test stops and starts are always processes of this machine.
"""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import docker
import pytest
from testcontainers.community.redis import RedisContainer

from tests.waiting import within

IMAGE = "redis:7-alpine"
NODES = 3
_STEP_END = b"*1\r\n$4\r\nEXEC\r\n"


@contextmanager
def running_redis() -> Iterator[str]:
    """The URL of a Redis that answers."""
    if (_is_first_worker() or shutil.which("redis-server") is None) and _engine_answers():
        with RedisContainer(IMAGE) as container:
            yield f"redis://{container.get_container_host_ip()}:{container.get_exposed_port(6379)}"
        return
    with LocalRedis().running() as server:
        yield server.url


class LocalRedis:
    """A redis-server that can be stopped and started again on the same port."""

    def __init__(self, *options: str, sentinel_of: int | None = None) -> None:
        """`sentinel_of`: no store, but a Sentinel that names this port's server `tasks`."""
        program = shutil.which("redis-server")
        if program is None:
            pytest.skip("no redis-server (Debian: apt-get install redis-server)")
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self._folder = TemporaryDirectory()
        self._words = [program, "--save", "", *options]
        if sentinel_of is not None:
            file = Path(self._folder.name) / "sentinel.conf"
            file.write_text(
                f"sentinel monitor tasks 127.0.0.1 {sentinel_of} 1\n"
                "sentinel down-after-milliseconds tasks 500\n"
                "sentinel failover-timeout tasks 2000\n"
            )
            self._words = [program, str(file), "--sentinel"]
        self._process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def running(self) -> Iterator["LocalRedis"]:
        try:
            self.start()
            yield self
        finally:
            self.kill()
            self._folder.cleanup()

    def start(self) -> None:
        """Return once it answers, also if only to ask for a password."""
        own = ["--port", str(self.port), "--dir", self._folder.name]
        self._process = subprocess.Popen(  # noqa: S603
            [*self._words, *own], stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + within(10)
        while not self._answers():
            assert time.monotonic() < deadline, "redis-server does not answer"
            time.sleep(0.02)

    def start_if_down(self) -> None:
        if self._process is None:
            self.start()

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(within(10))
            self._process = None

    def restart_empty(self) -> None:
        """As a server without persistence restarts."""
        self.kill()
        shutil.rmtree(Path(self._folder.name) / "appendonlydir", ignore_errors=True)
        self.start()

    def restart_without_end(self, size: int) -> None:
        """Having lost the last bytes that it wrote, as a replica may that took over. Whole steps
        only: of one that is cut in its middle, Redis 7.0 carries out a part at the next start."""
        self.kill()
        for file in Path(self._folder.name, "appendonlydir").glob("*.incr.aof"):
            kept = file.read_bytes()[:-size]
            end = kept.rfind(_STEP_END)
            file.write_bytes(kept[: end + len(_STEP_END)] if end >= 0 else b"")
        self.start()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Alive, connected, and silent."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)) as s:
            s.sendall(b"PING\r\n")
            return s.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        return False


@contextmanager
def running_cluster(*options: str) -> Iterator[list[LocalRedis]]:
    """The nodes of a cluster without replicas whose slots are all served."""
    with ExitStack() as stack:
        options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "2000", *options)
        nodes = [stack.enter_context(LocalRedis(*options).running()) for _ in range(NODES)]
        addresses = [f"127.0.0.1:{node.port}" for node in nodes]
        redis_cli("--cluster", "create", *addresses, "--cluster-yes")
        deadline = time.monotonic() + within(20)
        for node in nodes:
            while "cluster_state:ok" not in redis_cli("-p", str(node.port), "cluster", "info"):
                assert time.monotonic() < deadline, "the cluster does not come about"
                time.sleep(0.05)
        yield nodes


def cluster_url(nodes: list[LocalRedis]) -> str:
    return "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)


def redis_cli(*words: str) -> str:
    program = shutil.which("redis-cli")
    assert program is not None
    return subprocess.run(  # noqa: S603
        [program, *words], capture_output=True, text=True, check=True, timeout=within(30)
    ).stdout


def free_port() -> int:
    """One that stays free until it is listened on: no connection is given it as its own end, nor
    the one 10,000 higher, which is that of a cluster's bus. No other worker is given it, nor a
    later call for a long while."""
    return next(_free_ports)


def _find_free_ports() -> Iterator[int]:
    ports = range(11_000 + _worker() % 8, 21_000, 8)
    while True:
        for port in random.sample(ports, len(ports)):
            try:
                socket.create_server(("127.0.0.1", port)).close()
            except OSError:
                continue
            yield port


def _worker() -> int:
    return int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))


_free_ports = _find_free_ports()


def _is_first_worker() -> bool:
    return _worker() == 0


def _engine_answers() -> bool:
    if "DOCKER_HOST" in os.environ:
        client = docker.from_env()
        try:
            return bool(client.ping())
        finally:
            client.close()
    # By hand: docker's client leaves the socket of a refused connection unclosed.
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex("/var/run/docker.sock") == 0
