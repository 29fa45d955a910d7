"""What the benchmarks stand on: the service in a process of its own, subscribers, and how
figures are taken and shown.

On a machine with two or more cores the service (or its peer) has one to itself; Redis, upstream,
queue and clients share another. Nothing in this module is measured.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import httpx
import uvloop
from tests.redis_server import LocalRedis

from benchmarks.model import upstream
from benchmarks.task_queue import queue

AnyProtocol = TypeVar("AnyProtocol", bound=asyncio.Protocol)

SERVER, LOAD = {1}, {0}
"""Cores."""

_ID, _END = b"\nid: ", b'"type":"end"'
_ENDS = re.compile(rb'"type": ?"end"')
_GET = b"GET %b HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
_STAMP = re.compile(rb"(\d+);")


def pin(cores: set[int], pid: int = 0) -> None:
    if (os.cpu_count() or 1) > 1 and hasattr(os, "sched_setaffinity"):
        for thread in Path(f"/proc/{pid or os.getpid()}/task").iterdir():
            os.sched_setaffinity(int(thread.name), cores)


@contextlib.contextmanager
def service(upstream_url: str, *under: str, **settings: str) -> Iterator[tuple[str, int]]:
    """Run the service and yield its address and process id. `under`: the words of a program that
    runs it."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        environment = {
            **os.environ,
            "OPENAI_BASE_URL": upstream_url,
            "LONGTASK_LOG_FORMAT": "json",
            "LONGTASK_PORT": "0",
            "LONGTASK_DATA": "memory",
            "LONGTASK_MAX_CONCURRENT_DELIVERIES": "5000",
            **settings,
        }
        with log.open("w") as stderr:
            process = subprocess.Popen(  # noqa: S603
                [*under, sys.executable, "-m", "entrypoints.cli", "serve"],
                cwd=folder,
                env=environment,
                stderr=stderr,
            )
        try:
            pin(SERVER, process.pid)
            deadline = time.monotonic() + 120
            while not (found := re.search(r'"url": "(http[^"]+)"', log.read_text())):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(log.read_text())
                time.sleep(0.05)
            yield found[1], process.pid
        finally:
            process.terminate()
            process.wait(60)


@contextlib.contextmanager
def peer(name: str, *options: str) -> Iterator[tuple[str, int]]:
    """Run one of the peers and yield its address, and the id of the process that does the work."""
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "benchmarks.peers", name, *options],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        port, pid = map(int, process.stdout.readline().split())
        pin(SERVER, pid)
        yield f"http://127.0.0.1:{port}", pid
    finally:
        process.terminate()
        process.wait(20)


@contextlib.asynccontextmanager
async def ours(
    go: asyncio.Event | None = None, **settings: str
) -> AsyncIterator[tuple[str, int, httpx.AsyncClient]]:
    """Run the service and the upstream. `settings` say where tasks are kept. Yield its address,
    process id and a client."""
    async with upstream(go) as upstream_url, queue() as taking:
        with service(upstream_url, **taking.settings, **settings) as (address, pid):
            taking.address = address
            async with httpx.AsyncClient(base_url=address, timeout=60) as client:
                yield address, pid, client


async def start(client: httpx.AsyncClient, tokens: int, rate: int, kind: str = "") -> str:
    """Start a task and return the path of its stream."""
    body = {"prompt": f"{tokens} {rate} {kind}", "maxTokens": 128_000}
    answer = await client.post("/api/tasks/start", json=body)
    answer.raise_for_status()
    return str(answer.json()["streamUrl"])


class Subscriber(asyncio.Protocol):
    """Counts events, and adds the latency of each to `latencies` if that is given."""

    def __init__(self, path: str, latencies: list[float] | None = None) -> None:
        self.events = self.stamps = self.bytes = 0
        self.closed = asyncio.get_running_loop().create_future()
        self.running = asyncio.get_running_loop().create_future()
        """Done once the task is running."""
        self.spoken = 0.0
        """When the first piece of the answer came (perf_counter)."""
        self._path = path
        self._latencies = latencies
        self._tail = b""

    def connection_made(self, transport: Any) -> None:
        transport.write(_GET % self._path.encode())
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        now, tail = time.perf_counter_ns(), self._tail
        self.bytes += len(data)
        data = tail + data
        self._tail = data[-len(_END) :]
        self.events += data.count(_ID) - tail.count(_ID)
        if not self.running.done() and b'"data":"running"' in data:
            self.running.set_result(None)
        if not self.spoken and b'"type":"content"' in data:
            self.spoken = time.perf_counter()
        ended = _ENDS.search(data) if b'"end"' in data else None
        if self._latencies is not None:
            text = data[len(tail) : ended.start() if ended else None]
            stamps = _STAMP.findall(text)
            self.stamps += len(stamps)
            self._latencies.extend([(now - int(each)) / 1e6 for each in stamps])
        if ended and not self.closed.done():
            self._transport.close()
            self.closed.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_exception(ConnectionError("closed before the end"))


async def connected(address: str, protocol: Callable[[], AnyProtocol]) -> AnyProtocol:
    host = urlsplit(address)
    _, made = await asyncio.get_running_loop().create_connection(
        protocol, host.hostname or "", host.port or 0
    )
    return made


async def join(address: str, path: str, latencies: list[float] | None = None) -> Subscriber:
    return await connected(address, lambda: Subscriber(path, latencies))


def used(pid: int) -> tuple[float, int]:
    """Return the CPU seconds and resident bytes of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK"), int(fields[21]) * os.sysconf("SC_PAGE_SIZE")


async def over(pid: int, seconds: float, count: Callable[[], int]) -> tuple[int, float, float]:
    """Return by how much `count` grows in `seconds`, the seconds that this took, and the CPU
    seconds that the process used meanwhile."""
    (cpu, _), began, before = used(pid), time.perf_counter(), count()
    await asyncio.sleep(seconds)
    done, took, (cpu_after, _) = count() - before, time.perf_counter() - began, used(pid)
    return done, took, max(0.01, cpu_after - cpu)


def late(latencies: list[float]) -> dict[str, float]:
    return {
        "ms_p50": round(percentile(latencies, 0.5), 2),
        "ms_p99": round(percentile(latencies, 0.99), 2),
    }


def percentile(values: list[float], share: float) -> float:
    return statistics.quantiles(values, n=1000)[round(share * 1000) - 1]


def medians(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the median of each figure over all runs."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def measured(
    description: str,
    run: Callable[[str, argparse.Namespace], Any],
    **options: Any,
) -> None:
    """Run the command line of a benchmark. `options` are its options with their defaults. `run` is
    called with the address of a Redis and the parsed options, and returns the figures or a
    coroutine of them."""
    arguments = argparse.ArgumentParser(description=description.splitlines()[0])
    for name, default in options.items():
        arguments.add_argument(f"--{name}", type=type(default), default=default)
    arguments.add_argument("--json", type=Path, help="Also write the figures to this file.")
    given = arguments.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    pin(LOAD)
    with LocalRedis().running() as server:
        figures = run(server.url, given)
        if asyncio.iscoroutine(figures):
            figures = uvloop.run(figures)
    for name, value in figures.items():
        print(f"{name:<56}{value if isinstance(value, str) else format(value, '>14,')}")
    if given.json is not None:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")
