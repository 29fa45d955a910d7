"""H. The cost of one token in instructions, a figure that does not depend on the machine's load.

The service runs under callgrind with the memory store. The model sends a token, and the next one
once the reader has it, so that each token goes the whole way alone: read from the model, appended,
published, written to the reader. Two runs differ only in their number of tokens; the difference of
their instruction counts is the cost of those tokens. Needs valgrind.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import sys
import tempfile
from pathlib import Path

import httpx
import uvloop

from benchmarks.model import message

_PIECE = b'data: {"model":"bench","choices":[{"index":0,"delta":{"content":" token"}}]}\n\n'
_END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


class Model:
    """Responds to one request for a chat completion, and sends a token when told to."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = b""
        while message(request) is None:
            request += await reader.read(65536)
        writer.write(_HEAD)
        self._writer = writer
        self.asked.set()

    def send(self, data: bytes) -> None:
        self._writer.write(data)

    def close(self) -> None:
        self._writer.close()


async def instructions(tokens: int, folder: Path) -> int:
    """Return the instructions that the service executes from its start to its end."""
    model = Model()
    server = await asyncio.start_server(model.serve, "127.0.0.1", 0)
    log = folder / f"log-{tokens}"
    environment = {
        **os.environ,
        "OPENAI_BASE_URL": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1",
        "LONGTASK_LOG_FORMAT": "json",
        "LONGTASK_PORT": "0",
        "LONGTASK_DATA": "memory",
        "LONGTASK_LEASE": "600",
        "PYTHONHASHSEED": "0",
    }
    with log.open("w") as stderr:
        process = await asyncio.create_subprocess_exec(
            *("valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out-{tokens}"),
            *(sys.executable, "-X", "frozen_modules=on", "-m", "entrypoints.cli", "serve"),
            cwd=folder,
            env=environment,
            stderr=stderr,
        )
    while not (found := re.search(r'"url": "(http[^"]+)"', log.read_text())):
        assert process.returncode is None, log.read_text()
        await asyncio.sleep(0.1)
    async with httpx.AsyncClient(base_url=found[1], timeout=300) as client:
        started = await client.post("/api/tasks/start", json={"prompt": "hi"})
        path = started.raise_for_status().json()["streamUrl"]
        async with client.stream("GET", path) as response:
            await model.asked.wait()
            sent = 0
            async for line in response.aiter_lines():
                if '"type":"content"' in line or '"data":"running"' in line:
                    model.send(_PIECE if sent < tokens else _END)
                    if sent == tokens:
                        model.close()
                    sent += 1
    process.send_signal(signal.SIGTERM)
    await process.wait()
    server.close()
    collected = re.search(r"Collected : (\d+)", log.read_text())
    assert collected is not None, log.read_text()
    return int(collected[1])


async def run(given: argparse.Namespace) -> dict[str, int]:
    with tempfile.TemporaryDirectory() as folder:
        few = await instructions(given.few, Path(folder))
        many = await instructions(given.many, Path(folder))
    return {"H_instructions_per_token": round((many - few) / (given.many - given.few))}


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    arguments.add_argument("--few", type=int, default=500)
    arguments.add_argument("--many", type=int, default=2_500)
    arguments.add_argument("--json", type=Path, help="Also write the figure to this file.")
    options = arguments.parse_args()
    figures = uvloop.run(run(options))
    for name, value in figures.items():
        print(f"{name:<56}{value:>14,}")
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
