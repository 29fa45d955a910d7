"""C. Fan-out: one task of 50 tokens a second to many subscribers of one process.
G. The same with more and more subscribers: CPU time per delivery must not grow.

The server (`longtask serve` on Redis) has a core of its own; Redis, upstream and subscribers share
the other. The ceiling and the peers (peers/) are measured in the same run, with the same
subscribers. Every subscriber of the service must see every event; of a peer's subscribers it is
said how many did. Figures are taken while all subscribers are connected.
"""

import argparse
import asyncio
import sys
from typing import Any

import uvloop

from benchmarks.peers import installed
from benchmarks.rig import Subscriber, join, late, measured, medians, ours, over, peer, start, used

RATE = 50
PEERS = "sse-starlette,nchan,nchan-redis,resumable-stream"
TIMEOUT = 90
"""Seconds that a peer's subscribers have to come to the end."""


async def joined(address: str, path: str, count: int, latencies: list[float]) -> list[Subscriber]:
    """Connect `count` subscribers. One in fifty measures the latency of each event."""
    return [await join(address, path, None if n % 50 else latencies) for n in range(count)]


async def watched(
    opened: list[Subscriber], latencies: list[float], pid: int, seconds: float
) -> dict[str, float]:
    latencies.clear()
    delivered, took, spent = await over(pid, seconds, lambda: sum(each.events for each in opened))
    return {
        "deliveries_per_second": round(delivered / took),
        "wanted_per_second": len(opened) * RATE,
        "deliveries_per_cpu_second": round(delivered / spent),
        "cpu_seconds_per_million": round(spent * 1e6 / delivered, 1),
        **{f"latency_{name}": value for name, value in late(latencies).items()},
    }


async def service_to(redis_url: str, count: int, seconds: int) -> dict[str, float]:
    latencies: list[float] = []
    go = asyncio.Event()
    async with ours(go, REDIS_URL=redis_url) as (address, pid, client):
        path = await start(client, RATE * (seconds + 3), RATE)
        await (await join(address, path)).running
        _, before = used(pid)
        opened = await joined(address, path, count, latencies)
        await asyncio.gather(*(each.running for each in opened))
        _, idle = used(pid)
        go.set()
        await asyncio.sleep(1)
        figures = await watched(opened, latencies, pid, seconds)
        ended = await asyncio.gather(*(each.closed for each in opened), return_exceptions=True)
    assert not any(ended), "not every subscriber came to the end"
    assert len({each.events for each in opened}) == 1, "not every subscriber saw every event"
    return {**figures, "idle_kib_per_subscriber": round((idle - before) / count / 1024, 1)}


async def peer_to(name: str, redis_url: str, count: int, seconds: int) -> dict[str, float]:
    latencies: list[float] = []
    shape = {"clients": count, "rate": RATE, "seconds": seconds + 4}
    options = [str(word) for name, value in shape.items() for word in (f"--{name}", value)]
    with peer(name, *options, "--redis", redis_url) as (address, pid):
        _, before = used(pid)
        opened = await joined(address, "/", count, latencies)
        async with asyncio.timeout(60):
            while not all(each.bytes for each in opened):
                await asyncio.sleep(0.05)
            _, idle = used(pid)
            while not opened[0].events:
                await asyncio.sleep(0.05)
        await asyncio.sleep(1)
        figures = await watched(opened, latencies, pid, seconds)
        await asyncio.wait([each.closed for each in opened], timeout=TIMEOUT)
        for each in opened:
            each.closed.cancel()
    every = 1 + RATE * (seconds + 4)
    return {
        **figures,
        "idle_kib_per_subscriber": round((idle - before) / count / 1024, 1),
        "saw_every_event": sum(each.events == every for each in opened),
    }


def run(redis_url: str, given: argparse.Namespace) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for count in map(int, given.counts.split(",")):
        names = ["longtask", "bare"]
        if count <= given.peer_most:
            names += installed(given.peers)
        runs: dict[str, list[dict[str, float]]] = {name: [] for name in names}
        for _ in range(given.repeats):
            for name in names:
                found = uvloop.run(
                    service_to(redis_url, count, given.seconds)
                    if name == "longtask"
                    else peer_to(name, redis_url, count, given.seconds)
                )
                print(name, count, found, file=sys.stderr, flush=True)
                runs[name].append(found)
        for name in names:
            figures |= {
                f"C_{count}_{name}_{key}": value for key, value in medians(runs[name]).items()
            }
    return figures


if __name__ == "__main__":
    counts = "200,1000,2000,5000"
    measured(__doc__ or "", run, counts=counts, peers=PEERS, peer_most=1_000, seconds=8, repeats=3)
