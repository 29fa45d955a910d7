"""A real Redis for tests: a local redis-server on a socket of its own.

The server is one for the session; each test gets a database that is empty.
"""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import redis


@contextmanager
def running_redis() -> Iterator[str]:
    """The URL of a Redis that answers."""
    program = shutil.which("redis-server")
    if program is None:
        raise RuntimeError("the tests need redis-server (Debian: apt-get install redis-server)")
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
