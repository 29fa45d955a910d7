"""K. The cost of a cursor in instructions: what an append with one costs more than one without.

Fifty tasks are appended to, a token each at a time: once without cursors and once with them. The
difference of the instruction counts, divided by the number of tokens, is the cost of a cursor. What
is counted is the process that appends or, for "server", Redis. Needs valgrind and redis-server.
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
from adapters.redis import RedisTaskLog, connect
from adapters.redis_address import parse_address
from adapters.sqlite import AwakeClock, SqliteTaskLog
from application.ports import TaskLog
from domain.attempt import Attempt
from domain.continuation import Opening
from domain.events import ContentAdded
from domain.request import TaskRequest
from domain.task import Task
from entrypoints.data_file import SCHEMAS

STORES = ("memory", "file", "redis", "server")
TASKS = 50
_REQUEST = TaskRequest(model="m", prompt="Hi.")
_KEPT = Opening(keeper="upstream_1")


async def append(tasks: TaskLog, tokens: int, cursors: bool) -> None:
    """Append so many tokens to new tasks, as their attempts do."""

    async def one(number: int) -> None:
        task = await tasks.create(Task.submit(f"task_1_{number}", _REQUEST, 1))
        attempt = await tasks.claim(task.id, 600.0, 1, lambda _: _KEPT)
        assert isinstance(attempt, Attempt)
        for token in range(tokens // TASKS):
            event = ContentAdded(1_700_000_000_000 + token, " token")
            cursor = 1_000_000 + token if cursors else None
            attempt = await tasks.append(attempt, (event,), 600.0, cursor)

    await asyncio.gather(*map(one, range(TASKS)))


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


async def start(*words: str, log: Path, counted: bool) -> Process:
    valgrind = ("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null")
    return await asyncio.create_subprocess_exec(
        *(valgrind if counted else ()),
        *words,
        stderr=log.open("w"),
        stdout=asyncio.subprocess.DEVNULL,
    )


async def instructions(store: str, folder: Path, tokens: int, cursors: bool) -> int:
    process_log, server_log, socket = (
        folder / each for each in ("process", "server", "redis.sock")
    )
    server = None
    if store in ("redis", "server"):
        # Once a second is the least often that a server does what it does by the clock.
        settings = ("--port", "0", "--save", "", "--hz", "1", "--dynamic-hz", "no")
        where = ("--unixsocket", str(socket), "--dir", str(folder))
        server = await start(
            "redis-server", *settings, *where, log=server_log, counted=store == "server"
        )
        while not socket.exists():
            assert server.returncode is None, server_log.read_text()
            await asyncio.sleep(0.1)
    words = ("--inside", store, "--folder", str(folder), "--tokens", str(tokens))
    flags = ["--cursors"] if cursors else []
    module = (sys.executable, "-X", "frozen_modules=on", "-m", "benchmarks.cursor_cost")
    counted = store != "server"
    process = await start(*module, *words, *flags, log=process_log, counted=counted)
    assert await process.wait() == 0, process_log.read_text()
    if server is not None:
        server.terminate()
        await server.wait()
    log = (process_log if counted else server_log).read_text()
    collected = re.search(r"Collected : (\d+)", log)
    assert collected is not None, log
    return int(collected[1])


async def run(stores: Sequence[str], tokens: int) -> dict[str, int]:
    figures: dict[str, int] = {}
    for store in stores:
        with tempfile.TemporaryDirectory() as folder:
            plain = await instructions(store, Path(folder), tokens, cursors=False)
        with tempfile.TemporaryDirectory() as folder:
            noted = await instructions(store, Path(folder), tokens, cursors=True)
        figures[f"K_instructions_per_cursor_{store}"] = round((noted - plain) / tokens)
        # That of the start of the process included.
        figures[f"K_instructions_per_append_{store}"] = round(plain / tokens)
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
