"""K. The cost of a cursor in instructions: what an append with one costs more than one without.

A process under callgrind appends to a store, one token at a time: once without a cursor and once
with one. The difference of the instruction counts, divided by the number of tokens, is the cost of
the cursor. For Redis both the process and the server run under callgrind. Needs valgrind, and
redis-server for Redis.
"""

import argparse
import asyncio
import json
import re
import sys
import tempfile
from asyncio.subprocess import Process
from collections.abc import Sequence
from pathlib import Path

import uvloop

from adapters.database import open_database
from adapters.live import Hub
from adapters.memory import MemoryTaskLog
from adapters.redis import RedisTaskLog, connect, parse_address
from adapters.sqlite import AwakeClock, SqliteTaskLog
from application.ports import TaskLog
from domain.attempt import Attempt
from domain.continuation import Opening
from domain.events import ContentAdded
from domain.request import TaskRequest
from domain.task import Task
from entrypoints.data_file import SCHEMAS

STORES = ("memory", "file", "redis")
_REQUEST = TaskRequest(model="m", prompt="Hi.")
_KEPT = Opening(keeper="upstream_1")


async def append(tasks: TaskLog, tokens: int, cursors: bool) -> None:
    """Append so many tokens to a new task, as an attempt does."""
    task = await tasks.create(Task.submit("task_1_a", _REQUEST, 1))
    attempt = await tasks.claim(task.id, 600.0, 1, lambda _: _KEPT)
    assert isinstance(attempt, Attempt)
    for number in range(tokens):
        event = ContentAdded(1_700_000_000_000 + number, " token")
        cursor = 1_000_000 + number if cursors else None
        attempt = await tasks.append(attempt, (event,), 600.0, cursor)


async def in_store(store: str, folder: Path, tokens: int, cursors: bool) -> None:
    if store == "memory":
        await append(MemoryTaskLog(Hub(), 3600.0), tokens, cursors)
    elif store == "file":
        database = open_database(folder / f"longtask-{cursors}.db", SCHEMAS)
        log = SqliteTaskLog(database, Hub(), 3600.0, clock=AwakeClock())
        await append(log, tokens, cursors)
        await database.aclose()
    else:
        address = parse_address(f"unix://{folder}/redis.sock")
        connection = connect(address, connections=2, connect_timeout=60.0, timeout=60.0)
        await append(RedisTaskLog(connection, 3600.0), tokens, cursors)
        await connection.aclose()


async def callgrind(*words: str, log: Path) -> Process:
    return await asyncio.create_subprocess_exec(
        *("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", *words),
        stderr=log.open("w"),
        stdout=asyncio.subprocess.DEVNULL,
    )


def collected(log: Path) -> int:
    found = re.search(r"Collected : (\d+)", log.read_text())
    assert found is not None, log.read_text()
    return int(found[1])


async def instructions(store: str, folder: Path, tokens: int, cursors: bool) -> list[int]:
    """Return the instructions of the process and, for Redis, of the server."""
    logs = [folder / "process", folder / "server"]
    socket = folder / "redis.sock"
    server = None
    if store == "redis":
        served = ("--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder))
        server = await callgrind("redis-server", *served, log=logs[1])
        while not socket.exists():
            assert server.returncode is None, logs[1].read_text()
            await asyncio.sleep(0.1)
    words = ("--inside", store, "--folder", str(folder), "--tokens", str(tokens))
    flags = ["--cursors"] if cursors else []
    module = ("-X", "frozen_modules=on", "-m", "benchmarks.cursor_cost")
    process = await callgrind(sys.executable, *module, *words, *flags, log=logs[0])
    assert await process.wait() == 0, logs[0].read_text()
    if server is None:
        return [collected(logs[0])]
    server.terminate()
    await server.wait()
    return [collected(each) for each in logs]


async def run(stores: Sequence[str], tokens: int) -> dict[str, int]:
    figures: dict[str, int] = {}
    for store in stores:
        with tempfile.TemporaryDirectory() as folder:
            plain = await instructions(store, Path(folder), tokens, cursors=False)
            noted = await instructions(store, Path(folder), tokens, cursors=True)
        for where, more, less in zip((store, "redis_server"), noted, plain, strict=False):
            figures[f"K_instructions_per_cursor_{where}"] = round((more - less) / tokens)
    return figures


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--stores", nargs="+", choices=STORES, default=STORES)
    arguments.add_argument("--tokens", type=int, default=2_000)
    arguments.add_argument("--json", type=Path, help="Also write the figures to this file.")
    arguments.add_argument("--inside", choices=STORES, help=argparse.SUPPRESS)
    arguments.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments.add_argument("--cursors", action="store_true", help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.inside:
        uvloop.run(in_store(given.inside, given.folder, given.tokens, given.cursors))
        sys.exit()
    results = uvloop.run(run(given.stores, given.tokens))
    for name, value in results.items():
        print(f"{name:<56}{value:>14,}")
    if given.json is not None:
        given.json.write_text(json.dumps(results, indent=2) + "\n")
