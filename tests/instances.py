"""Two instances of the service behind one address, each in a process of its own."""

import contextlib
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.qstash import DEVELOPMENT
from tests.processes import found_in, process_of
from tests.redis_server import free_port
from tests.running import Client, running_local_qstash
from tests.tcp_proxy import TcpProxy

QSTASH = {
    "QSTASH_TOKEN": DEVELOPMENT.token,
    "QSTASH_CURRENT_SIGNING_KEY": DEVELOPMENT.current_key,
    "QSTASH_NEXT_SIGNING_KEY": DEVELOPMENT.next_key,
    "LONGTASK_QSTASH_RETRY_DELAY": "100",
}


@contextmanager
def balanced(
    tmp_path: Path, **settings: str
) -> Iterator[tuple[Client, dict[Path, subprocess.Popen[str]]]]:
    """A queue and two instances behind one address: a client of it, and the two by their logs."""
    ports = free_port(), free_port()
    with contextlib.ExitStack() as stack:
        balancer = stack.enter_context(TcpProxy(*ports).running())
        qstash = stack.enter_context(running_local_qstash())
        processes = {}
        for port in ports:
            folder = tmp_path / str(port)
            folder.mkdir()
            process, log = stack.enter_context(
                process_of(
                    folder,
                    "serve",
                    "--port",
                    str(port),
                    **{**QSTASH, "QSTASH_URL": qstash, "BASE_URL": balancer.url, **settings},
                )
            )
            found_in(log)
            processes[log] = process
        with Client(balancer.url) as client:
            yield client, processes


def that_runs(processes: dict[Path, subprocess.Popen[str]]) -> Path:
    """The log of the first instance that began an attempt."""
    return next(log for log in processes if "attempt began" in log.read_text())
