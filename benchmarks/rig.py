"""What the benchmarks stand on: an OpenAI-compatible upstream, a queue, the service in a process of
its own, subscribers, and how figures are taken and shown.

On a machine with two cores or more the service (or what it is compared with) has one to itself;
Redis, upstream, queue and clients share another. Nothing here is measured itself.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import resource
import socket
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

from entrypoints.local_qstash.delivery import sign

AnyProtocol = TypeVar("AnyProtocol", bound=asyncio.Protocol)

SERVER, LOAD = {1}, {0}
"""Cores."""
SLOTS = 20
"""Into so many moments streams of one pace are spread."""

_PIECE = 'data: {"model":"bench","choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n'
_FINISH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
_ID, _END = b"\nid: ", b'"type":"end"'
_ENDS = re.compile(rb'"type": ?"end"')
_STAMP = re.compile(rb"(\d+);")


def message(data: bytes) -> tuple[bytes, bytes] | None:
    """Head and body of what was sent over HTTP, once all of it is there."""
    head, found, body = data.partition(b"\r\n\r\n")
    return (head, body) if found and len(body) >= length_of(head) else None


def length_of(head: bytes) -> int:
    """Of the body."""
    length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
    return int(length[1]) if length else 0


class Upstream(asyncio.Protocol):
    """Speaks chat completions. The prompt says what to do: "<tokens> <tokens per second>"; a rate
    of 0 means as fast as it is read. Tokens at a rate are the moments of their making."""

    def __init__(self, paces: dict[int, "Pace"], go: asyncio.Event) -> None:
        self._paces = paces
        self._go = go
        self._request = b""
        self._block, self._blocks = b"", 0
        self.left = 0

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._request += data
        if (whole := message(self._request)) is None:
            return
        self._request = b""
        _, body = whole
        tokens, rate = map(int, json.loads(body)["messages"][-1]["content"].split())
        self.transport.write(_HEAD)
        if rate:
            self.left = tokens
            if rate not in self._paces:
                self._paces[rate] = Pace(rate, self._go)
            self._paces[rate].add(self)
        else:
            self._block, self._blocks = (_PIECE % " token" * 100).encode(), tokens // 100
            self.resume_writing()

    def resume_writing(self) -> None:
        while self._blocks and self.transport.get_write_buffer_size() < 64 * 1024:
            self._blocks -= 1
            self.transport.write(self._block)
            if self._blocks == 0:
                self.finish()

    def finish(self) -> None:
        self.transport.write(_FINISH)
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.left = self._blocks = 0


class Pace:
    """All streams of one rate."""

    def __init__(self, rate: int, go: asyncio.Event) -> None:
        self._rate = rate
        self._go = go
        self._slots: list[list[Upstream]] = [[] for _ in range(SLOTS)]
        self._next = 0
        self._ticking = asyncio.create_task(self._tick())

    def add(self, stream: Upstream) -> None:
        self._slots[self._next % SLOTS].append(stream)
        self._next += 1

    async def _tick(self) -> None:
        await self._go.wait()
        began, ticks = time.perf_counter(), 0
        while True:
            ticks += 1
            due = began + ticks / (self._rate * SLOTS)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            slot = self._slots[ticks % SLOTS]
            for stream in slot:
                if stream.left:
                    stream.transport.write((_PIECE % f"{time.perf_counter_ns()};").encode())
                    stream.left -= 1
                    if not stream.left:
                        stream.finish()
            if not all(stream.left for stream in slot):
                slot[:] = [stream for stream in slot if stream.left]


@contextlib.asynccontextmanager
async def upstream(go: asyncio.Event | None = None) -> AsyncIterator[str]:
    """Its address. What has a pace begins at `go`, or at once."""
    if go is None:
        go = asyncio.Event()
        go.set()
    paces: dict[int, Pace] = {}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Upstream(paces, go), "127.0.0.1", 0, backlog=4096)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


class Queue:
    """Speaks as much of QStash as a publisher hears, and delivers each message once, to where the
    service is; without such an address it keeps them."""

    KEY = "sig_bench_0123456789abcdef0123456789abcdef"

    def __init__(self, url: str) -> None:
        self.address: str | None = None
        self.messages = 0
        self.settings = {
            "QSTASH_URL": url,
            "QSTASH_TOKEN": "bench",
            "QSTASH_CURRENT_SIGNING_KEY": self.KEY,
            "QSTASH_NEXT_SIGNING_KEY": self.KEY,
            "BASE_URL": "http://longtask.test",
        }
        self._deliveries: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(length_of(head))
                path = head.split(b" ", 2)[1].decode()
                answer: Any
                if path == "/v2/batch":
                    batch = json.loads(body)
                    answer = [self._take(each["destination"], each["body"]) for each in batch]
                else:
                    answer = self._take(path.removeprefix("/v2/publish/"), body.decode())
                data = json.dumps(answer).encode()
                writer.write(
                    b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\n"
                    b"content-length: %d\r\n\r\n%b" % (len(data), data)
                )
        writer.close()

    def _take(self, url: str, body: str) -> dict[str, str]:
        self.messages += 1
        if self.address is not None:
            delivery = asyncio.create_task(self._deliver(self.address, url, body.encode()))
            self._deliveries.add(delivery)
            delivery.add_done_callback(self._deliveries.discard)
        return {"messageId": f"msg_{self.messages}"}

    async def _deliver(self, address: str, url: str, body: bytes) -> None:
        host, path = urlsplit(address), urlsplit(url).path
        reader, writer = await asyncio.open_connection(host.hostname, host.port)
        signature = sign(self.KEY, url, body, int(time.time()))
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nUpstash-Signature: {signature}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        writer.write(head.encode() + body)
        await reader.read()
        writer.close()


@contextlib.asynccontextmanager
async def queue() -> AsyncIterator[Queue]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    taking = Queue(f"http://127.0.0.1:{listener.getsockname()[1]}")
    async with await asyncio.start_server(taking.serve, sock=listener):
        yield taking


def pin(cores: set[int], pid: int = 0) -> None:
    if (os.cpu_count() or 1) > 1 and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(pid, cores)


@contextlib.contextmanager
def service(upstream_url: str, **settings: str) -> Iterator[tuple[str, int]]:
    """Its address and process id."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        environment = {
            **os.environ,
            "OPENAI_BASE_URL": upstream_url,
            "LONGTASK_LOG_FORMAT": "json",
            "LONGTASK_PORT": "0",
            "LONGTASK_MAX_CONCURRENT_DELIVERIES": "5000",
            **settings,
        }
        with log.open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "entrypoints.cli", "serve"],
                cwd=folder,
                env=environment,
                stderr=stderr,
            )
        try:
            pin(SERVER, process.pid)
            deadline = time.monotonic() + 30
            while not (found := re.search(r'"url": "(http[^"]+)"', log.read_text())):
                if time.monotonic() > deadline:
                    raise RuntimeError(log.read_text())
                time.sleep(0.05)
            yield found[1], process.pid
        finally:
            process.terminate()
            process.wait(20)


@contextlib.contextmanager
def peer(name: str, *options: str) -> Iterator[tuple[str, int]]:
    """The address and process id of one of peers.py."""
    process = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "benchmarks.peers", name, *options],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        pin(SERVER, process.pid)
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}", process.pid
    finally:
        process.terminate()
        process.wait(20)


@contextlib.asynccontextmanager
async def ours(
    redis_url: str, go: asyncio.Event | None = None
) -> AsyncIterator[tuple[str, int, httpx.AsyncClient]]:
    """The service on Redis and on the upstream: address, process id, and a client of it."""
    async with upstream(go) as upstream_url, queue() as taking:
        settings = {**taking.settings, "REDIS_URL": redis_url}
        with service(upstream_url, **settings) as (address, pid):
            taking.address = address
            async with httpx.AsyncClient(base_url=address, timeout=60) as client:
                yield address, pid, client


async def start(client: httpx.AsyncClient, tokens: int, rate: int) -> str:
    """The path of a new task's stream."""
    body = {"prompt": f"{tokens} {rate}", "maxTokens": 128_000}
    answer = await client.post("/api/tasks/start", json=body)
    answer.raise_for_status()
    return str(answer.json()["streamUrl"])


class Subscriber(asyncio.Protocol):
    """Counts events; reads when each was made, too, if it is given where to put that."""

    def __init__(self, path: str, latencies: list[float] | None = None) -> None:
        self.events = self.stamps = self.bytes = 0
        self.closed = asyncio.get_running_loop().create_future()
        self.running = asyncio.get_running_loop().create_future()
        """Done once the task is being worked on."""
        self.spoken = 0.0
        """When the first piece of the answer came (perf_counter)."""
        self._path = path
        self._latencies = latencies
        self._tail = b""

    def connection_made(self, transport: Any) -> None:
        transport.write(f"GET {self._path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
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
    """CPU seconds and resident bytes of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK"), int(fields[21]) * os.sysconf("SC_PAGE_SIZE")


async def over(pid: int, seconds: float, count: Callable[[], int]) -> tuple[int, float, float]:
    """By how much a count grows in so long, how long that really was, and the CPU seconds that the
    process used for it."""
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
    """Each figure's median over runs of the same."""
    return {name: statistics.median(run[name] for run in runs) for name in runs[0]}


def measured(
    description: str,
    run: Callable[[str, argparse.Namespace], Any],
    **options: Any,
) -> None:
    """The command line of a benchmark: `run` (of a Redis's address, and of what was given for
    the options, each with its default) answers the figures, or is to be awaited for them."""
    arguments = argparse.ArgumentParser(description=description.splitlines()[0])
    for name, default in options.items():
        arguments.add_argument(f"--{name}", type=type(default), default=default)
    arguments.add_argument("--json", type=Path, help="Write the figures here, too.")
    given = arguments.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    pin(LOAD)
    with LocalRedis().running() as server:
        figures = run(server.url, given)
        if asyncio.iscoroutine(figures):
            figures = uvloop.run(figures)
    for name, value in figures.items():
        print(f"{name:<56}{value:>14,}")
    if given.json is not None:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")
