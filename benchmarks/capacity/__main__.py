"""Machines for readers and running tasks, by a simulation from measured unit costs.

Without options: the table of docs/capacity.md. `--redis` measures what Redis needs, `--point` runs
one real point on this machine and compares it with the simulation.
"""

import argparse
import asyncio
import contextlib
import json
import math
import re
import resource
import sys
from pathlib import Path

import uvloop
from tests.redis_server import LocalRedis

from benchmarks.capacity import redis_cost
from benchmarks.capacity.machines import FULL, Demand, Impossible, plan
from benchmarks.capacity.point import compare
from benchmarks.rig import LOAD, pin

ROW = "{:>8} {:>11} {:>10} {:>6} {:>7} {:>7} {:>7} {:>9} {:>8} {:>13}  {}"
HEAD = (
    *("tasks", "readers", "processes", "full", "p50 ms", "p99 ms", "Redises", "Redis GiB"),
    *("Gbit/s", "messages/day", "first, beside processes"),
)


def _numbers(text: str) -> list[int]:
    if not re.fullmatch(r"[1-9]\d{0,8}(,[1-9]\d{0,8})*", text):
        raise argparse.ArgumentTypeError("whole numbers from 1 on, with commas between them")
    return [int(each) for each in text.split(",")]


def _positive(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < (value := float(text)) < math.inf:
            return value
    raise argparse.ArgumentTypeError("a number above 0")


def _table(given: argparse.Namespace) -> None:
    print(ROW.format(*HEAD))
    for tasks in given.tasks:
        for readers in given.readers:
            demand = Demand(readers, tasks, given.rate, given.answer, given.kept, idle=given.idle)
            try:
                found = plan(demand, by_task=not given.anywhere, full=given.full)
            except Impossible as error:
                sys.exit(f"{tasks:,} tasks, {readers:,} readers: {error}")
            row = (
                *(f"{tasks:,}", f"{readers:,}", f"{found.processes:,}"),
                *(f"{found.outcome.utilisation:.2f}", f"{found.outcome.p50:.0f}"),
                *(f"{found.outcome.p99:.0f}", f"{found.redis_servers:,}"),
                *(f"{found.redis_gib:,.1f}", f"{found.gbit:,.2f}"),
                *(f"{found.messages_per_day:,.0f}", found.first),
            )
            print(ROW.format(*row), flush=True)


def _measured(given: argparse.Namespace) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    pin(LOAD)
    with LocalRedis().running() as server:
        if given.redis:
            figures = asyncio.run(redis_cost.measure(server.url))
        else:
            tasks, readers = given.tasks[0], given.readers[0]
            rate = round(given.rate)
            figures = uvloop.run(compare(server.url, tasks, rate, readers, given.seconds))
    for name, value in figures.items():
        print(f"{name:<56}{value:>14,}")
    if given.json is not None:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        "python -m benchmarks.capacity", description=(__doc__ or "").splitlines()[0]
    )
    parser.add_argument("--tasks", type=_numbers, help="running tasks, 100,1000,10000,100000")
    parser.add_argument("--readers", type=_numbers, help="1000,100000,10000000")
    parser.add_argument("--rate", type=_positive, default=30.0, help="tokens per second of a task")
    parser.add_argument("--answer", type=_positive, default=1_000, help="tokens of an answer")
    parser.add_argument("--kept", type=_positive, default=86_400.0, help="seconds; TASK_TTL")
    parser.add_argument("--idle", action="store_true", help="readers of tasks that say nothing")
    parser.add_argument("--anywhere", action="store_true", help="readers are not routed by task")
    parser.add_argument(
        "--full", type=_positive, default=FULL, help="part of a process that is used"
    )
    parser.add_argument("--redis", action="store_true", help="measure what Redis needs")
    parser.add_argument(
        "--point", action="store_true", help="run one point, 300 tasks and 2000 readers"
    )
    parser.add_argument("--seconds", type=int, default=8, help="of a point")
    parser.add_argument("--json", type=Path, help="also write measured figures to this file")
    given = parser.parse_args()
    given.tasks = given.tasks or ([300] if given.point else [100, 1_000, 10_000, 100_000])
    given.readers = given.readers or ([2_000] if given.point else [1_000, 100_000, 10_000_000])
    if given.redis or given.point:
        _measured(given)
    else:
        _table(given)


if __name__ == "__main__":
    main()
