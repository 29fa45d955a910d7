"""A destination that notes each delivery with its end, and how many there are at the same time.

The first part of a path says how it answers: `ok`, `slow`, `dead` (always 500), `final` (never
again), and `fail2` (500 until the second retry), the second one what is counted together.
"""

import asyncio
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.waiting import until

FINAL = {"Upstash-NonRetryable-Error": "true"}


@dataclass
class Visit:
    """One delivery. The times are by time.monotonic()."""

    message_id: str
    path: str
    retried: int
    life: int
    """The number of the process that sent it."""
    at: float
    body: bytes
    status: int | None = None
    """None if the process was killed before it was answered."""


@dataclass
class Visits:
    url: str = ""
    life: int = 0
    all: list[Visit] = field(default_factory=list)
    most_at_once: Counter[str] = field(default_factory=Counter)
    """By the second part of the path."""
    _now: Counter[str] = field(default_factory=Counter)
    _connected: set[Any] = field(default_factory=set)
    """The addresses of the clients."""

    def by_message(self) -> dict[str, list[Visit]]:
        found = defaultdict(list)
        for each in self.all:
            found[each.message_id].append(each)
        return found

    def told(self, path: str) -> list[tuple[Visit, dict[str, Any]]]:
        """Return the callbacks that came to a path."""
        return [(each, json.loads(each.body)) for each in self.all if each.path == path]

    async def silence(self) -> None:
        """Wait until everything is read that a process has sent which was killed by now."""
        host, port = self.url.removeprefix("http://").split(":")
        _, writer = await asyncio.open_connection(host, int(port))
        me = writer.get_extra_info("sockname")
        await until(lambda: me in self._connected)  # and so is everything that came before
        writer.close()
        await until(lambda: not self._connected)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = writer.get_extra_info("peername")
        self._connected.add(client)
        try:
            while True:
                await self._one(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._connected.discard(client)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
        fields = [each.partition(": ") for each in lines if each]
        headers = {name.lower(): value for name, _, value in fields}
        path, body = request.split()[1], await reader.readexactly(int(headers["content-length"]))
        retried = int(headers["upstash-retried"])
        visit = Visit(
            headers["upstash-message-id"], path, retried, self.life, time.monotonic(), body
        )
        self.all.append(visit)
        plan, group = path.split("/")[1:3]
        self._now[group] += 1
        self.most_at_once[group] = max(self.most_at_once[group], self._now[group])
        await asyncio.sleep(random.uniform(0.1, 0.4) if plan == "slow" else 0)
        self._now[group] -= 1
        visit.status = _status(plan, retried)
        more = "".join(f"{each}: true\r\n" for each in FINAL if plan == "final")
        head = f"HTTP/1.1 {visit.status} X\r\nContent-Length: {len(path)}\r\n{more}\r\n"
        writer.write(f"{head}{path}".encode())
        await writer.drain()


def _status(plan: str, retried: int) -> int:
    if plan == "dead" or (plan.startswith("fail") and retried < int(plan[4:])):
        return 500
    return 489 if plan == "final" else 200


@asynccontextmanager
async def visited() -> AsyncIterator[Visits]:
    visits = Visits()
    server = await asyncio.start_server(visits.connected, "127.0.0.1", 0, backlog=1_000)
    visits.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield visits
    finally:
        server.close()
