"""J. The data file beside the memory store and Redis, in turn.

One task flat out (as in B), and many tasks at 30 tokens a second (as in D): the service with each
store, and the queue of the benchmarks.
Replay of one log (as in E): pages read from the store with nothing around it, and over HTTP.
A full file: how long a start (POST to 202), a GET and the start of the process take with 100,000
tasks in the file, and with none.
"""

import argparse
import asyncio
import contextlib
import statistics
import sys
import time
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import uvloop

from adapters.live import Hub
from adapters.memory import MemoryTaskLog
from adapters.sqlite import AwakeClock, SqliteTaskLog
from application.follow_task import PAGE
from application.ports import TaskLog
from benchmarks.late_join import replayed, stream_of, written
from benchmarks.many_tasks import service_with
from benchmarks.one_task import flat_out
from benchmarks.rig import LOAD, SERVER, measured, medians, ours, pin
from entrypoints.data_file import open_data_file

TTL = 86_400.0
AT_ONCE = 500
"""Tasks that are written to a file at the same time."""

Stores = dict[str, dict[str, str]]
"""The settings of each store."""


@contextlib.asynccontextmanager
async def opened(file: Path) -> AsyncIterator[SqliteTaskLog]:
    database = open_data_file(file)
    try:
        yield SqliteTaskLog(database, Hub(), TTL, clock=AwakeClock())
    finally:
        await database.aclose()


async def tokens_per_second(settings: dict[str, str], tokens: int) -> float:
    async with ours(None, **settings) as (address, _, client):
        await flat_out(address, client, 1_000)  # warm
        # Each takes a quarter of a second, so a single one may be disturbed by other programs.
        rates = [(await flat_out(address, client, tokens))[0] for _ in range(5)]
        return statistics.median(rates)


async def pages_per_second(tasks: TaskLog, task_id: str, events: int) -> float:
    """Return the events per second that the store gives to one reader."""
    rates = []
    for _ in range(max(5, 100_000 // events)):
        began, after = time.perf_counter(), 0
        while after < events:
            after += len((await tasks.read(task_id, after, PAGE)).events)
        rates.append(after / (time.perf_counter() - began))
    return statistics.median(rates)


async def replays(folder: Path, lengths: Iterable[int]) -> dict[str, float]:
    figures: dict[str, float] = {}
    file, ids = folder / "replay.db", {}
    async with opened(file) as tasks:
        memory = MemoryTaskLog(Hub(), TTL)
        for events in lengths:
            ids[events] = await written(tasks, events)
            rate = await pages_per_second(tasks, ids[events], events)
            figures[f"read_{events}_file_events_per_second"] = round(rate)
            rate = await pages_per_second(memory, await written(memory, events), events)
            figures[f"read_{events}_memory_events_per_second"] = round(rate)
    pin(LOAD)
    async with ours(LONGTASK_DATA=str(file)) as (address, _, _client):
        for events, task_id in ids.items():
            path = stream_of(task_id)
            took = [await replayed(address, path, events, 1) for _ in range(8)]
            figures[f"http_{events}_events_per_second"] = round(events / statistics.median(took))
    return figures


async def fill(file: Path, count: int) -> str:
    """Write finished tasks of some ten events. Return the id of one in their middle."""
    async with opened(file) as tasks:
        ids: list[str] = []
        while len(ids) < count:
            ids += await asyncio.gather(*(written(tasks, 8) for _ in range(AT_ONCE)))
    return ids[count // 2]


async def requests(file: Path, task_id: str | None, count: int) -> dict[str, float]:
    """Return the milliseconds that a start of the process takes, until it responds, and those of
    requests, one after the other."""
    figures, began = {}, time.perf_counter()
    async with ours(LONGTASK_DATA=str(file)) as (_, _, client):
        (await client.get("/healthz")).raise_for_status()
        figures["process_start_ms"] = (time.perf_counter() - began) * 1e3
        body = {"prompt": "1 0"}
        for name in ("start", "get"):
            took = []
            for _ in range(count):
                began = time.perf_counter()
                if name == "start":
                    answer = await client.post("/api/tasks/start", json=body)
                    made = answer.json()["taskId"]
                else:
                    answer = await client.get(f"/api/tasks/{task_id or made}")
                took.append((time.perf_counter() - began) * 1e3)
                answer.raise_for_status()
            figures[f"{name}_ms"] = statistics.median(took[count // 10 :])
    return figures


def run(redis_url: str, given: argparse.Namespace) -> dict[str, Any]:
    lengths = [int(length) for length in given.lengths.split(",")]
    runs: list[dict[str, float]] = []
    with TemporaryDirectory() as name:
        folder = Path(name)
        full, middle = folder / "full.db", ""
        if given.tasks:
            middle = uvloop.run(fill(full, given.tasks))
        for repeat in range(given.repeats):
            stores: Stores = {
                "memory": {"LONGTASK_DATA": "memory"},
                "file": {"LONGTASK_DATA": str(folder / f"{repeat}.db")},
                "redis": {"REDIS_URL": redis_url},
            }
            figures: dict[str, float] = {}
            for store, settings in stores.items():
                rate = uvloop.run(tokens_per_second(settings, given.tokens))
                figures[f"flat_out_{store}_tokens_per_second"] = round(rate)
            of_memory = figures["flat_out_memory_tokens_per_second"]
            figures["flat_out_file_of_memory"] = (
                figures["flat_out_file_tokens_per_second"] / of_memory
            )
            for store, settings in stores.items():
                late = uvloop.run(service_with(settings, given.count, given.seconds))
                figures |= {f"{given.count}_{store}_{key}": value for key, value in late.items()}
            pin(SERVER)
            figures |= uvloop.run(replays(folder, lengths))
            for kind, task_id in (("empty", None), ("full", middle)):
                if kind == "empty" or middle:
                    file = full if kind == "full" else folder / f"empty-{repeat}.db"
                    found = uvloop.run(requests(file, task_id, given.requests))
                    figures |= {f"{kind}_file_{key}": value for key, value in found.items()}
            print(figures, file=sys.stderr, flush=True)
            runs.append({f"J_{key}": value for key, value in figures.items()})
    return {key: round(value, 2) for key, value in medians(runs).items()}


if __name__ == "__main__":
    measured(
        __doc__ or "",
        run,
        tokens=100_000,
        count=300,
        seconds=10,
        lengths="10000,100000",
        tasks=100_000,
        requests=500,
        repeats=5,
    )
