"""H. The cost of a token, a start, a delivery and a replayed event in instructions, a figure that
does not depend on the machine's speed and little on its load.

Each is done alone, and again and again, by the service under callgrind. Only its process counts.

- A start: from the request to the response. The queue takes each message and delivers none.
- A token: the model sends one, and the next once the reader has it, so that each goes the whole
  way alone: read from the model, appended, published, written to the reader.
- A delivery: of a task whose model answers one token at once. From the request of the queue to the
  response, so everything but the start.
- A replayed event: of the log that these tokens have made, read by one client from its beginning.

The figures are compared with those in instruction_cost.json, which a change that is meant to make
one dearer writes anew with --accept. Needs valgrind.
"""

import argparse
import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import uvloop
from tests.redis_server import LocalRedis

from benchmarks.callgrind import SEGMENTS, counted_service
from benchmarks.dearer import verdict
from benchmarks.late_join import replayed, stream_of
from benchmarks.model import message
from benchmarks.task_queue import Queue, queue

ACCEPTED = Path(__file__).with_suffix(".json")
COUNTED = {
    "memory": ("start", "delivery", "token", "replayed_event"),
    # A token is dearer by up to 7 % where what Redis responds and what it publishes come apart.
    "redis": ("start", "delivery", "replayed_event"),
}
"""What is counted, by store."""
STEPS, STARTS, TOKENS, REPLAYS = "step by step", 20, 200, 1
"""A prompt, and how often something is done in one run that is counted."""
EVENTS = (SEGMENTS + 1) * TOKENS
"""Tokens in the log once they have been counted."""

_PIECE = b'data: {"model":"bench","choices":[{"index":0,"delta":{"content":" token"}}]}\n\n'
_END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


class Model:
    """Answers a token at once, and a request with the prompt STEPS a token each time it is told."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = b""
        while (whole := message(request)) is None:
            data = await reader.read(65536)
            if not data:  # the service has closed a connection that it did not need
                writer.close()
                return
            request += data
        writer.write(_HEAD)
        if json.loads(whole[1])["messages"][-1]["content"] == STEPS:
            self._steps = writer
            self.asked.set()
        else:
            writer.write(_PIECE + _END)
            writer.close()

    def send(self) -> None:
        self._steps.write(_PIECE)

    def end(self) -> None:
        self._steps.write(_END)
        self._steps.close()


def names(store: str) -> list[str]:
    """Return the names of the figures of a store."""
    return [f"H_instructions_{each}_{store}" for each in COUNTED[store]]


async def costs(store: str, settings: dict[str, str]) -> dict[str, int]:
    """Return the instructions of each by its name."""
    model = Model()
    server = await asyncio.start_server(model.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        queue() as held,
        counted_service(f"http://127.0.0.1:{port}/v1", **held.settings, **settings) as counted,
        httpx.AsyncClient(base_url=counted[0], timeout=300) as client,
    ):
        address, counter = counted
        path = await _start(client, STEPS)
        steps = held.held.pop()
        await counter.begin()

        async def starts() -> None:
            for _ in range(STARTS):
                await _start(client, "Why is the sky blue?")

        async def deliveries() -> None:
            for _ in range(STARTS):
                await _deliver(held, address)

        async def replays() -> None:
            for _ in range(REPLAYS):
                await replayed(address, path, EVENTS, 1)

        found = {
            "start": await counter.each(STARTS, starts),
            "delivery": await counter.each(STARTS, deliveries),
        }
        delivery = asyncio.create_task(held.deliver(address, *steps))
        await model.asked.wait()
        async with client.stream("GET", path) as response:
            lines = response.aiter_lines()

            async def tokens() -> None:
                for _ in range(TOKENS):
                    model.send()
                    while '"type":"content"' not in await anext(lines):
                        pass

            found["token"] = await counter.each(TOKENS, tokens)
        model.end()
        assert (await delivery).startswith(b"HTTP/1.1 200")
        found["replayed_event"] = await counter.each(REPLAYS * EVENTS, replays)
    figures = dict(zip(names(store), (found[each] for each in COUNTED[store]), strict=True))
    for name, value in figures.items():
        print(f"{name:<56}{value:>14,}", flush=True)
    return figures


async def _start(client: httpx.AsyncClient, prompt: str) -> str:
    """Start a task and return the path of its stream."""
    started = await client.post("/api/tasks/start", json={"prompt": prompt})
    return stream_of(started.raise_for_status().json()["taskId"])


async def _deliver(held: Queue, address: str) -> None:
    response = await held.deliver(address, *held.held.pop())
    assert response.startswith(b"HTTP/1.1 200"), response


async def run(stores: list[str]) -> dict[str, int]:
    figures: dict[str, int] = {}
    if "memory" in stores:
        figures |= await costs("memory", {})
    if "redis" in stores:
        with LocalRedis().running() as server:
            figures |= await costs("redis", {"REDIS_URL": server.url})
    return figures


def main() -> None:
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--stores", nargs="+", choices=COUNTED, default=[*COUNTED])
    arguments.add_argument("--json", type=Path, help="Also write the figures to this file.")
    arguments.add_argument("--accept", action="store_true", help="Compare with these from now on.")
    given = arguments.parse_args()
    figures = uvloop.run(run(given.stores))
    accepted: dict[str, Any] = json.loads(ACCEPTED.read_text()) if ACCEPTED.exists() else {}
    for line in verdict(figures, accepted):
        print(line)
    if given.accept:
        ACCEPTED.write_text(json.dumps(accepted | figures, indent=2) + "\n")
    if given.json is not None:
        given.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
