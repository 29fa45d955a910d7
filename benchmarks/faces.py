"""I. The faces beside the native one: fan-out, replay, and the time to the first delta.

In alternation, on one server (`longtask serve` on Redis, with a core of its own): many readers of
one task of 50 tokens a second on each face; one task flat out, to one reader; the whole log of a
finished task, to one reader and to a hundred at once; and, on the embedded default, the time from
POST to the first delta, beside that of the upstream itself.
"""

import argparse
import asyncio
import functools
import json
import statistics
import time
from typing import Any

import httpx

from benchmarks.late_join import logged
from benchmarks.model import upstream
from benchmarks.rig import (
    Subscriber,
    connected,
    measured,
    medians,
    ours,
    over,
    percentile,
    service,
    start,
    used,
)

RATE = 50
EVENTS, AT_ONCE = 10_000, 100
TOKENS, TURNS = 100_000, 7
"""Of a task flat out, and how often each face has its turn."""


FACES = ("native", "openai", "ai_sdk")
MARKS = {
    "openai": (b"\nevent: ", b"event: response.in_progress", b"event: response.completed"),
    # No chunk says that the first attempt has begun: the one before it has to do.
    "ai_sdk": (b"\ndata: {", b'"type":"start-step"', b'"type":"finish",'),
}
"""What an event begins with, what tells that the task runs, and what tells its end."""


class Reader(Subscriber):
    """Counts the events of a face."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        face = "openai" if "/v1/" in path else "ai_sdk" if "/chat/" in path else "native"
        self._marks = MARKS.get(face)

    def data_received(self, data: bytes) -> None:
        if self._marks is None:
            super().data_received(data)
            return
        event, running, end = self._marks
        self.bytes += len(data)
        data, tail = self._tail + data, self._tail
        self._tail = data[-40:]
        self.events += data.count(event) - tail.count(event)
        if not self.running.done() and running in data:
            self.running.set_result(None)
        if end in data and not self.closed.done():
            self._transport.close()
            self.closed.set_result(None)


def paths(native: str) -> dict[str, str]:
    task_id = native.partition("taskId=")[2].partition("&")[0]
    return {
        "native": native,
        "openai": f"/v1/responses/resp_{task_id}?stream=true",
        "ai_sdk": f"/api/chat/{task_id}/stream",
    }


async def fanned_out(redis_url: str, face: str, count: int, seconds: int) -> dict[str, float]:
    go = asyncio.Event()
    async with ours(go, REDIS_URL=redis_url) as (address, pid, client):
        path = paths(await start(client, RATE * (seconds + 3), RATE))[face]
        first = await connected(address, lambda: Reader(path))
        await first.running
        opened = [await connected(address, lambda: Reader(path)) for _ in range(count)]
        await asyncio.gather(*(each.running for each in opened))
        go.set()
        await asyncio.sleep(1)
        done, _, spent = await over(pid, seconds, lambda: sum(each.events for each in opened))
        await asyncio.gather(*(each.closed for each in opened))
        assert len({each.events for each in opened}) == 1, "not every reader saw every event"
    return {f"I_{count}_{face}_us_cpu_per_delivery": round(spent * 1e6 / done, 2)}


async def flat_out(redis_url: str) -> dict[str, float]:
    """Return the tokens per second from the start to the last event that the reader gets."""
    rates: dict[str, list[float]] = {face: [] for face in FACES}
    async with ours(REDIS_URL=redis_url) as (address, _, client):
        for turn in range(1 + TURNS):
            for face, found in rates.items():
                began = time.perf_counter()
                path = paths(await start(client, TOKENS if turn else 1_000, 0))[face]
                await (await connected(address, functools.partial(Reader, path))).closed
                found.append(TOKENS / (time.perf_counter() - began))
    return {
        f"I_flat_out_{face}_tokens_per_second": round(statistics.median(found[1:]))
        for face, found in rates.items()
    }


async def replayed(redis_url: str) -> dict[str, float]:
    figures: dict[str, float] = {}
    async with ours(REDIS_URL=redis_url) as (address, pid, _):
        both = paths(await logged(redis_url, EVENTS))
        for readers, times in ((1, 10), (AT_ONCE, 3)):
            for face, path in both.items():
                await replay(address, path, 1)
                cpu, _ = used(pid)
                for _ in range(times):
                    await replay(address, path, readers)
                spent = used(pid)[0] - cpu
                name = f"I_replay_{readers}_{face}_us_cpu_per_event"
                figures[name] = round(spent * 1e6 / (times * readers * EVENTS), 2)
    return figures


async def replay(address: str, path: str, readers: int) -> None:
    opened = [await connected(address, lambda: Reader(path)) for _ in range(readers)]
    await asyncio.gather(*(each.closed for each in opened))
    assert all(each.events >= EVENTS for each in opened), "not every event arrived"


async def first_delta(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> float:
    """Return the milliseconds from POST to the first piece of the answer."""
    began = time.perf_counter()
    async with client.stream("POST", path, json=body, timeout=60) as response:
        async for line in response.aiter_lines():
            data = json.loads(line[5:]) if line.startswith("data: {") else {}
            choices = data.get("choices") or [{}]
            if "delta" in data or choices[0].get("delta", {}).get("content"):
                return (time.perf_counter() - began) * 1000
    raise AssertionError("no piece came")


async def added(times: int) -> dict[str, float]:
    async with upstream() as upstream_url, httpx.AsyncClient() as client:
        with service(upstream_url, REDIS_URL="") as (address, _):
            asked = {"model": "m", "stream": True}
            prompt = "50 1000 "
            chat = {
                **asked,
                "messages": [{"role": "user", "content": prompt}],
                "max_tokens": 128_000,
            }
            response = {**asked, "input": prompt, "max_output_tokens": 128_000}
            message = {"role": "user", "parts": [{"type": "text", "text": prompt}]}
            ui = {"model": "m", "messages": [message], "maxTokens": 128_000}
            ways = {
                "upstream": (f"{upstream_url}/chat/completions", chat),
                "responses": (f"{address}/v1/responses", response),
                "chat": (f"{address}/v1/chat/completions", chat),
                "ai_sdk": (f"{address}/api/chat", ui),
            }
            found: dict[str, list[float]] = {name: [] for name in ways}
            for _ in range(times):
                for name, (path, body) in ways.items():
                    found[name].append(await first_delta(client, path, body))
                    await asyncio.sleep(0.1)  # for the rest of the answer, which is not read
    figures = {}
    for name, taken in found.items():
        figures[f"I_first_delta_{name}_ms_p50"] = round(statistics.median(taken), 2)
        figures[f"I_first_delta_{name}_ms_p99"] = round(percentile(taken, 0.99), 2)
    return figures


async def run(redis_url: str, given: argparse.Namespace) -> dict[str, Any]:
    runs = []
    for _ in range(given.repeats):
        figures = await added(given.times)
        for count in map(int, given.counts.split(",")):
            for face in FACES:
                figures |= await fanned_out(redis_url, face, count, given.seconds)
        figures |= await flat_out(redis_url)
        figures |= await replayed(redis_url)
        runs.append(figures)
    return medians(runs)


if __name__ == "__main__":
    measured(__doc__ or "", run, counts="200,1000", seconds=6, times=200, repeats=3)
