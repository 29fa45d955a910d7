"""What one task and one event cost Redis: bytes of memory, CPU time, bytes on the network.

CPU time is what the server itself counts (`INFO cpu`), so other work on the machine hardly changes
it; memory is `MEMORY USAGE` of a task's keys.
"""

import asyncio
import secrets
from typing import Any

import redis.asyncio

from adapters.redis import RedisTaskLog, connect
from adapters.redis.keys import keys_of
from adapters.redis_address import parse_address
from domain.attempt import Attempt
from domain.events import ContentAdded
from domain.request import TaskRequest
from domain.task import Task

REQUEST = TaskRequest(model="m", max_tokens=10, temperature=0.5, prompt="Hi.")
LEASE = 30.0
EVENT = ContentAdded(1_790_000_000_000, " token")
WRITERS = 50


async def _counters(server: Any) -> dict[str, float]:
    cpu, stats = await server.info("cpu"), await server.info("stats")
    commands = (await server.info("commandstats")).get("cmdstat_evalsha", {})
    return {
        "cpu_us": 1e6 * (cpu["used_cpu_user"] + cpu["used_cpu_sys"]),
        "script_us": float(commands.get("usec", 0)),
        "bytes_in": stats["total_net_input_bytes"],
        "bytes_out": stats["total_net_output_bytes"],
    }


async def _begun(tasks: RedisTaskLog) -> Attempt:
    task_id = f"a{secrets.token_hex(6)}"
    await tasks.create(Task.submit(task_id, REQUEST, 1))
    attempt = await tasks.claim(task_id, LEASE, 1)
    assert isinstance(attempt, Attempt)
    return attempt


async def _drained(subscription: Any) -> None:
    async for _ in subscription.listen():
        pass


async def per_append(url: str, size: int, subscribers: int, appends: int) -> dict[str, float]:
    """Return what one append of `size` events costs, with `WRITERS` tasks at once and so many
    processes that follow each of them."""
    connection = connect(parse_address(url), connections=50, connect_timeout=5.0, timeout=5.0)
    tasks = RedisTaskLog(connection, 600.0)
    begun = [await _begun(tasks) for _ in range(WRITERS)]
    server = redis.asyncio.from_url(url)
    followers: list[Any] = [server.pubsub() for _ in range(subscribers)]
    for each in followers:
        await each.subscribe(*(keys_of(attempt.task.id).channel for attempt in begun))
    draining = [asyncio.create_task(_drained(each)) for each in followers]

    async def write(attempt: Attempt) -> None:
        for _ in range(appends):
            attempt = await tasks.append(attempt, [EVENT] * size, LEASE)

    before = await _counters(server)
    await asyncio.gather(*map(write, begun))
    after = await _counters(server)
    for listening in draining:
        listening.cancel()
    await asyncio.gather(*draining, return_exceptions=True)
    for each in followers:
        await each.aclose()
    await connection.aclose()
    await server.aclose()
    return {name: (after[name] - before[name]) / (WRITERS * appends) for name in before}


async def memory(url: str, events: int) -> dict[str, float]:
    """Return the bytes of one task's record, and of each of its events."""
    connection = connect(parse_address(url), connections=5, connect_timeout=5.0, timeout=5.0)
    tasks = RedisTaskLog(connection, 600.0)
    attempt = await _begun(tasks)
    keys, server = keys_of(attempt.task.id), redis.asyncio.from_url(url)
    begun = await server.memory_usage(keys.log, samples=0) or 0
    for _ in range(events):
        attempt = await tasks.append(attempt, [EVENT], LEASE)
    log = await server.memory_usage(keys.log, samples=0) or 0
    others = [name async for name in server.scan_iter(match=f"*{attempt.task.id}*")]
    sizes = {name: await server.memory_usage(name, samples=0) or 0 for name in others}
    await connection.aclose()
    await server.aclose()
    return {"bytes_per_event": (log - begun) / events, "bytes_per_task": sum(sizes.values()) - log}


async def measure(url: str) -> dict[str, float]:
    """Return all figures."""
    found = dict(await memory(url, 1_000))
    for size, subscribers, appends in ((1, 0, 400), (1, 1, 400), (1, 21, 100), (8, 1, 400)):
        for name, value in (await per_append(url, size, subscribers, appends)).items():
            found[f"append_{size}_events_{subscribers}_followers_{name}"] = round(value, 1)
    return found
