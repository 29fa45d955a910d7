"""The queue of the benchmarks: as much of QStash as a publisher sees of it."""

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

from benchmarks.model import length_of
from entrypoints.local_qstash.sending import sign


class Queue:
    """Speaks the part of QStash that a publisher needs. Delivers each message once to `address`;
    without an address it counts messages and holds them."""

    KEY = "sig_bench_0123456789abcdef0123456789abcdef"

    def __init__(self, url: str) -> None:
        self.address: str | None = None
        self.messages = 0
        self.held: list[tuple[str, bytes]] = []
        """Where each message that is not delivered goes, and its body."""
        self.settings = {
            "QSTASH_URL": url,
            "QSTASH_TOKEN": "bench",
            "QSTASH_CURRENT_SIGNING_KEY": self.KEY,
            "QSTASH_NEXT_SIGNING_KEY": self.KEY,
            "BASE_URL": "http://longtask.test",
        }
        self._deliveries: set[asyncio.Task[bytes]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(length_of(head))
                path = head.split(b" ", 2)[1].decode()
                answer: Any
                if path == "/v2/batch":
                    batch = json.loads(body)
                    answer = [self._take(each["destination"], each["body"]) for each in batch]
                else:
                    answer = self._take(path.removeprefix("/v2/publish/"), body.decode())
                data = json.dumps(answer).encode()
                writer.write(
                    b"HTTP/1.1 201 Created\r\ncontent-type: application/json\r\n"
                    b"content-length: %d\r\n\r\n%b" % (len(data), data)
                )
        writer.close()

    def _take(self, url: str, body: str) -> dict[str, str]:
        self.messages += 1
        if self.address is None:
            self.held.append((url, body.encode()))
        else:
            delivery = asyncio.create_task(self.deliver(self.address, url, body.encode()))
            self._deliveries.add(delivery)
            delivery.add_done_callback(self._deliveries.discard)
        return {"messageId": f"msg_{self.messages}"}

    async def deliver(self, address: str, url: str, body: bytes) -> bytes:
        """Return the response of the service."""
        host, path = urlsplit(address), urlsplit(url).path
        reader, writer = await asyncio.open_connection(host.hostname, host.port)
        signature = sign(self.KEY, url, body, int(time.time()))
        head = (
            f"POST {path} HTTP/1.1\r\nHost: localhost\r\nUpstash-Signature: {signature}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        writer.write(head.encode() + body)
        response = await reader.read()
        writer.close()
        return response


@contextlib.asynccontextmanager
async def queue() -> AsyncIterator[Queue]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    taking = Queue(f"http://127.0.0.1:{listener.getsockname()[1]}")
    async with await asyncio.start_server(taking.serve, sock=listener):
        yield taking
