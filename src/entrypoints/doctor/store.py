"""Are tasks kept? Is Redis reachable, fast, recent enough, and configured to keep what it is
given?"""

import time
from collections.abc import Iterator
from statistics import median

from adapters.redis import Connection, RedisTaskLog
from application.errors import StoreUnavailable
from application.ports import TaskLog
from entrypoints.doctor.data_file import check_file
from entrypoints.doctor.findings import Finding, Findings, fail, ok, warn
from entrypoints.settings import Settings

OLDEST_VERSION = (7, 0)
SLOW = 0.02
"""Seconds for a write above which readers notice that streams lag."""
SAMPLES = 5


async def check_store(settings: Settings, redis: Connection | None) -> Findings:
    """`redis`: None where tasks are kept elsewhere."""
    if redis is None:
        if settings.data_file is None:
            yield warn(
                "store",
                "tasks live in the memory of one process and are lost when it ends",
                "unset LONGTASK_DATA, or set REDIS_URL",
            )
            return
        for finding in check_file("store", settings.data_file):
            yield finding
        return
    ttl = settings.tasks.task_ttl
    try:
        latency = await _latency(RedisTaskLog(redis, ttl))
    except StoreUnavailable as error:
        yield fail("store", str(error), "see docs/redis.md; is REDIS_URL right?")
        return
    measured = f"responds to a write in {latency * 1000:.1f} ms"
    if latency > SLOW:
        yield warn("store", measured, "run the service in the same region as its Redis")
    else:
        yield ok("store", measured)
    try:
        info = await _info(redis)
    except StoreUnavailable as error:
        yield warn(
            "store",
            f"its configuration cannot be read ({error.reason})",
            "check it yourself: version 7.0 or newer, maxmemory-policy noeviction, appendonly yes",
        )
        return
    for finding in _configuration(info):
        yield finding


async def _latency(tasks: TaskLog) -> float:
    """Seconds for a write, the median of several."""
    times = []
    for _ in range(SAMPLES):
        began = time.perf_counter()
        await tasks.check()
        times.append(time.perf_counter() - began)
    return median(times)


def _configuration(info: dict[str, str]) -> Iterator[Finding]:
    """What INFO shows. Hosted services leave some of its fields out."""
    if version := info.get("redis_version", ""):
        numbers = tuple(int(each) for each in version.split(".")[:2])
        if numbers < OLDEST_VERSION:
            yield fail("store", f"Redis {version}", "upgrade: 7.0 is the oldest that is supported")
        else:
            yield ok("store", f"Redis {version}")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        yield fail(
            "store",
            f"maxmemory-policy is {policy}: Redis may evict tasks that are still running",
            "run CONFIG SET maxmemory-policy noeviction, and set it in the configuration file",
        )
    else:
        yield ok("store", "maxmemory-policy is noeviction")
    if info.get("aof_enabled") == "1":
        yield ok("store", "every change is written to disk (appendonly)")
    elif "aof_enabled" in info:
        yield warn(
            "store",
            "a restart of Redis loses everything since its last snapshot",
            "run CONFIG SET appendonly yes, and set it in the configuration file "
            "(docs/reliability.md)",
        )
    if info.get("aof_last_write_status", "ok") != "ok":
        yield fail("store", "its last write to disk failed", "check its disk and its log")


async def _info(redis: Connection) -> dict[str, str]:
    response = await redis.call("INFO")
    if isinstance(response, dict):  # already parsed by redis-py
        return {_text(name): _text(value) for name, value in response.items()}
    pairs = (line.partition(":") for line in _text(response).splitlines())
    return {name: value for name, colon, value in pairs if colon}


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
