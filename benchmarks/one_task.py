"""A and B. One task to one subscriber on Redis: latency and throughput.

Every part is real: HTTP, the QStash protocol, an OpenAI-compatible upstream, Redis, SSE.

A. Latency: the upstream sends 100 tokens a second and stamps each when it writes it. The service
adds the time until the subscriber has it, less the same time without a service in between.
B. Throughput: the upstream sends as fast as the service reads. The figure is tokens a second from
the start request to the last event. In the same run OpenAI's SDK alone parses the same stream.
"Mixed" is an answer of which half of the deltas are reasoning or a call of a tool.
G. The same for answers of other lengths, from the first piece to the last: time per token must not
grow with the log.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from typing import Any

import httpx

from benchmarks.model import upstream
from benchmarks.rig import SERVER, join, measured, medians, ours, percentile, pin, start


async def flat_out(
    address: str, client: httpx.AsyncClient, tokens: int, kind: str = ""
) -> tuple[float, float]:
    """Return tokens per second, and microseconds per token after the first."""
    began = time.perf_counter()
    subscriber = await join(address, await start(client, tokens, 0, kind))
    await subscriber.closed
    ended = time.perf_counter()
    assert subscriber.bytes > tokens * len(" token"), "not every token arrived"
    return tokens / (ended - began), (ended - subscriber.spoken) * 1e6 / tokens


async def paced(address: str, client: httpx.AsyncClient, tokens: int, rate: int) -> list[float]:
    """Return the latency of each token in ms."""
    latencies: list[float] = []
    subscriber = await join(address, await start(client, tokens, rate), latencies)
    await subscriber.closed
    # The first tokens may have waited in the log until the subscriber came.
    assert len(latencies) == tokens, len(latencies)
    return latencies[rate // 2 :]


async def without(tokens: int, rate: int) -> list[float]:
    """Return the same for the upstream alone."""
    latencies: list[float] = []
    async with upstream() as url, httpx.AsyncClient(timeout=60) as client:
        body = {"messages": [{"role": "user", "content": f"{tokens} {rate}"}]}
        async with client.stream("POST", f"{url}/chat/completions", json=body) as response:
            async for line in response.aiter_lines():
                stamp = line.partition('"content":"')[2].partition(";")[0]
                if stamp:
                    latencies.append((time.perf_counter_ns() - int(stamp)) / 1e6)
    return latencies


async def by_sdk(tokens: int) -> float:
    """Return the tokens per second that OpenAI's SDK parses, on the core of the service."""
    async with upstream() as url:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "benchmarks.peers", "openai-sdk"),
            *("--upstream", url, "--tokens", str(tokens)),
            stdout=subprocess.PIPE,
        )
        pin(SERVER, process.pid)
        output, _ = await process.communicate()
        return float(output)


async def run(redis_url: str, given: argparse.Namespace) -> dict[str, Any]:
    runs = []
    for _ in range(given.repeats):
        async with ours(REDIS_URL=redis_url) as (address, _, client):
            await flat_out(address, client, 1_000)  # warm
            late = await paced(address, client, 100 * given.seconds, 100)
            # Each takes a quarter of a second, so a single one may be disturbed by other programs.
            rates = [(await flat_out(address, client, given.tokens))[0] for _ in range(5)]
            mixed = [(await flat_out(address, client, given.tokens, "mixed"))[0] for _ in range(5)]
            lengths = [int(length) for length in given.lengths.split(",")]
            each = [(await flat_out(address, client, length))[1] for length in lengths]
        alone = await without(100 * given.seconds, 100)
        runs.append(
            {
                "A_latency_ms_p50": percentile(late, 0.5),
                "A_latency_ms_p99": percentile(late, 0.99),
                "A_upstream_alone_ms_p50": percentile(alone, 0.5),
                "A_upstream_alone_ms_p99": percentile(alone, 0.99),
                "B_tokens_per_second": round(statistics.median(rates)),
                "B_mixed_tokens_per_second": round(statistics.median(mixed)),
                **{f"G_B_{n}_us_per_token": us for n, us in zip(lengths, each, strict=True)},
                "B_sdk_alone_tokens_per_second": round(await by_sdk(given.tokens // 10)),
            }
        )
    return {name: round(value, 2) for name, value in medians(runs).items()}


if __name__ == "__main__":
    measured(__doc__ or "", run, tokens=100_000, lengths="1000,10000,100000", seconds=10, repeats=5)
