"""A real Redis for tests: a container where a Docker engine answers, else a local redis-server.

Never a stand-in. Where there is neither, the tests that need one are skipped and say so.
"""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import docker
import pytest
import redis
from docker.errors import DockerException
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
        socket = Path(folder) / "redis.sock"
        process = subprocess.Popen(  # noqa: S603
            [program, "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", folder],
            stdout=subprocess.DEVNULL,
        )
        try:
            _wait_until_it_answers(socket)
            yield f"unix://{socket}"
        finally:
            process.terminate()
            process.wait(10)


def _engine_answers() -> bool:
    try:
        client = docker.from_env()
        try:
            return bool(client.ping())
        finally:
            client.close()
    except DockerException:
        return False


def _wait_until_it_answers(socket: Path) -> None:
    deadline = time.monotonic() + 10
    with redis.Redis(unix_socket_path=str(socket)) as client:
        while True:
            try:
                client.ping()
            except redis.ConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return
