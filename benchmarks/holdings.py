"""What a service holds: its process, and its store, by kind of key or by table.

async with held(store, folder) as (settings, under): ...the service with them...
"""

import asyncio
import contextlib
import re
import sqlite3
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import redis
from tests.redis_server import LocalRedis

from benchmarks.inside import look
from benchmarks.rig import used

STORES = ("memory", "file", "redis")
_TASK_KEY = re.compile(r"longtask:\{[^}]+\}:(.+)")
_OWNER_KEY = re.compile(r"longtask:owner:\{[^}]+\}:(.+)")
_SIZES = {"hash": "hlen", "zset": "zcard", "set": "scard", "list": "llen"}


@dataclass(frozen=True, slots=True)
class Holder:
    """A service to be, and where what it holds is looked at."""

    store: str
    folder: Path
    redis_url: str | None

    @property
    def settings(self) -> dict[str, str]:
        """The settings of its store. The local QStash is in its process, on the file if there is
        one."""
        data = "memory" if self.store == "memory" else str(self.folder / "data.db")
        redis_url = {} if self.redis_url is None else {"REDIS_URL": self.redis_url}
        return {"LONGTASK_DATA": data, **redis_url}

    @property
    def under(self) -> tuple[str, ...]:
        """The words of the program that runs it."""
        return sys.executable, "-m", "benchmarks.inside", str(self.folder / "inside")

    def now(self, pid: int, *, collected: bool = False) -> dict[str, Any]:
        """Return what it holds now, by name. The counts of the store are `kept_<what>`, and those
        of objects of the service's own types are under `ours`. `collected`: once it has collected
        its garbage."""
        cpu, resident = used(pid)
        found = {
            "cpu_seconds": round(cpu, 2),
            "resident_kib": resident // 1024,
            "descriptors": len(list(Path(f"/proc/{pid}/fd").iterdir())),
            **look(self.folder / "inside", collected=collected),
        }
        if self.store == "memory":
            found["kept_tasks"] = found["ours"].get("adapters.memory.entry.Entry", 0)
        if self.redis_url is not None:
            found |= _in_redis(self.redis_url)
        if (file := self.folder / "data.db").exists():
            found |= _in_file(file)
        return found


@contextlib.contextmanager
def holder(store: str, folder: Path) -> Iterator[Holder]:
    """Run the store, if it is a server."""
    if store == "redis":
        with LocalRedis().running() as server:
            yield Holder(store, folder, server.url)
    else:
        yield Holder(store, folder, None)


async def look_at(holding: Holder, pid: int, *, collected: bool = False) -> dict[str, Any]:
    """Return `Holder.now`, found in a thread."""
    return await asyncio.to_thread(holding.now, pid, collected=collected)


def _in_redis(url: str) -> dict[str, Any]:
    """Count keys by kind, and what is in those of owners, which are few and grow."""
    found: Counter[str] = Counter()
    with redis.Redis.from_url(url, decode_responses=True) as server:
        for key in server.scan_iter(count=1_000):
            if (task := _TASK_KEY.fullmatch(key)) is not None:
                found[f"kept_keys_{task[1]}"] += 1
            elif (owner := _OWNER_KEY.fullmatch(key)) is not None:
                size = getattr(server, _SIZES.get(server.type(key), "exists"))(key)
                found[f"kept_index_{owner[1].replace(':', '_')}"] += size
            else:
                found[f"kept_keys_{key.split(':')[1]}"] += 1
            if server.ttl(key) == -1:
                found["kept_keys_forever"] += 1
        found["redis_bytes"] = server.info("memory")["used_memory"]
    return found


def _in_file(file: Path) -> dict[str, Any]:
    """Count the rows of each table that has any, and the bytes of the file without its journal."""
    with contextlib.closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        rows = {
            f"kept_rows_{name}": connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0]  # noqa: S608
            for (name,) in tables.fetchall()
        }
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    return {**rows, "file_bytes": pages * size}
