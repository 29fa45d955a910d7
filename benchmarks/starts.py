"""Starting tasks: requests per second and how long one takes, with the store on Redis and a queue
that takes every message and delivers none (what a task costs afterwards is not measured here).

In the same run, with the same clients: a Litestar application whose one handler answers an empty
JSON object, on the same uvicorn.
"""

import argparse
import asyncio
import contextlib
import json
import re
import time
from collections.abc import AsyncIterator
from typing import Any

from benchmarks.rig import connected, measured, medians, peer, percentile, service, used

_BODY = json.dumps({"prompt": "Why is the sky blue?"}).encode()
_LENGTH = re.compile(rb"content-length: (\d+)", re.IGNORECASE)


class Queue:
    """Speaks as much of QStash as a publisher hears: one message, or a batch of them."""

    def __init__(self) -> None:
        self.messages = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = _LENGTH.search(head)
                body = await reader.readexactly(int(length[1]) if length else 0)
                answer: Any
                if head.startswith(b"POST /v2/batch"):
                    answer = [self._take() for _ in json.loads(body)]
                else:
                    answer = self._take()
                data = json.dumps(answer).encode()
                writer.write(
                    b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\n"
                    b"content-length: %d\r\n\r\n%b" % (len(data), data)
                )
        writer.close()

    def _take(self) -> dict[str, str]:
        self.messages += 1
        return {"messageId": f"msg_{self.messages}"}


@contextlib.asynccontextmanager
async def queue() -> AsyncIterator[tuple[str, Queue]]:
    taken = Queue()
    server = await asyncio.start_server(taken.serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", taken


class Client(asyncio.Protocol):
    """Sends the same request again as soon as it is answered, until told to stop."""

    def __init__(self, request: bytes, status: bytes) -> None:
        self._request = request
        self._status = status
        self._answer = b""
        self.latencies: list[float] = []
        self.stopping = False
        self.stopped = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._send()

    def _send(self) -> None:
        self._began = time.perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, found, body = self._answer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not found or len(body) < int(length[1] if length else 0):
            return
        assert head.startswith(b"HTTP/1.1 " + self._status), self._answer
        self.latencies.append((time.perf_counter() - self._began) * 1000)
        self._answer = b""
        if self.stopping:
            self._transport.close()
            self.stopped.set_result(None)
        else:
            self._send()


async def pressed(
    address: str, pid: int, request: bytes, status: bytes, clients: int, seconds: int
) -> dict[str, float]:
    """Requests per second and per CPU second of the server, with so many clients at once."""
    opened = [await connected(address, lambda: Client(request, status)) for _ in range(clients)]
    await asyncio.sleep(0.5)
    for each in opened:
        each.latencies.clear()
    began, (cpu, _) = time.perf_counter(), used(pid)
    await asyncio.sleep(seconds)
    latencies = [latency for each in opened for latency in each.latencies]
    took, (cpu_after, _) = time.perf_counter() - began, used(pid)
    for each in opened:
        each.stopping = True
    await asyncio.gather(*(each.stopped for each in opened))
    return {
        "per_second": round(len(latencies) / took),
        "per_cpu_second": round(len(latencies) / (cpu_after - cpu)),
        "ms_p50": round(percentile(latencies, 0.5), 2),
        "ms_p99": round(percentile(latencies, 0.99), 2),
    }


def _post(path: str, body: bytes) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


async def run(redis_url: str, given: argparse.Namespace) -> dict[str, Any]:
    start, empty = _post("/api/tasks/start", _BODY), _post("/", b"{}")
    runs = []
    for _ in range(given.repeats):
        found: dict[str, float] = {}
        async with queue() as (queue_url, taken):
            settings = {"QSTASH_URL": queue_url, **_SECRETS}
            with service("", REDIS_URL=redis_url, **settings) as (address, pid):
                figures = await pressed(address, pid, start, b"202", given.clients, given.seconds)
                assert taken.messages > figures["per_second"] * given.seconds / 2
                found |= {f"F_start_{key}": value for key, value in figures.items()}
        with peer("litestar") as (address, pid):
            figures = await pressed(address, pid, empty, b"200", given.clients, given.seconds)
            found |= {f"F_litestar_{key}": value for key, value in figures.items()}
        runs.append(found)
    return medians(runs)


_SECRETS = {
    "QSTASH_TOKEN": "bench",
    "QSTASH_CURRENT_SIGNING_KEY": "sig_bench_current",
    "QSTASH_NEXT_SIGNING_KEY": "sig_bench_next",
    "BASE_URL": "http://127.0.0.1:1",
    "OPENAI_API_KEY": "",
}


if __name__ == "__main__":
    measured(__doc__ or "", run, clients=32, seconds=5, repeats=3)
