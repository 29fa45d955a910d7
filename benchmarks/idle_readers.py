"""L. Readers that wait: the resident memory of the service for each, by what it follows.

On one server (`longtask serve` on Redis) many readers follow one task that says nothing yet, on the
native stream, on both faces, and as watches of an owner's tasks. They come one after the other, or
the requests of all connections come at once, which is the worst that a restart of their proxy may
bring: then the figure has what the process took for requests in flight and does not give back. The
sockets' memory is the kernel's, and in no figure. The same clients then wait at the peers (peers/).
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import httpx

from benchmarks.faces import paths
from benchmarks.peers import installed
from benchmarks.rig import connected, measured, medians, ours, peer, start, used

FIRST = 50
"""Readers that come before the first look: what all share is there then."""
MOST = {"changes": 2_000, "sse-starlette": 5_000}
"""Of watches a process has a quarter of its connections, at most. This peer has a connection to
Redis for each reader."""
MOST_AT_ONCE = {"resumable-stream": 1_000}
"""It refuses a reader to whom the stream's process has not answered within a second."""
PEERS = "nchan,nchan-redis,resumable-stream,sse-starlette"
OPEN = {
    "LONGTASK_MAX_STREAMS": "20000",
    "LONGTASK_TRUST_ALL_CALLERS": "true",
    "LONGTASK_REQUEST_TIMEOUT": "600",  # all are connected before the first one asks
}
HEADERS = (
    b"Host: localhost\r\n"
    b"Accept: text/event-stream\r\n"
    b"Accept-Encoding: gzip, deflate, br, zstd\r\n"
    b"Accept-Language: en-GB,en;q=0.9\r\n"
    b"Cache-Control: no-cache\r\n"
    b"Connection: keep-alive\r\n"
    b"Origin: http://localhost\r\n"
    b"User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    b"Chrome/140.0.0.0 Safari/537.36\r\n"
)
"""Of a browser, which sends more than other clients."""


class IdleReader(asyncio.Protocol):
    """`opened` is done once the first piece of the response's body is there."""

    def __init__(self) -> None:
        self._seen = b""
        self.opened = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def ask(self, request: bytes) -> None:
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        if not self.opened.done():
            self._seen += data
            head, _, body = self._seen.partition(b"\r\n\r\n")
            if body:
                assert head.startswith(b"HTTP/1.1 200"), head
                self._seen = b""
                self.opened.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.opened.done():
            self.opened.set_exception(ConnectionError("closed before the first event"))


def get(path: str) -> bytes:
    return b"GET %b HTTP/1.1\r\n%b\r\n" % (path.encode(), HEADERS)


def post(path: str, body: dict[str, Any]) -> bytes:
    data = json.dumps(body).encode()
    more = b"Content-Type: application/json\r\nIdempotency-Key: one\r\nContent-Length: %d\r\n"
    head = b"POST %b HTTP/1.1\r\n%b" % (path.encode(), HEADERS)
    return head + more % len(data) + b"\r\n" + data


async def requests(client: httpx.AsyncClient) -> dict[str, bytes]:
    """Start tasks that say nothing, and return what the readers of each kind send."""
    native = paths(await start(client, 100, 1))
    asked = {"model": "m", "stream": True, "max_tokens": 100}
    chat = {**asked, "messages": [{"role": "user", "content": "100 1 "}]}
    return {
        "native": get(native["native"]),
        "responses": get(native["openai"]),
        "chat": post("/v1/chat/completions", chat),  # all after the first find its task by the key
        "ai_sdk": get(native["ai_sdk"]),
        "changes": get("/api/tasks/events"),
    }


async def idle(redis_url: str, kind: str, count: int, *, at_once: bool) -> float:
    settings = {**OPEN, "REDIS_URL": redis_url}
    async with ours(asyncio.Event(), **settings) as (address, pid, client):
        return await each_of(address, pid, (await requests(client))[kind], count, at_once)


async def idle_at_peer(redis_url: str, name: str, count: int, *, at_once: bool) -> float:
    with peer(name, "--clients", str(10**9), "--redis", redis_url) as (address, pid):
        return await each_of(address, pid, get("/"), count, at_once)


async def each_of(address: str, pid: int, request: bytes, count: int, at_once: bool) -> float:
    """Return the KiB of resident memory for each of `count` readers."""

    async def follow(count: int) -> list[IdleReader]:
        readers = [await connected(address, IdleReader) for _ in range(count)]
        for each in readers:
            each.ask(request)
            if not at_once:
                await each.opened
        await asyncio.gather(*(each.opened for each in readers))
        await asyncio.sleep(1)  # the last ones subscribe once their first piece is out
        return readers

    first = await follow(FIRST)
    _, before = used(pid)
    others = await follow(count)
    _, after = used(pid)
    del first, others
    return round((after - before) / count / 1024, 1)


async def run(redis_url: str, given: argparse.Namespace) -> dict[str, float]:
    ways: list[tuple[str, Callable[..., Coroutine[Any, Any, float]]]]
    ways = [(kind, idle) for kind in given.kinds.split(",") if kind]
    ways += [(name, idle_at_peer) for name in installed(given.peers)]
    runs = []
    for _ in range(given.repeats):
        figures: dict[str, float] = {}
        for count in map(int, given.counts.split(",")):
            for kind, way in ways:
                if count > MOST.get(kind, count):
                    continue
                for at_once in (False, True)[: 1 + (count <= MOST_AT_ONCE.get(kind, count))]:
                    name = f"L_{count}_{kind}{'_at_once' if at_once else ''}_kib"
                    figures[name] = await way(redis_url, kind, count, at_once=at_once)
                    print(name, figures[name], file=sys.stderr, flush=True)
        runs.append(figures)
    return medians(runs)


if __name__ == "__main__":
    kinds = "native,responses,chat,ai_sdk,changes"
    measured(__doc__ or "", run, counts="1000,10000", kinds=kinds, peers=PEERS, repeats=3)
