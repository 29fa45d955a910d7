"""Fan-out: streams of one task at 50 tokens a second to many subscribers of one process.

The server (`longtask serve` on Redis) has a core of its own; Redis, upstream and subscribers share
the other. In the same run, with the same subscribers: the ceiling and the peer of peers.py. Every
subscriber of ours must see every event. A figure counts while all are there.
"""

import argparse
import asyncio
import sys
import time
from typing import Any

import uvloop

from benchmarks.rig import join, measured, ours, peer, percentile, start, used

RATE = 50


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


async def service_to(redis_url: str, count: int, seconds: int) -> dict[str, float]:
    async with ours(redis_url) as (address, pid, client):
        await (await join(address, await start(client, RATE, RATE))).closed  # warm
        path = await start(client, RATE * (seconds + joining(count)), RATE)
        return await crowd(address, pid, path, count, seconds)


async def peer_to(name: str, redis_url: str, count: int, seconds: int) -> dict[str, float]:
    lasting = str(seconds + joining(count))
    options = ("--rate", str(RATE), "--seconds", lasting, "--redis", redis_url)
    with peer(name, *options) as (address, pid):
        return await crowd(address, pid, "/", count, seconds)


def run(redis_url: str, given: argparse.Namespace) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for count in map(int, given.counts.split(",")):
        names = ["longtask", "bare", *(["sse-starlette"] if count <= given.peer_most else [])]
        for name in names:
            found = uvloop.run(
                service_to(redis_url, count, given.seconds)
                if name == "longtask"
                else peer_to(name, redis_url, count, given.seconds)
            )
            print(name, count, found, file=sys.stderr, flush=True)
            figures |= {f"C_{count}_{name}_{key}": value for key, value in found.items()}
    return figures


if __name__ == "__main__":
    measured(__doc__ or "", run, counts="200,1000,2000,5000", peer_most=1_000, seconds=8)
