"""D. Many tasks at once: each streams 30 tokens a second through the one process to one subscriber.

Measures how late tokens are, and how many of the upstream's tokens arrive per second. The ceiling,
in the same run, is a bare uvloop relay that copies the upstream's bytes to the subscriber, with
neither log nor queue (two sockets per task).
"""

import argparse
import asyncio
import sys
from typing import Any

import uvloop

from benchmarks.model import upstream
from benchmarks.rig import Subscriber, join, late, measured, medians, ours, over, peer, start

RATE = 30


async def watched(
    opened: list[Subscriber], latencies: list[float], pid: int, seconds: int
) -> dict[str, float]:
    """Measure all subscribers for `seconds`, after two seconds to warm up."""
    await asyncio.sleep(2)
    latencies.clear()
    tokens, took, spent = await over(pid, seconds, lambda: sum(each.stamps for each in opened))
    return {
        "tokens_per_second": round(tokens / took),
        "wanted_per_second": len(opened) * RATE,
        "tokens_per_cpu_second": round(tokens / spent),
        **{f"latency_{name}": value for name, value in late(latencies).items()},
    }


async def service_with(settings: dict[str, str], count: int, seconds: int) -> dict[str, float]:
    latencies: list[float] = []
    tokens, go = RATE * (seconds + 3), asyncio.Event()
    async with ours(go, **settings) as (address, pid, client):
        opened = []
        for first in range(0, count, 20):
            some = range(first, min(count, first + 20))
            paths = await asyncio.gather(*(start(client, tokens, RATE) for _ in some))
            opened += [await join(address, path, latencies) for path in paths]
        await asyncio.gather(*(each.running for each in opened))
        go.set()
        figures = await watched(opened, latencies, pid, seconds)
        await asyncio.gather(*(each.closed for each in opened))
        assert {each.stamps for each in opened} == {tokens}, "not every token arrived"
    return figures


async def relay_with(count: int, seconds: int) -> dict[str, float]:
    latencies: list[float] = []
    tokens, go = RATE * (seconds + 3), asyncio.Event()
    async with upstream(go) as url:
        with peer("relay", "--upstream", url, "--tokens", str(tokens)) as (address, pid):
            opened = [await join(address, "/", latencies) for _ in range(count)]
            go.set()
            figures = await watched(opened, latencies, pid, seconds)
            for each in opened:
                each.closed.cancel()
    return figures


def run(redis_url: str, given: argparse.Namespace) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    settings = {"REDIS_URL": redis_url}
    for count in map(int, given.counts.split(",")):
        runs: dict[str, list[dict[str, float]]] = {"longtask": [], "relay": []}
        for _ in range(given.repeats):
            runs["longtask"].append(uvloop.run(service_with(settings, count, given.seconds)))
            runs["relay"].append(uvloop.run(relay_with(count, given.seconds)))
            print(count, *(each[-1] for each in runs.values()), file=sys.stderr, flush=True)
        for name, found in runs.items():
            figures |= {f"D_{count}_{name}_{key}": value for key, value in medians(found).items()}
    return figures


if __name__ == "__main__":
    measured(__doc__ or "", run, counts="100,300,1000", seconds=10, repeats=3)
