"""One task to one subscriber on the embedded default, every part real: HTTP, the QStash protocol,
an OpenAI-compatible upstream, SSE.

Two figures. Throughput: the upstream sends as fast as it can, tokens per second from the start
request to the last event. Latency: the upstream sends 100 tokens/s, each stamped when it is
written; what the service adds is the time until the subscriber has it.

The server runs in a process of its own, on one core where the machine has two; upstream and
subscriber share the other. Beside them, in the same run, the ceiling: the same subscriber reading
the upstream directly, without a service in between.
"""

import argparse
import asyncio
import contextlib
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec

_decode = msgspec.json.Decoder().decode
_PIECE = 'data: {"model":"bench","choices":[{"index":0,"delta":{"content":"%s"}}]}\n\n'
_END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'


class Upstream:
    """Speaks chat completions. The prompt says what to do: "<tokens> <tokens per second>"."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
            body = json.loads(await reader.readexactly(int(length[1]) if length else 0))
            tokens, rate = map(int, body["messages"][-1]["content"].split())
            writer.write(
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
            )
            await (self._paced(writer, tokens, rate) if rate else self._flat_out(writer, tokens))
            writer.write(_END)
            await writer.drain()
        writer.close()

    async def _flat_out(self, writer: asyncio.StreamWriter, tokens: int) -> None:
        block = (_PIECE % " token" * 100).encode()
        for _ in range(tokens // 100):
            writer.write(block)
            await writer.drain()

    async def _paced(self, writer: asyncio.StreamWriter, tokens: int, rate: int) -> None:
        began = time.perf_counter()
        for number in range(tokens):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            writer.write((_PIECE % f"{time.perf_counter_ns()};").encode())


@contextlib.asynccontextmanager
async def upstream() -> AsyncIterator[str]:
    server = await asyncio.start_server(Upstream().serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


@contextlib.contextmanager
def service(upstream_url: str, **settings: str) -> Iterator[tuple[str, int]]:
    """Its address and process id."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        environment = {
            **os.environ,
            "OPENAI_BASE_URL": upstream_url,
            "LONGTASK_LOG_FORMAT": "json",
            "LONGTASK_PORT": "0",
            **settings,
        }
        with log.open("w") as stderr:
            process = subprocess.Popen(
                [sys.executable, "-m", "entrypoints.cli", "serve"],
                cwd=folder,
                env=environment,
                stderr=stderr,
            )
        try:
            if (os.cpu_count() or 1) > 1 and hasattr(os, "sched_setaffinity"):
                os.sched_setaffinity(process.pid, {1})
                os.sched_setaffinity(0, {0})
            deadline = time.monotonic() + 30
            while not (found := re.search(r'"url": "(http[^"]+)"', log.read_text())):
                if time.monotonic() > deadline:
                    raise RuntimeError(log.read_text())
                time.sleep(0.05)
            yield found[1], process.pid
        finally:
            process.terminate()
            process.wait(20)


async def _lines(
    client: httpx.AsyncClient, method: str, url: str, on_data: Callable[[bytes], bool], **more: Any
) -> None:
    """Feed each `data:` payload to `on_data` until it answers True."""
    rest = b""
    async with client.stream(method, url, **more) as response:
        response.raise_for_status()
        async for chunk in response.aiter_raw():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                if line.startswith(b"data: ") and on_data(line[6:]):
                    return


async def through_service(url: str, prompt: str) -> tuple[float, int, list[float]]:
    """Seconds from the start to the last event, characters received, latencies in ms."""
    latencies: list[float] = []
    characters = 0

    def on_data(data: bytes) -> bool:
        nonlocal characters
        now = time.perf_counter_ns()
        event = _decode(data)
        if event["type"] == "content":
            text = event["data"]
            characters += len(text)
            if ";" in text:
                latencies.extend((now - int(each)) / 1e6 for each in text.split(";")[:-1])
        assert event["type"] != "error", event
        return bool(event["type"] == "end")

    async with httpx.AsyncClient(base_url=url, timeout=120) as client:
        began = time.perf_counter()
        body = {"prompt": prompt, "maxTokens": 128_000}
        started = (await client.post("/api/tasks/start", json=body)).json()
        query = f"/api/tasks/stream?taskId={started['taskId']}"
        await _lines(client, "GET", query, on_data)
        return time.perf_counter() - began, characters, latencies


async def directly(url: str, prompt: str) -> tuple[float, list[float]]:
    """The same from the upstream itself: seconds, and latencies in ms."""
    latencies: list[float] = []

    def on_data(data: bytes) -> bool:
        now = time.perf_counter_ns()
        if data == b"[DONE]":
            return True
        content = _decode(data)["choices"][0]["delta"].get("content", "")
        if content.endswith(";"):
            latencies.append((now - int(content[:-1])) / 1e6)
        return False

    async with httpx.AsyncClient(timeout=120) as client:
        began = time.perf_counter()
        body = {"messages": [{"role": "user", "content": prompt}]}
        await _lines(client, "POST", f"{url}/chat/completions", on_data, json=body)
        return time.perf_counter() - began, latencies


def percentile(values: list[float], share: float) -> float:
    return statistics.quantiles(values, n=1000)[round(share * 1000) - 1]


async def run(tokens: int, seconds: int, repeats: int) -> dict[str, Any]:
    async with upstream() as upstream_url:
        with service(upstream_url) as (url, _):
            await through_service(url, "1000 0")  # warm
            rates, ceilings = [], []
            for _ in range(repeats):
                took, characters, _ = await through_service(url, f"{tokens} 0")
                assert characters == tokens * len(" token"), characters
                rates.append(tokens / took)
                ceilings.append(tokens / (await directly(upstream_url, f"{tokens} 0"))[0])
            paced = f"{100 * seconds} 100"
            _, _, latencies = await through_service(url, paced)
            assert len(latencies) == 100 * seconds, len(latencies)
            _, without = await directly(upstream_url, paced)
    return {
        "tokens": tokens,
        "repeats": repeats,
        "tokens_per_second": round(statistics.median(rates)),
        "upstream_alone_tokens_per_second": round(statistics.median(ceilings)),
        "latency_ms_p50": round(percentile(latencies, 0.5), 2),
        "latency_ms_p99": round(percentile(latencies, 0.99), 2),
        "upstream_alone_latency_ms_p50": round(percentile(without, 0.5), 2),
        "upstream_alone_latency_ms_p99": round(percentile(without, 0.99), 2),
    }


def report(figures: dict[str, Any], file: Path | None) -> None:
    for name, value in figures.items():
        print(f"{name:<48}{value:>12,}")
    if file is not None:
        file.write_text(json.dumps(figures, indent=2) + "\n")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    arguments.add_argument("--tokens", type=int, default=100_000)
    arguments.add_argument("--seconds", type=int, default=10)
    arguments.add_argument("--repeats", type=int, default=5)
    arguments.add_argument("--json", type=Path, help="Write the figures here, too.")
    given = arguments.parse_args()
    report(asyncio.run(run(given.tokens, given.seconds, given.repeats)), given.json)


if __name__ == "__main__":
    main()
