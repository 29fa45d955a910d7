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

from benchmarks.rig import join, measured, medians, ours, pin, service, start, used
from benchmarks.task_queue import queue

RATE = 30
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


async def starts(address: str, pids: list[int], given: Any) -> tuple[float, list[float]]:
    """Return the starts per CPU second, each with a connection of its own kept, and the CPU
    seconds of each process."""
    rate = given.starts * given.workers
    limits = httpx.Limits(max_connections=32 * given.workers, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=address, timeout=60, limits=limits) as client:
        await asyncio.gather(*(client.get("/healthz") for _ in range(32 * given.workers)))
        cpu, began, sent = Spent(pids), time.perf_counter(), []
        for number in range(round(rate * given.seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            sent.append(
                asyncio.create_task(client.post("/api/tasks/start", json={"prompt": "1 0"}))
            )
        for response in await asyncio.gather(*sent):
            response.raise_for_status()
        shares = cpu.each()
    assert time.perf_counter() - began < 1.1 * given.seconds, "the machine is full"
    return len(sent) / sum(shares), shares


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
