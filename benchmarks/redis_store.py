"""The store on a real Redis: appends, and live delivery in a process.

Appends: steps of the log per second, each one fence check, events, lease, time to live and publish.
Hub: a writer in another process appends as fast as it can; subscribers of one process follow it,
each by FollowTask, and each must see every event. (Streams over HTTP: fan_out.py.)
"""

import argparse
import asyncio
import multiprocessing
import resource
import secrets
import statistics
import time
from pathlib import Path
from typing import Any

from tests.contract.conftest import follow_task
from tests.redis_server import LocalRedis

from adapters.redis import RedisEventFeed, RedisTaskLog, connect, parse_address
from benchmarks.embedded_stream import report
from domain.events import ContentAdded
from domain.task import Attempt, Task, TaskRequest

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
    """Appends per second of so many tasks at once, each append of so many events."""
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


def _write_flat_out(url: str, task_id: str, events: int, size: int, begun: Any, go: Any) -> None:
    async def run() -> None:
        connection = _connect(url)
        tasks = RedisTaskLog(connection, 600.0)
        attempt = await _begun(tasks, task_id)
        begun.set()
        go.wait()
        text = ""
        for _ in range(events // size):
            attempt = await tasks.append(attempt, [EVENT] * size, LEASE)
            text += EVENT.text * size
        done = attempt.task.complete(2, text=text, finish_reason="stop", model="m", usage=None)
        await tasks.settle(attempt, done)
        await connection.aclose()

    asyncio.run(run())


async def hub(url: str, subscribers: int, events: int, size: int) -> float:
    """Events delivered per second in one process, all subscribers together."""
    connection = _connect(url)
    tasks, task_id = RedisTaskLog(connection, 600.0), f"h{secrets.token_hex(6)}"
    feed = RedisEventFeed(connection)
    spawn = multiprocessing.get_context("spawn")
    begun, go = spawn.Event(), spawn.Event()
    writer = spawn.Process(target=_write_flat_out, args=(url, task_id, events, size, begun, go))
    writer.start()
    await asyncio.to_thread(begun.wait)
    follow = follow_task(tasks, feed, silence=30.0)
    ready = asyncio.Semaphore(0)

    async def read() -> None:
        following = await follow(task_id, None)
        assert following is not None
        seen = 0
        async for batches in following.batches():
            if seen == 0:
                ready.release()
            for batch in batches:
                assert batch.first == seen + 1
                seen = batch.last
        assert seen == events + 4, seen

    reading = [asyncio.create_task(read()) for _ in range(subscribers)]
    for _ in reading:
        await ready.acquire()
    began = time.perf_counter()
    go.set()
    await asyncio.gather(*reading)
    took = time.perf_counter() - began
    await asyncio.to_thread(writer.join)
    await feed.aclose()
    await connection.aclose()
    return subscribers * events / took


def run(url: str, seconds: float, repeats: int) -> dict[str, Any]:
    figures: dict[str, Any] = {}

    def median(name: str, measure: Any) -> None:
        figures[name] = round(statistics.median(asyncio.run(measure()) for _ in range(repeats)))

    for writers, size in ((1, 1), (1, 8), (50, 1), (50, 8)):
        name = f"appends_per_second_{writers}_tasks_{size}_events"
        median(name, lambda w=writers, s=size: appends(url, w, s, seconds))
    for count, events in ((1, 40_000), (100, 20_000), (1_000, 4_000)):
        name = f"hub_events_per_second_{count}_subscribers"
        median(name, lambda n=count, e=events: hub(url, n, e, 8))
    return figures


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--url", help="A Redis to use; without it one is started.")
    arguments.add_argument("--seconds", type=float, default=3.0)
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--json", type=Path, help="Write the figures here, too.")
    given = arguments.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if given.url is not None:
        report(run(given.url, given.seconds, given.repeats), given.json)
        return
    with LocalRedis().running() as server:
        report(run(server.url, given.seconds, given.repeats), given.json)


if __name__ == "__main__":
    main()
