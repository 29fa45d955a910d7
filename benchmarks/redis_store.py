"""The store alone, on a real Redis: appends per second.

Each append is one atomic step: check of the attempt, events, lease, time to live, publish. Redis
has one core, the writer the other.
"""

import argparse
import asyncio
import secrets
import statistics
import time
from typing import Any

from adapters.redis import RedisTaskLog, connect
from adapters.redis_address import parse_address
from benchmarks.rig import SERVER, measured, pin
from domain.attempt import Attempt
from domain.events import ContentAdded
from domain.request import TaskRequest
from domain.task import Task

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
    """Return the appends per second of concurrent tasks, with several events per append."""
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


def run(url: str, given: argparse.Namespace) -> dict[str, Any]:
    pin(SERVER)
    figures: dict[str, Any] = {}
    for writers, size in ((1, 1), (1, 8), (50, 1), (50, 8)):
        rates = [
            asyncio.run(appends(url, writers, size, given.seconds)) for _ in range(given.repeats)
        ]
        name = f"appends_per_second_{writers}_tasks_{size}_events"
        figures[name] = round(statistics.median(rates))
    return figures


if __name__ == "__main__":
    measured(__doc__ or "", run, seconds=3.0, repeats=3)
