"""F. Starts: requests per second and their latency.

The store is Redis. The queue accepts every message and delivers none, since the cost of running a
task is not measured here.

In the same run and with the same clients: FastAPI with QStash's SDK and redis-py, which do the same
work as such services are usually written; and as the ceiling a Litestar application whose one
handler responds with an empty JSON object. All are on the same uvicorn.
"""

import argparse
import asyncio
import json
import time
from typing import Any

from benchmarks.model import message
from benchmarks.rig import connected, late, measured, medians, over, peer, service
from benchmarks.task_queue import queue

_BODY = json.dumps({"prompt": "Why is the sky blue?"}).encode()


class Client(asyncio.Protocol):
    """Sends the same request again after each response, until it is told to stop."""

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
        if (whole := message(self._answer)) is None:
            return
        head, _ = whole
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
    """Return requests per second and per CPU second of the server, with concurrent clients."""
    opened = [await connected(address, lambda: Client(request, status)) for _ in range(clients)]
    await asyncio.sleep(0.5)
    for each in opened:
        each.latencies.clear()
    done, took, spent = await over(
        pid, seconds, lambda: sum(len(each.latencies) for each in opened)
    )
    latencies = [latency for each in opened for latency in each.latencies]
    for each in opened:
        each.stopping = True
    await asyncio.gather(*(each.stopped for each in opened))
    return {
        "per_second": round(done / took),
        "per_cpu_second": round(done / spent),
        **late(latencies),
    }


def post(path: str, body: bytes) -> bytes:
    return (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body


async def run(redis_url: str, given: argparse.Namespace) -> dict[str, Any]:
    start, usual = post("/api/tasks/start", _BODY), post("/start", _BODY)
    empty = post("/", b"{}")
    runs = []
    for _ in range(given.repeats):
        found: dict[str, float] = {}
        async with queue() as taking:
            settings = {**taking.settings, "REDIS_URL": redis_url}
            with service("http://127.0.0.1:1", **settings) as (address, pid):
                figures = await pressed(address, pid, start, b"202", given.clients, given.seconds)
            assert taking.messages > figures["per_second"] * given.seconds / 2
            found |= {f"F_start_{key}": value for key, value in figures.items()}
            options = ("--redis", redis_url, "--queue", taking.settings["QSTASH_URL"])
            with peer("fastapi-start", *options) as (address, pid):
                figures = await pressed(address, pid, usual, b"202", given.clients, given.seconds)
            found |= {f"F_fastapi_{key}": value for key, value in figures.items()}
        with peer("litestar") as (address, pid):
            figures = await pressed(address, pid, empty, b"200", given.clients, given.seconds)
            found |= {f"F_litestar_{key}": value for key, value in figures.items()}
        runs.append(found)
    return medians(runs)


if __name__ == "__main__":
    measured(__doc__ or "", run, clients=32, seconds=5, repeats=3)
