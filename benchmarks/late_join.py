"""E. Late joins: the whole log of a finished task to one client, and to a hundred at once.
G. The same for logs of other lengths: time per event must not grow with the log.

The logs are written directly to Redis, one token per event, and read over HTTP. The ceiling, in the
same run, is a bare uvloop server that writes as many encoded frames from memory. The peers (peers/)
have 10,000 events and the end.
"""

import argparse
import asyncio
import secrets
import sys
import time
from typing import Any

from adapters.redis import RedisTaskLog, connect
from adapters.redis_address import parse_address
from application.ports import TaskLog
from benchmarks.peers import installed
from benchmarks.rig import join, measured, medians, ours, peer, used
from domain.answer import Answer
from domain.attempt import Attempt
from domain.events import ContentAdded
from domain.request import TaskRequest
from domain.task import Task

AT_ONCE = 100
PEERS = "nchan,nchan-redis,resumable-stream,sse-starlette-log"
_REQUEST = TaskRequest(model="m", max_tokens=10, temperature=0.5, prompt="Hi.")
_STEP = 500


async def written(tasks: TaskLog, events: int) -> str:
    """Write a finished task with `events` tokens in its log. Return its id."""
    task_id = f"task_1_{secrets.token_hex(12)}"
    await tasks.create(Task.submit(task_id, _REQUEST, 1))
    attempt = await tasks.claim(task_id, 30.0, 1)
    assert isinstance(attempt, Attempt)
    for first in range(0, events, _STEP):
        some = [ContentAdded(1, " token")] * min(_STEP, events - first)
        attempt = await tasks.append(attempt, some, 30.0)
    text = " token" * events
    done = attempt.task.complete(
        2, answer=Answer(text), finish_reason="stop", model="m", usage=None
    )
    await tasks.commit(attempt, done)
    return task_id


def stream_of(task_id: str) -> str:
    """Return the path of a task's stream."""
    return f"/api/tasks/stream?taskId={task_id}"


async def logged(redis_url: str, events: int) -> str:
    """Write a finished task to Redis. Return the path of its stream."""
    way = connect(parse_address(redis_url), connections=1, connect_timeout=5.0, timeout=5.0)
    task_id = await written(RedisTaskLog(way, 600.0), events)
    await way.aclose()
    return stream_of(task_id)


async def replayed(address: str, path: str, events: int, readers: int) -> float:
    """Return the seconds until `readers` clients have the whole log."""
    began = time.perf_counter()
    opened = [await join(address, path) for _ in range(readers)]
    await asyncio.gather(*(each.closed for each in opened))
    assert all(each.events >= events for each in opened), "not every event arrived"
    return time.perf_counter() - began


async def rates(
    address: str, pid: int, path: str, events: int, readers: int, repeats: int
) -> dict[str, float]:
    """Return the rates of the median of `repeats` replays, after one to warm up."""
    await replayed(address, path, events, readers)
    cpu, _ = used(pid)
    found = sorted([await replayed(address, path, events, readers) for _ in range(repeats)])
    spent, _ = used(pid)
    return {
        "events_per_second": round(readers * events / found[repeats // 2]),
        "us_cpu_per_event": round((spent - cpu) * 1e6 / (repeats * readers * events), 2),
    }


async def at_peer(name: str, redis_url: str) -> dict[str, float]:
    """Return the rates of a peer, to one and to many at once, and how many of these came to the
    end: the package resumable-stream gives up a reader whose first piece takes over a second."""
    events = 10_000
    figures: dict[str, float] = {}
    with peer(name, "--events", str(events), "--redis", redis_url) as (address, pid):
        for readers, times in ((1, 3), (AT_ONCE, 1)):
            await replayed(address, "/", events, 1)
            seen, ended, (cpu, _), began = 0, 0, used(pid), time.perf_counter()
            for _ in range(times):
                opened = [await join(address, "/") for _ in range(readers)]
                await asyncio.wait([each.closed for each in opened])
                seen += sum(each.events for each in opened)
                ended += sum(each.closed.exception() is None for each in opened)
            took, (spent, _) = time.perf_counter() - began, used(pid)
            figures |= {
                f"{readers}_events_per_second": round(seen / took),
                f"{readers}_us_cpu_per_event": round((spent - cpu) * 1e6 / max(1, seen), 2),
                f"{readers}_ended": ended / times,
            }
    return figures


async def run(redis_url: str, given: argparse.Namespace) -> dict[str, Any]:
    runs = []
    for _ in range(given.repeats):
        figures: dict[str, float] = {}
        async with ours(REDIS_URL=redis_url) as (address, pid, _client):
            for events in map(int, given.lengths.split(",")):
                path = await logged(redis_url, events)
                times = max(3, given.events // events)
                found = await rates(address, pid, path, events, 1, times)
                figures |= {f"E_{events}_one_{key}": value for key, value in found.items()}
                if events == 10_000:
                    found = await rates(address, pid, path, events, AT_ONCE, 3)
                    figures |= {
                        f"E_{events}_{AT_ONCE}_{key}": value for key, value in found.items()
                    }
        with peer("replay", "--events", "10000") as (address, pid):
            for readers in (1, AT_ONCE):
                found = await rates(address, pid, "/", 10_000, readers, 10)
                figures[f"E_10000_{readers}_bare_events_per_second"] = found["events_per_second"]
        for name in installed(given.peers):
            found = await at_peer(name, redis_url)
            print(name, found, file=sys.stderr, flush=True)
            figures |= {f"E_10000_{name}_{key}": value for key, value in found.items()}
        runs.append(figures)
    return medians(runs)


if __name__ == "__main__":
    lengths = "1000,10000,100000"
    measured(__doc__ or "", run, lengths=lengths, peers=PEERS, events=500_000, repeats=3)
