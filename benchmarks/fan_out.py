"""Fan-out: streams of one task at 50 tokens a second to many subscribers of one process.

The server (`longtask serve` on Redis) has a core of its own; Redis, upstream and subscribers share
the other. In the same run, with the same subscribers: the ceiling and the peer of peers.py. Every
subscriber of ours must see every event. A figure counts while all are there.
"""

import argparse
import asyncio
import contextlib
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from tests.redis_server import LocalRedis

from benchmarks.embedded_stream import percentile, report, service, upstream

RATE = 50
_ID, _END = b"\nid: ", b'"type":"end"'
_ENDS = re.compile(rb'"type": ?"end"')


class Subscriber(asyncio.Protocol):
    """Counts events. One in fifty reads when each was made, too."""

    def __init__(self, path: str, latencies: list[float] | None) -> None:
        self.events = 0
        self.closed = asyncio.get_running_loop().create_future()
        self._path = path
        self._latencies = latencies
        self._tail = b""

    def connection_made(self, transport: Any) -> None:
        transport.write(f"GET {self._path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        now, tail = time.perf_counter_ns(), self._tail
        data = tail + data
        self._tail = data[-len(_END) :]
        self.events += data.count(_ID) - tail.count(_ID)
        ended = _ENDS.search(data)
        if self._latencies is not None:
            text = data[len(tail) : ended.start() if ended else None]
            self._latencies.extend((now - int(each)) / 1e6 for each in re.findall(rb"(\d+);", text))
        if ended and not self.closed.done():
            self._transport.close()
            self.closed.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_exception(ConnectionError("closed before the end"))


async def join(address: str, path: str, latencies: list[float] | None) -> Subscriber:
    host = urlsplit(address)
    _, protocol = await asyncio.get_running_loop().create_connection(
        lambda: Subscriber(path, latencies), host.hostname or "", host.port or 0
    )
    return protocol


def used(pid: int) -> tuple[float, int]:
    """CPU seconds and resident bytes of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK"), int(fields[21]) * os.sysconf("SC_PAGE_SIZE")


def joining(count: int) -> int:
    """Seconds that so many subscribers get to arrive."""
    return 3 + count // 400


async def crowd(address: str, pid: int, path: str, count: int, seconds: int) -> dict[str, float]:
    """So many subscribers of a stream that lasts `joining` and those seconds."""
    _, idle = used(pid)
    latencies: list[float] = []
    began = time.perf_counter()
    opened = [await join(address, path, None if n % 50 else latencies) for n in range(count)]
    await asyncio.sleep(max(0.0, began + joining(count) - time.perf_counter()))
    latencies.clear()
    cpu, memory = used(pid)
    events, since = sum(each.events for each in opened), time.perf_counter()
    await asyncio.sleep(seconds - 2)
    delivered = sum(each.events for each in opened) - events
    took = time.perf_counter() - since
    cpu_after, _ = used(pid)
    ended = await asyncio.gather(*(each.closed for each in opened), return_exceptions=True)
    if path != "/":  # the peers keep no log: who comes later sees less, and who is slow is cut off
        assert not any(ended), "not every subscriber came to the end"
        assert len({each.events for each in opened}) == 1, "not every subscriber saw every event"
    return {
        "deliveries_per_second": round(delivered / took),
        "wanted_per_second": count * RATE,
        "deliveries_per_cpu_second": round(delivered / max(0.01, cpu_after - cpu)),
        "latency_ms_p50": round(percentile(latencies, 0.5), 2),
        "latency_ms_p99": round(percentile(latencies, 0.99), 2),
        "kib_per_subscriber": round((memory - idle) / count / 1024, 1),
    }


@contextlib.asynccontextmanager
async def ours(redis_url: str) -> AsyncIterator[tuple[str, int, httpx.AsyncClient]]:
    async with upstream() as upstream_url:
        with service(upstream_url, REDIS_URL=redis_url) as (address, pid):
            async with httpx.AsyncClient(base_url=address, timeout=60) as client:
                yield address, pid, client


async def start(client: httpx.AsyncClient, tokens: int) -> str:
    """The path of a new task's stream."""
    body = {"prompt": f"{tokens} {RATE}", "maxTokens": 128_000}
    return str((await client.post("/api/tasks/start", json=body)).json()["streamUrl"])


async def service_to(redis_url: str, count: int, seconds: int) -> dict[str, float]:
    async with ours(redis_url) as (address, pid, client):
        await (await join(address, await start(client, RATE), None)).closed  # warm
        path = await start(client, RATE * (seconds + joining(count)))
        return await crowd(address, pid, path, count, seconds)


@contextlib.contextmanager
def peer(name: str, seconds: int, redis_url: str) -> Iterator[tuple[str, int]]:
    process = subprocess.Popen(  # noqa: S603
        [
            *(sys.executable, "-m", "benchmarks.peers", name),
            *("--rate", str(RATE), "--seconds", str(seconds), "--redis", redis_url),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        if (os.cpu_count() or 1) > 1 and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(process.pid, {1})
            os.sched_setaffinity(0, {0})
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}", process.pid
    finally:
        process.terminate()
        process.wait(20)


async def peer_to(name: str, redis_url: str, count: int, seconds: int) -> dict[str, float]:
    with peer(name, seconds + joining(count), redis_url) as (address, pid):
        return await crowd(address, pid, "/", count, seconds)


def run(redis_url: str, counts: list[int], seconds: int, peer_counts: list[int]) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for count in counts:
        names = ["longtask", "bare", *(["sse-starlette"] if count in peer_counts else [])]
        for name in names:
            measured = asyncio.run(
                service_to(redis_url, count, seconds)
                if name == "longtask"
                else peer_to(name, redis_url, count, seconds)
            )
            print(name, count, measured, file=sys.stderr, flush=True)
            figures |= {f"{count}_{name}_{key}": value for key, value in measured.items()}
    return figures


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--counts", default="200,1000")
    arguments.add_argument("--peer-counts", default="200,1000", help="Of sse-starlette.")
    arguments.add_argument("--seconds", type=int, default=8)
    arguments.add_argument("--json", type=Path, help="Write the figures here, too.")
    given = arguments.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    counts, peers = (
        [int(each) for each in text.split(",") if each]
        for text in (given.counts, given.peer_counts)
    )
    with LocalRedis().running() as server:
        report(run(server.url, counts, given.seconds, peers), given.json)


if __name__ == "__main__":
    main()
