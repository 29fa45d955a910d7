"""N. Two workers beside one, on Redis: work per CPU second.

Both have the same load for each process: tasks at 30 tokens a second with a reader each, then
starts at a fixed rate. With two, the kernel chooses who accepts a connection, so that half of the
readers are at the other process than their task. CPU time is that of all processes of the service.
All processes share all cores, so nothing may be full: a process that is late does more in a turn,
and looks cheaper.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import uvloop

from benchmarks.model import message
from benchmarks.rig import connected, join, measured, medians, ours, pin, service, start, used
from benchmarks.starts import post
from benchmarks.task_queue import queue

RATE = 30
CONNECTIONS = 32
"""Of clients that start, for each process."""
START = post("/api/tasks/start", b'{"prompt":"1 0"}')
IDLE = 0.1
"""CPU seconds a second of a service that has nothing to do, at most."""


def family(pid: int) -> list[int]:
    """Return a process and those that it has started."""
    found = [pid]
    for each in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(each.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == pid:
            found.append(int(each.parent.name))
    return found


def spent(pids: list[int]) -> list[float]:
    return [used(pid)[0] for pid in pids]


class Spent:
    """CPU seconds that processes use, from when it is made."""

    def __init__(self, pids: list[int]) -> None:
        self._pids = pids
        self._before = spent(pids)

    def each(self) -> list[float]:
        return [now - before for now, before in zip(spent(self._pids), self._before, strict=True)]


async def tokens(
    address: str, pids: list[int], client: httpx.AsyncClient, go: asyncio.Event, given: Any
) -> tuple[float, list[float]]:
    """Return the tokens per CPU second, and the CPU seconds of each process."""
    count = given.count * given.workers
    opened = []
    for _ in range(count):
        path = await start(client, RATE * (given.seconds + 4), RATE)
        opened.append(await join(address, path, []))
    await asyncio.gather(*(each.running for each in opened))
    go.set()
    await asyncio.sleep(2)
    cpu, before = Spent(pids), sum(each.stamps for each in opened)
    await asyncio.sleep(given.seconds)
    shares, said = cpu.each(), sum(each.stamps for each in opened) - before
    assert said > 0.9 * count * RATE * given.seconds, "the machine is full"
    await asyncio.gather(*(each.closed for each in opened))
    return said / sum(shares), shares


class Starter(asyncio.Protocol):
    """A connection that sends one start at a time, and is among the `free` ones in between."""

    def __init__(self, free: "asyncio.Queue[Starter]") -> None:
        self._free = free
        self._answer = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._free.put_nowait(self)

    def send(self) -> None:
        self._transport.write(START)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if (whole := message(self._answer)) is not None:
            assert whole[0].startswith(b"HTTP/1.1 202"), whole
            self._answer = b""
            self._free.put_nowait(self)

    def close(self) -> None:
        self._transport.close()


async def starts(address: str, pids: list[int], given: Any) -> tuple[float, list[float]]:
    """Return the starts per CPU second, and the CPU seconds of each process."""
    rate, free = given.starts * given.workers, asyncio.Queue[Starter]()
    for _ in range(CONNECTIONS * given.workers):
        # One after the other: of those that come at once, one process accepts all.
        await connected(address, lambda: Starter(free))
        await asyncio.sleep(0.01)
    cpu, began, count = Spent(pids), time.perf_counter(), round(rate * given.seconds)
    for number in range(count):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        (await free.get()).send()
    all_of_them = [await free.get() for _ in range(CONNECTIONS * given.workers)]
    shares = cpu.each()
    assert time.perf_counter() - began < 1.1 * given.seconds, "the machine is full"
    for each in all_of_them:
        each.close()
    return count / sum(shares), shares


async def settled(pid: int, workers: int) -> list[int]:
    """Return the processes of the service once all have started, free to run on every core."""
    fewest = 1 if workers == 1 else workers + 1
    while True:
        pids = family(pid)
        cpu = Spent(pids)
        await asyncio.sleep(1)
        if len(pids) >= fewest and sum(cpu.each()) < IDLE:
            break
    for each in pids:
        pin(set(range(os.cpu_count() or 1)), each)
    return pids


async def with_workers(redis_url: str, given: argparse.Namespace) -> dict[str, float]:
    go = asyncio.Event()
    settings = {"REDIS_URL": redis_url, "LONGTASK_WORKERS": str(given.workers)}
    async with ours(go, **settings) as (address, pid, client):
        pids = await settled(pid, given.workers)
        said, of_tokens = await tokens(address, pids, client, go, given)
    async with queue() as taking:  # which delivers nothing
        with service("http://127.0.0.1:1", **taking.settings, **settings) as (address, pid):
            pids = await settled(pid, given.workers)
            started, of_starts = await starts(address, pids, given)
    shares = {"tokens": of_tokens, "starts": of_starts}
    print(given.workers, round(said), round(started), json.dumps(shares), file=sys.stderr)
    return {"tokens": said, "starts": started}


def run(redis_url: str, given: argparse.Namespace) -> dict[str, Any]:
    pin(set(range(os.cpu_count() or 1)))
    runs = []
    for _ in range(given.repeats):
        figures: dict[str, float] = {}
        for workers in (1, 2):
            given.workers = workers
            found = uvloop.run(with_workers(redis_url, given))
            for name, value in found.items():
                figures[f"N_{workers}_{name}_per_cpu_second"] = round(value)
        for name in ("tokens", "starts"):
            one, two = (figures[f"N_{workers}_{name}_per_cpu_second"] for workers in (1, 2))
            figures[f"N_{name}_two_to_one"] = round(two / one, 3)
        runs.append(figures)
    return medians(runs)


if __name__ == "__main__":
    measured(__doc__ or "", run, count=60, starts=200, seconds=10, repeats=5)
