"""One real point: so many tasks and readers on one process, beside what the simulation says.

Before it, a run of 100 tasks with a reader each says how fast this machine is today. How long the
process waited for its core, because of other work on the machine, is the scheduler's figure
(`/proc/<pid>/schedstat`) in both runs. Predictions are scaled by both. So CPU time can be compared
on a busy machine, too; latencies only on an idle one, since Redis and the load wait as well.
"""

import asyncio
from itertools import cycle, islice
from pathlib import Path

from benchmarks.capacity.simulation import Load, simulate
from benchmarks.rig import Subscriber, join, late, ours, over, start, used

TELLS_LATENCY = 20
"""One reader in so many measures how late each token is."""
CALIBRATION = 100


def scheduled(pid: int) -> tuple[float, float]:
    """Return the seconds for which a process ran, and for which it waited for a core."""
    ran, waited, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(ran) / 1e9, int(waited) / 1e9


async def measured_point(
    redis_url: str, tasks: int, rate: int, readers: int, seconds: int
) -> dict[str, float]:
    """Return CPU time, bytes and latencies with so many readers, spread evenly over the tasks."""
    latencies: list[float] = []
    tokens, go = rate * (seconds + 3), asyncio.Event()
    settings = {"REDIS_URL": redis_url, "LONGTASK_MAX_STREAMS": "20000"}
    async with ours(go, **settings) as (address, pid, client):
        _, empty = used(pid)
        paths: list[str] = []
        for first in range(0, tasks, 20):
            some = range(first, min(tasks, first + 20))
            paths += await asyncio.gather(*(start(client, tokens, rate) for _ in some))
        opened: list[Subscriber] = [await join(address, path) for path in paths[:readers]]
        await asyncio.gather(*(each.running for each in opened))
        _, running = used(pid)
        more = islice(cycle(paths), max(0, readers - tasks))
        for n, path in enumerate(more):
            opened.append(await join(address, path, None if n % TELLS_LATENCY else latencies))
        if readers <= tasks:  # then none of the others tells, so some come twice
            telling = paths[:readers:TELLS_LATENCY]
            opened += [await join(address, path, latencies) for path in telling]
        await asyncio.gather(*(each.running for each in opened))
        go.set()
        await asyncio.sleep(2)
        latencies.clear()
        bytes_before = sum(each.bytes for each in opened)
        ran, waited = scheduled(pid)
        events, took, spent = await over(pid, seconds, lambda: sum(each.events for each in opened))
        ran, waited = scheduled(pid)[0] - ran, scheduled(pid)[1] - waited
        sent = sum(each.bytes for each in opened) - bytes_before
        _, full = used(pid)
        ended = await asyncio.gather(*(each.closed for each in opened), return_exceptions=True)
    assert not any(ended), "not every reader came to the end"
    return {
        "cpu": spent / took,
        "waited_for_its_core": waited / (ran + waited),
        "events_per_second": events / took,
        "bytes_per_event": sent / events,
        "mib_of_the_empty_process": empty / 2**20,
        "kib_per_task_with_a_reader": (running - empty) / tasks / 1024,
        "kib_per_task_while_it_speaks": (full - empty) / tasks / 1024,
        **late(latencies),
    }


def dearer(load: Load, cpu: float, waited: float) -> float:
    """Return the factor on all CPU times with which a load takes so much of a core, where the
    process waits for its core for a part of the time in which it is busy."""
    low, high = 0.1, 10.0
    for _ in range(12):
        factor = (low + high) / 2
        said = simulate(load, 2.0, slower=factor / (1 - waited)).utilisation * (1 - waited)
        low, high = (factor, high) if said < cpu else (low, factor)
    return factor


async def compare(
    redis_url: str, tasks: int, rate: int, readers: int, seconds: int
) -> dict[str, float]:
    """Return the figures of the point, what was predicted, and how fast this machine is."""
    one = await measured_point(redis_url, CALIBRATION, rate, CALIBRATION, seconds)
    found = await measured_point(redis_url, tasks, rate, readers, seconds)
    cost = dearer(Load(CALIBRATION, rate), one["cpu"], one["waited_for_its_core"])
    share = 1 - found["waited_for_its_core"]
    said = simulate(Load(tasks, rate, readers / tasks), slower=cost / share)
    return {
        "cpu_of_this_machine_to_that_of_the_tables": round(cost, 2),
        **{f"calibration_{name}": round(value, 2) for name, value in one.items()},
        **{f"measured_{name}": round(value, 2) for name, value in found.items()},
        "predicted_cpu": round(said.utilisation * share, 2),
        "predicted_events_per_second": round(
            said.tokens_per_second / said.tokens_per_append * readers / tasks
        ),
        "predicted_ms_p50": round(said.p50, 1),
        "predicted_ms_p99": round(said.p99, 1),
        "predicted_tokens_per_append": round(said.tokens_per_append, 2),
    }
