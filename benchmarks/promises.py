"""O. What the service and its peers keep of what they were given: no figures of speed.

In one run of each, at 100 events a second: a reader whose connection is cut after every twenty
events and who resumes in the way of that server, one who joins in the middle, one who joins once
the stream has ended, and one on another instance, each compared with a reader who was there from
the start and never cut. In another run the server's subscriptions at Redis are closed in the middle
(by CLIENT KILL, as by a fault of the network). In a third, readers ask for a stream of 50 MB and do
not read. At last the process that makes the events is killed, where that is part of the server, and
nchan_bounds.py says what Nchan does when its buffer is full.
"""

import argparse
import asyncio
import contextlib
import os
import re
import secrets
import signal
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import httpx
from redis.asyncio import Redis

from benchmarks.nchan_bounds import bounds
from benchmarks.peers import installed
from benchmarks.rig import measured, ours, peer, start, used

RATE, SECONDS = 100, 4
EVENTS = RATE * SECONDS
CUT_AFTER = 20
TIMEOUT = 14
"""Seconds without a byte after which a reader gives up: less than any server's heartbeat."""
STALLED, SIZE = 10, 125_000
PEERS = "nchan,nchan-redis,resumable-stream,sse-starlette,sse-starlette-log"
INSTANCES = {"nchan-redis", "resumable-stream", "sse-starlette", "sse-starlette-log"}
"""Whose instances share streams through Redis."""
_STAMP, _ID, _END = re.compile(r"(\d{10,});"), re.compile(r"^id: (.*)$", re.M), '"end"'


class Reader:
    """Reads whole frames, and remembers what they held and where it is."""

    def __init__(self, address: str, path: str) -> None:
        self.stamps: list[int] = []
        self.ended = False
        self.said = ""
        self._url = address + path
        self._by_characters = path.startswith("/?resumeAt")
        self._last, self._characters = "", 0

    async def read(self, at_most: int = EVENTS + 1) -> None:
        """Connect, or resume; return after that many events, at the end, or when cut off."""
        first, rest = len(self.stamps), ""
        url, headers = self._url, {"Accept": "text/event-stream"}
        if self._by_characters:
            url += str(self._characters)
        elif self._last:
            headers["Last-Event-ID"] = self._last
        try:
            async with (
                asyncio.timeout(10 * TIMEOUT),
                httpx.AsyncClient(timeout=TIMEOUT) as client,
                client.stream("GET", url, headers=headers) as response,
            ):
                if response.status_code != 200:
                    self.said = f"status {response.status_code}"
                    return
                async for text in response.aiter_text():
                    rest = (rest + text).replace("\r\n", "\n")
                    *frames, rest = rest.split("\n\n")
                    for frame in frames:
                        self._take(frame)
                        if self.ended or len(self.stamps) - first >= at_most:
                            return
                self.said = "closed"
        except (TimeoutError, httpx.ReadTimeout):
            self.said = "silent"
        except httpx.HTTPError as exc:
            self.said = type(exc).__name__

    def _take(self, frame: str) -> None:
        self._characters += len(frame) + 2
        if '"content"' in frame:
            self.stamps += [int(each) for each in _STAMP.findall(frame)]
        self.ended = self.ended or (_END in frame and '"type"' in frame)
        if found := _ID.search(frame):
            self._last = found[1]

    async def read_with_cuts(self) -> None:
        while not self.ended and not self.said:
            await self.read(CUT_AFTER)
            await asyncio.sleep(0.05)

    def beside(self, whole: "Reader") -> str:
        """Say how what it has differs from what another one has."""
        missed = len(set(whole.stamps) - set(self.stamps))
        twice = len(self.stamps) - len(set(self.stamps))
        order = "" if self.stamps == sorted(self.stamps) else ", not in order"
        end = "the end" if self.ended else f"no end ({self.said})"
        return f"missed {missed} of {len(whole.stamps)}, {twice} twice{order}, {end}"


def options(redis_url: str, name: str, **shape: int) -> list[str]:
    words = {"redis": redis_url, "name": name, **shape}
    return [str(word) for key, value in words.items() for word in (f"--{key}", value)]


def path_at(name: str) -> str:
    return "/?resumeAt=" if name == "resumable-stream" else "/"


@contextlib.asynccontextmanager
async def streaming(
    name: str, redis_url: str, clients: int, size: int = 0
) -> AsyncIterator[tuple[str, str, int, str]]:
    """Run a server whose stream begins once so many clients are connected. Yield its address, the
    path of the stream, its process id, and the address of another instance that has the stream."""
    stream = f"promises-{secrets.token_hex(6)}"
    if name == "longtask":
        go = asyncio.Event()
        async with (
            ours(go, REDIS_URL=redis_url) as (address, pid, client),
            ours(go, REDIS_URL=redis_url) as (other, _, _client),
        ):
            path = await start(client, EVENTS, RATE)
            asyncio.get_running_loop().call_later(2, go.set)
            yield address, path, pid, other
        return
    shape = {"clients": clients, "rate": RATE, "seconds": SECONDS, "size": size}
    with contextlib.ExitStack() as stack:
        words = options(redis_url, stream, **shape)
        address, pid = stack.enter_context(peer(name, *words))
        other = ""
        if name in INSTANCES:
            # It makes no stream of its own: so many clients never come.
            never = -1 if name == "resumable-stream" else 10**9
            words = options(redis_url, stream, clients=never)
            other, _ = stack.enter_context(peer(name, *words))
        yield address, path_at(name), pid, other


async def cut_and_late(name: str, redis_url: str) -> dict[str, str]:
    async with streaming(name, redis_url, clients=2) as (address, path, _, other):
        whole, cut, late = (Reader(address, path) for _ in range(3))
        reading = [asyncio.create_task(whole.read()), asyncio.create_task(cut.read_with_cuts())]
        if other:
            elsewhere = Reader(other, path)
            reading.append(asyncio.create_task(elsewhere.read()))
        while len(whole.stamps) < EVENTS / 2 and not whole.said:
            await asyncio.sleep(0.05)
        await late.read()
        await asyncio.wait(reading)
        after = Reader(address, path)
        await after.read()
    assert len(whole.stamps) == EVENTS, (name, len(whole.stamps), whole.said)
    return {
        "cut every 20 events": cut.beside(whole),
        "joins in the middle": late.beside(whole),
        "joins after the end": after.beside(whole),
        "on another instance": elsewhere.beside(whole) if other else "-",
    }


async def redis_lost(name: str, redis_url: str) -> dict[str, str]:
    """Close the server's subscriptions at Redis in the middle of a stream."""
    async with streaming(name, redis_url, clients=1) as (address, path, _, other):
        reader = Reader(other or address, path)
        reading = [asyncio.create_task(reader.read())]
        if other:
            reading.append(asyncio.create_task(Reader(address, path).read()))
        async with Redis.from_url(redis_url) as redis:
            while len(reader.stamps) < EVENTS / 4 and not reader.said:
                await asyncio.sleep(0.05)
            await redis.client_kill_filter(_type="pubsub")
            await asyncio.wait(reading)
        later = Reader(address, path)
        await later.read()
    missed, kept = EVENTS - len(set(reader.stamps)), len(later.stamps)
    end = "the end" if reader.ended else f"no end ({reader.said})"
    return {"Redis connection lost": f"missed {missed} of {EVENTS}, {end}; then it has {kept}"}


def silent(address: str, path: str) -> socket.socket:
    """Ask, and do not read."""
    host = urlsplit(address)
    asking = socket.socket()
    asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    asking.connect((host.hostname, host.port))
    head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n"
    asking.sendall(head.encode())
    return asking


async def stalled(name: str, redis_url: str) -> dict[str, str]:
    grown = []
    for count in (0, STALLED):
        async with streaming(name, redis_url, count + 1, SIZE) as (address, path, pid, _):
            others = [silent(address, path) for _ in range(count)]
            _, before = used(pid)
            reader = Reader(address, path)
            await reader.read()
            _, after = used(pid)
            grown.append((after - before) / 1e6)
            for each in others:
                each.close()
            assert len(reader.stamps) == EVENTS, (name, len(reader.stamps), reader.said)
    more = (grown[1] - grown[0]) / STALLED
    return {
        "50 MB, not read": f"{more:.1f} MB for each such reader (the server itself: {grown[0]:.0f})"
    }


async def killed(name: str, redis_url: str) -> dict[str, str]:
    async with streaming(name, redis_url, clients=1) as (address, path, pid, other):
        reader = Reader(other, path)
        reading = [asyncio.create_task(Reader(address, path).read())]
        while True:  # until the stream is there
            reading.append(asyncio.create_task(reader.read()))
            await asyncio.sleep(1)
            if not reader.said:
                break
            reader = Reader(other, path)
        while len(reader.stamps) < EVENTS / 4 and not reader.said:
            await asyncio.sleep(0.05)
        os.kill(pid, signal.SIGKILL)
        await asyncio.wait(reading)
        later = Reader(other, path)
        await later.read()
    return {
        "killed, its reader elsewhere": f"{len(reader.stamps)} events, then {reader.said}",
        "killed, a reader who comes then": f"{len(later.stamps)} events, {later.said}",
    }


async def run(redis_url: str, given: argparse.Namespace) -> dict[str, Any]:
    figures: dict[str, Any] = {}
    for name in ["longtask", *installed(given.peers)]:
        ways = [cut_and_late, bounds if name == "nchan" else redis_lost]
        if name != "longtask":
            ways.append(stalled)
        if name == "resumable-stream":
            ways.append(killed)
        for way in ways:
            for what, outcome in (await way(name, redis_url)).items():
                print(f"{name}: {what}: {outcome}", file=sys.stderr, flush=True)
                figures[f"O {name}: {what}"] = outcome
    return figures


if __name__ == "__main__":
    measured(__doc__ or "", run, peers=PEERS)
