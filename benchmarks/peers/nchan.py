"""Nchan, the pub/sub module of nginx: C inside an event loop in C.

One worker, as each peer has one core. Messages are kept in the worker's shared memory (or, with
`--redis`, in Redis, as Nchan needs for more than one instance), all of them, for an hour; a reader
begins with the oldest, and each gets an EventSource stream. No access log, TCP_NODELAY, a listening
queue of 4,096, as many connections as wanted. Messages are published by HTTP POST on one connection
that stays open, from this process, which stands beside nginx.

GET / has `--events` events and an end, if `--events` is not 0; else it has `--rate` stamped tokens
a second, which begin once `--clients` clients are connected.
"""

import asyncio
import contextlib
import json
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from benchmarks.peers.frames import END_DATA, Shape, announce, data, paced

MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")
_CONFIGURATION = """
load_module {module};
daemon off;
worker_processes 1;
error_log stderr emerg;
pid {folder}/pid;
events {{ worker_connections {connections}; }}
http {{
  access_log off;
  keepalive_requests 1000000000;
  client_max_body_size 10m;
  client_body_buffer_size 1m;  # larger messages would be kept in files
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  nchan_shared_memory_size {memory};
  {upstream}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    nchan_channel_id {channel};
    location = / {{
      {store}
      nchan_subscriber eventsource;
      nchan_subscriber_first_message oldest;
    }}
    location = /publish {{
      {store}
      nchan_publisher;
      nchan_message_buffer_length {messages};
      nchan_message_timeout 1h;
    }}
  }}
}}
"""


def missing() -> str:
    """Return what is not installed, or nothing."""
    if shutil.which("nginx") is None or not MODULE.exists():
        return "nginx with Nchan (Debian: apt-get install libnginx-mod-nchan)"
    return ""


class Publisher(asyncio.Protocol):
    """Publishes on one connection, without waiting for each response."""

    def __init__(self) -> None:
        self.taken = self.refused = 0
        self._tail = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def publish(self, data: bytes) -> None:
        head = b"POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
        self._transport.write(head % len(data) + data)

    def data_received(self, data: bytes) -> None:
        data, tail = self._tail + data, self._tail
        self._tail = data[-11:]
        self.taken += data.count(b"HTTP/1.1 20") - tail.count(b"HTTP/1.1 20")
        self.refused += data.count(b"HTTP/1.1 50") - tail.count(b"HTTP/1.1 50")


@contextlib.contextmanager
def nginx(
    channel: str, redis_url: str, memory: str = "1G", messages: int = 100_000
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Run nginx with Nchan, which keeps `messages`. Yield its port and the master's process."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "nginx.conf"
        server = f"nchan_redis_server {redis_url};"
        file.write_text(
            _CONFIGURATION.format(
                module=MODULE,
                connections=resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 100,
                folder=folder,
                port=port,
                channel=channel,
                memory=memory,
                messages=messages,
                upstream=f"upstream store {{ {server} }}" if redis_url else "",
                store="nchan_redis_pass store;" if redis_url else "",
            )
        )
        program = shutil.which("nginx") or "nginx"
        master = subprocess.Popen([program, "-c", str(file), "-p", folder])  # noqa: S603
        try:
            deadline = time.monotonic() + 30
            # Until it has reached Redis, it answers 503.
            while state(port)[0] not in {200, 404}:
                assert time.monotonic() < deadline, "nginx does not answer"
                time.sleep(0.05)
            yield port, master
        finally:
            master.terminate()
            master.wait(20)


def state(port: int) -> tuple[int, str]:
    """Return the status and text with which it tells of the channel."""
    connection = HTTPConnection("127.0.0.1", port)
    try:
        connection.request("GET", "/publish", headers={"Accept": "text/json"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError:
        return 0, ""
    finally:
        connection.close()


def subscribers(port: int) -> int:
    status, text = state(port)
    return int(json.loads(text)["subscribers"]) if status == 200 else 0


def worker_of(master: int) -> int:
    return int(Path(f"/proc/{master}/task/{master}/children").read_text().split()[0])


async def publisher_to(port: int) -> Publisher:
    loop = asyncio.get_running_loop()
    _, publisher = await loop.create_connection(Publisher, "127.0.0.1", port)
    return publisher


async def filled(publisher: Publisher, events: int) -> None:
    """Publish `events` events and an end, and return once all are taken."""
    for number in range(events):
        publisher.publish(data(number + 1))
        while number - publisher.taken > 100:
            await asyncio.sleep(0.001)
    publisher.publish(END_DATA)
    while publisher.taken <= events:
        await asyncio.sleep(0.01)


async def nchan(shape: Shape, redis_url: str) -> None:
    running = asyncio.ensure_future(_serving(shape, redis_url))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await running


async def _serving(shape: Shape, redis_url: str) -> None:
    with nginx(shape.name, redis_url) as (port, master):
        publisher = await publisher_to(port)
        if shape.events:
            await filled(publisher, shape.events)
        announce(port, worker_of(master.pid))
        while shape.events or subscribers(port) < shape.clients:
            await asyncio.sleep(0.2)
        await asyncio.sleep(1)
        await paced(shape, publisher.publish)
        await asyncio.Event().wait()
