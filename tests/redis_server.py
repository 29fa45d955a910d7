"""A real Redis for tests: a container where a Docker engine answers, else a local redis-server.

Never a stand-in. Where there is neither, the tests that need one are skipped and say so.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import docker
import pytest
from testcontainers.community.redis import RedisContainer

IMAGE = "redis:7-alpine"


@contextmanager
def running_redis() -> Iterator[str]:
    """The URL of a Redis that answers."""
    if _engine_answers():
        with RedisContainer(IMAGE) as container:
            yield f"redis://{container.get_container_host_ip()}:{container.get_exposed_port(6379)}"
        return
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip(
            "neither a Docker engine nor redis-server (Debian: apt-get install redis-server)"
        )
    with local_redis(program) as url:
        yield url


@contextmanager
def local_redis(program: str) -> Iterator[str]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "redis.sock"
        process = subprocess.Popen(  # noqa: S603
            [program, "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", folder],
            stdout=subprocess.DEVNULL,
        )
        try:
            _wait_until_it_answers(path)
            yield f"unix://{path}"
        finally:
            process.terminate()
            process.wait(10)


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


def _wait_until_it_answers(path: Path) -> None:
    deadline = time.monotonic() + 10
    while True:
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.connect(str(path))
            probe.sendall(b"PING\r\n")
            if probe.recv(16).startswith(b"+PONG"):
                return
        assert time.monotonic() < deadline, "redis-server does not answer"
        time.sleep(0.02)
