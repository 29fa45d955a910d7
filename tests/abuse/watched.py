"""A real process of the service under attack, and what it uses meanwhile: resident memory, file
descriptors, and how long another client waits for an answer (by which the event loop lags)."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import httpx

from tests.processes import found_in, process_with_files
from tests.running import Client
from tests.waiting import eventually, within

T = TypeVar("T")

MIB = 1024 * 1024
LAG_LIMIT = 5.0
"""Seconds that any other client may wait for /healthz. The load of an attack runs on the same two
cores, as does everything else: an endless loop over an attacker's bytes takes far longer."""
PAUSE = 0.05


@dataclass
class Used:
    """The most that was seen since the attack began."""

    memory: int = 0
    """Bytes of resident memory beyond those before."""
    files: int = 0
    lag: float = 0.0
    unanswered: list[str] = field(default_factory=list)


@dataclass
class Attacked:
    client: Client
    pid: int
    log: Path

    @property
    def url(self) -> str:
        return self.client.url

    def resident(self) -> int:
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def files(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    @contextmanager
    def used(self) -> Iterator[Used]:
        """Look at the process for as long as this lasts."""
        used, before, over = Used(), self.resident(), threading.Event()

        def look() -> None:
            with httpx.Client(base_url=self.url, timeout=within(30)) as other:
                while not over.wait(PAUSE):
                    began = time.monotonic()
                    try:
                        status = other.get("/healthz").status_code
                    except httpx.HTTPError as error:
                        used.unanswered.append(type(error).__name__)
                    else:
                        if status != 200:
                            used.unanswered.append(str(status))
                    used.lag = max(used.lag, time.monotonic() - began)
                    used.memory = max(used.memory, self.resident() - before)
                    used.files = max(used.files, self.files())

        looking = threading.Thread(target=look, daemon=True)
        looking.start()
        try:
            yield used
        finally:
            over.set()
            looking.join(within(60))


@contextmanager
def attacked(tmp_path: Path, files: int = 4096, **settings: str) -> Iterator[Attacked]:
    """`files`: descriptors that the process may have. It has the default store: the file."""
    settings = {"LONGTASK_LOG_FORMAT": "json", "LONGTASK_DATA": "", **settings}
    serve = ("serve", "--port", "0")
    with (
        process_with_files(files, tmp_path, *serve, **settings) as (process, log),
        Client(found_in(log)) as client,
    ):
        eventually(lambda: client.http.get("/healthz").status_code == 200)
        yield Attacked(client, process.pid, log)


def at_once(number: int, attack: Callable[[int], T]) -> list[T]:
    """Carry out an attack by many clients; what each returned."""
    results: list[T] = []
    threads = [
        threading.Thread(target=lambda n=n: results.append(attack(n)), daemon=True)
        for n in range(number)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(within(120))
    assert len(results) == number
    return results


def held(used: Used, memory: int) -> None:
    assert used.unanswered == []
    assert used.lag < within(LAG_LIMIT)
    assert used.memory < memory * MIB, used.memory // MIB
