"""The store on a real Redis: appends, live delivery in a process, many subscribers over HTTP.

Appends: steps of the log per second, each one fence check, events, lease, time to live and publish.
Hub: a writer in another process appends as fast as it can; subscribers of one process follow it,
each by FollowTask, and each must see every event. Subscribers: streams of one `longtask serve` on
one task at a model's pace; the server on one core, all else (Redis, too) on the other.
"""

import argparse
import asyncio
import multiprocessing
import os
import re
import resource
import secrets
import statistics
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
from tests.contract.conftest import follow_task
from tests.redis_server import LocalRedis

from adapters.redis import RedisEventFeed, RedisTaskLog, connect, parse_address
from benchmarks.embedded_stream import percentile, report, service, upstream
from domain.events import ContentAdded
from domain.task import Attempt, Task, TaskRequest

REQUEST = TaskRequest(model="m", max_tokens=10, temperature=0.5, prompt="Hi.")
LEASE = 30.0
EVENT = ContentAdded(1, " token")


def _connect(url: str) -> Any:
    return connect(parse_address(url), connections=50, connect_timeout=5.0, timeout=5.0)


async def _begun(tasks: RedisTaskLog, task_id: str) -> Attempt:
    await tasks.create(Task.submit(task_id, REQUEST, 1))
    attempt = await tasks.claim(task_id, LEASE, 1)
    assert isinstance(attempt, Attempt)
    return attempt


async def appends(url: str, writers: int, size: int, seconds: float) -> float:
    """Appends per second of so many tasks at once, each append of so many events."""
    connection = _connect(url)
    tasks = RedisTaskLog(connection, 600.0)
    until = 0.0

    async def write(attempt: Attempt) -> int:
        done = 0
        while time.perf_counter() < until:
            attempt = await tasks.append(attempt, [EVENT] * size, LEASE)
            done += 1
        return done

    begun = [await _begun(tasks, f"a{secrets.token_hex(6)}") for _ in range(writers)]
    until = time.perf_counter() + seconds
    done = await asyncio.gather(*map(write, begun))
    await connection.aclose()
    return sum(done) / seconds


def _write_flat_out(url: str, task_id: str, events: int, size: int, begun: Any, go: Any) -> None:
    async def run() -> None:
        connection = _connect(url)
        tasks = RedisTaskLog(connection, 600.0)
        attempt = await _begun(tasks, task_id)
        begun.set()
        go.wait()
        text = ""
        for _ in range(events // size):
            attempt = await tasks.append(attempt, [EVENT] * size, LEASE)
            text += EVENT.text * size
        done = attempt.task.complete(2, text=text, finish_reason="stop", model="m", usage=None)
        await tasks.settle(attempt, done)
        await connection.aclose()

    asyncio.run(run())


async def hub(url: str, subscribers: int, events: int, size: int) -> float:
    """Events delivered per second in one process, all subscribers together."""
    connection = _connect(url)
    tasks, task_id = RedisTaskLog(connection, 600.0), f"h{secrets.token_hex(6)}"
    feed = RedisEventFeed(connection)
    spawn = multiprocessing.get_context("spawn")
    begun, go = spawn.Event(), spawn.Event()
    writer = spawn.Process(target=_write_flat_out, args=(url, task_id, events, size, begun, go))
    writer.start()
    await asyncio.to_thread(begun.wait)
    follow = follow_task(tasks, feed, silence=30.0)
    ready = asyncio.Semaphore(0)

    async def read() -> None:
        following = await follow(task_id, None)
        assert following is not None
        seen = 0
        async for batches in following.batches:
            if seen == 0:
                ready.release()
            for batch in batches:
                assert batch.first == seen + 1
                seen = batch.last
        assert seen == events + 4, seen

    reading = [asyncio.create_task(read()) for _ in range(subscribers)]
    for _ in reading:
        await ready.acquire()
    began = time.perf_counter()
    go.set()
    await asyncio.gather(*reading)
    took = time.perf_counter() - began
    await asyncio.to_thread(writer.join)
    await feed.aclose()
    await connection.aclose()
    return subscribers * events / took


_ID, _END = b"\nid: ", b'"type":"end"'


class _Subscriber(asyncio.Protocol):
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
        text, ended, _ = data.partition(_END)
        if self._latencies is not None:
            stamps = re.findall(rb"(\d+);", text[len(tail) :])
            self._latencies.extend((now - int(each)) / 1e6 for each in stamps)
        if ended:
            self._transport.close()
            self.closed.set_result(None)


def _used(pid: int) -> tuple[float, int]:
    """CPU seconds and resident bytes of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK"), int(fields[21]) * os.sysconf("SC_PAGE_SIZE")


async def subscribers(url: str, count: int, rate: int, seconds: int) -> dict[str, float]:
    """Streams of one task at so many tokens per second."""
    async with upstream() as upstream_url:
        with service(upstream_url, REDIS_URL=url) as (address, pid):
            async with httpx.AsyncClient(base_url=address, timeout=60) as client:

                async def start(tokens: int) -> str:
                    body = {"prompt": f"{tokens} {rate}", "maxTokens": 128_000}
                    task = (await client.post("/api/tasks/start", json=body)).json()["taskId"]
                    return f"/api/tasks/stream?taskId={task}"

                host = urlsplit(address)
                loop = asyncio.get_running_loop()

                async def join(path: str, latencies: list[float] | None) -> _Subscriber:
                    _, protocol = await loop.create_connection(
                        lambda: _Subscriber(path, latencies), host.hostname or "", host.port or 0
                    )
                    return protocol

                await (await join(await start(rate), None)).closed  # warm
                _, idle = _used(pid)
                joining = 2 + count // 500
                path = await start(rate * (seconds + joining))
                latencies: list[float] = []
                opened = [await join(path, None if n % 50 else latencies) for n in range(count)]
                await asyncio.sleep(joining)
                latencies.clear()
                cpu, memory = _used(pid)
                events = sum(each.events for each in opened)
                await asyncio.sleep(seconds - 2)
                cpu_after, _ = _used(pid)
                delivered = sum(each.events for each in opened) - events
                await asyncio.gather(*(each.closed for each in opened))
    assert len({each.events for each in opened}) == 1, "not every subscriber saw every event"
    return {
        "deliveries_per_second": round(delivered / (seconds - 2)),
        "deliveries_per_cpu_second": round(delivered / (cpu_after - cpu)),
        "latency_ms_p50": round(percentile(latencies, 0.5), 2),
        "latency_ms_p99": round(percentile(latencies, 0.99), 2),
        "kib_per_subscriber": round((memory - idle) / count / 1024, 1),
    }


def run(url: str, seconds: float, repeats: int) -> dict[str, Any]:
    figures: dict[str, Any] = {}

    def median(name: str, measure: Any) -> None:
        figures[name] = round(statistics.median(asyncio.run(measure()) for _ in range(repeats)))

    for writers, size in ((1, 1), (1, 8), (50, 1), (50, 8)):
        name = f"appends_per_second_{writers}_tasks_{size}_events"
        median(name, lambda w=writers, s=size: appends(url, w, s, seconds))
    for count, events in ((1, 40_000), (100, 20_000), (1_000, 4_000)):
        name = f"hub_events_per_second_{count}_subscribers"
        median(name, lambda n=count, e=events: hub(url, n, e, 8))
    for count in (100, 500, 1_000):
        measured = asyncio.run(subscribers(url, count, 30, 10))
        figures.update({f"{count}_streams_{name}": value for name, value in measured.items()})
    return figures


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--url", help="A Redis to use; without it one is started.")
    arguments.add_argument("--seconds", type=float, default=3.0)
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--json", type=Path, help="Write the figures here, too.")
    given = arguments.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if given.url is not None:
        report(run(given.url, given.seconds, given.repeats), given.json)
        return
    with LocalRedis().running() as server:
        report(run(server.url, given.seconds, given.repeats), given.json)


if __name__ == "__main__":
    main()
