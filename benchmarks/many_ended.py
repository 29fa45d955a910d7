"""M. Many tasks through one process, one after the other: what is left of them.

Tasks are started, delivered and answered at once, as fast as some hundred at a time may go; every
tenth has a reader, on each face in turn. Looked at are resident memory, objects and the store's
keys or rows after the first 20,000 and several times up to the last one, each time once all have
ended and their time to live is over. Memory is what matters between these; speed is not measured.
With Redis the queue is the one of the benchmarks, as QStash is elsewhere; the other stores have the
local QStash in their process, which is looked at as well.
"""

import argparse
import asyncio
import contextlib
import functools
import json
import re
import sys
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import uvloop

from benchmarks.faces import FACES, Reader, paths
from benchmarks.holdings import Holder, look_at
from benchmarks.model import upstream
from benchmarks.rig import connected, measured, service
from benchmarks.task_queue import queue

TTL = 20
AT_ONCE = 100
CLIENTS = 16
READ = 10
"""One of so many has a reader."""
LASTING = 600.0
"""Seconds for which the local QStash remembers which messages it was given."""
_ENDED = re.compile(r"^longtask_tasks_total\{.*\} (\S+)$", re.MULTILINE)
SETTINGS = {"TASK_TTL": str(TTL), "LONGTASK_TRUST_ALL_CALLERS": "true"}


class Through:
    """Pushes tasks through a service, and waits until all of them have ended."""

    def __init__(self, address: str, client: httpx.AsyncClient) -> None:
        self._address = address
        self._client = client
        self.started = 0
        self._ended = 0

    async def push(self, count: int) -> None:
        """Return once so many more have ended."""
        until = self.started + count
        counting = asyncio.create_task(self._count())
        await asyncio.gather(*(self._start_until(until) for _ in range(CLIENTS)))
        while self._ended < until:
            await asyncio.sleep(0.1)
        counting.cancel()

    async def _start_until(self, until: int) -> None:
        while self.started < until:
            if self.started - self._ended >= AT_ONCE:
                await asyncio.sleep(0.02)
                continue
            self.started += 1
            number = self.started
            body = {"prompt": "100 0", "maxTokens": 128_000}
            answer = await self._client.post("/api/tasks/start", json=body)
            answer.raise_for_status()
            if number % READ == 0:
                face = FACES[number // READ % len(FACES)]
                reader = functools.partial(Reader, paths(answer.json()["streamUrl"])[face])
                await (await connected(self._address, reader)).closed

    async def _count(self) -> None:
        while True:
            metrics = (await self._client.get("/metrics")).text
            self._ended = round(sum(map(float, _ENDED.findall(metrics))))
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def running(holding: Holder) -> AsyncIterator[tuple[str, int]]:
    settings = {**SETTINGS, **holding.settings}
    async with upstream() as url, queue() as taking:
        if holding.store == "redis":
            settings |= {**taking.settings, "LONGTASK_DATA": "memory"}
        with service(url, *holding.under, **settings) as (address, pid):
            taking.address = address
            yield address, pid


def rows(found: Mapping[str, Any]) -> dict[str, int]:
    return {name: value for name, value in found.items() if name.startswith("kept_") and value}


async def through(holding: Holder, given: argparse.Namespace) -> dict[str, Any]:
    looks, took = [], 0.0
    steps = [given.first] + [(given.tasks - given.first) // given.looks] * given.looks
    async with (
        running(holding) as (address, pid),
        httpx.AsyncClient(base_url=address, timeout=60) as client,
    ):
        pushing = Through(address, client)
        for step in steps:
            began = time.monotonic()
            await pushing.push(step)
            took += time.monotonic() - began
            await asyncio.sleep(TTL + 10)
            found = await look_at(holding, pid, collected=True)
            looks.append(found)
            told = {"tasks": pushing.started, "seconds": round(took), "rows": rows(found)}
            told |= {name: found[name] for name in ("resident_kib", "objects", "descriptors")}
            print(holding.store, json.dumps(told), file=sys.stderr, flush=True)
        await asyncio.sleep(given.rest)
        last = await look_at(holding, pid, collected=True)
    print(holding.store, "at the end", json.dumps(last), file=sys.stderr, flush=True)
    pushed = (pushing.started - given.first) / 1_000
    figures: dict[str, Any] = {
        "first_resident_mib": round(looks[0]["resident_kib"] / 1024, 1),
        "last_resident_mib": round(looks[-1]["resident_kib"] / 1024, 1),
        "bytes_for_each_task_between": round(
            (looks[-1]["resident_kib"] - looks[0]["resident_kib"]) * 1.024 / pushed
        ),
        "first_objects": looks[0]["objects"],
        "last_objects": looks[-1]["objects"],
        "descriptors": last["descriptors"],
        "tasks_per_second": round(pushing.started / took),
    }
    return figures | {f"left_{name.removeprefix('kept_')}": n for name, n in rows(last).items()}


def run(redis_url: str, given: argparse.Namespace) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for store in given.stores.split(","):
        with TemporaryDirectory() as name:
            holding = Holder(store, Path(name), redis_url if store == "redis" else None)
            found = uvloop.run(through(holding, given))
        figures |= {f"M_{store}_{key}": value for key, value in found.items()}
    return figures


if __name__ == "__main__":
    stores = "memory,file,redis"
    rest = LASTING + 60
    measured(__doc__ or "", run, stores=stores, tasks=200_000, first=20_000, looks=4, rest=rest)
