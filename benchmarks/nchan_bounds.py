"""What Nchan does when its buffer is full, and when nginx reads its configuration again."""

import json
import secrets
import signal
import socket
import time
from collections import Counter
from http.client import HTTPConnection

from benchmarks.peers.nchan import nginx, worker_of

KEPT, PUBLISHED, RESUMED = 100, 300, 50


def published(port: int, data: bytes) -> tuple[int, str]:
    """Publish a message. Return the status of the response, and the message's id."""
    connection = HTTPConnection("127.0.0.1", port)
    connection.request("POST", "/publish", data, {"Accept": "text/json"})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    return answer.status, json.loads(text)["last_message_id"] if answer.status < 300 else ""


def seen(port: int, last: str = "") -> list[str]:
    """Return the data of the events that a reader gets within two seconds who resumes there."""
    with socket.create_connection(("127.0.0.1", port)) as reader:
        resume = f"Last-Event-ID: {last}\r\n" if last else ""
        head = f"GET / HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n{resume}\r\n"
        reader.sendall(head.encode())
        found, deadline = b"", time.monotonic() + 2
        while (left := deadline - time.monotonic()) > 0:
            reader.settimeout(left)
            try:
                if not (some := reader.recv(1 << 20)):
                    break
            except TimeoutError:
                break
            found += some
    lines = found.decode().splitlines()
    return [line[6:] for line in lines if line.startswith("data: ")]


async def bounds(name: str, redis_url: str) -> dict[str, str]:
    """Return what was seen, by what was done. It needs no Redis."""
    channel = f"bounds-{secrets.token_hex(6)}"
    with nginx(channel, "", messages=KEPT) as (port, _):
        ids = [published(port, b"%d" % number)[1] for number in range(PUBLISHED)]
        next_ones = seen(port, ids[RESUMED])
        unknown = seen(port, "1000000000:0")
    with nginx(channel, "", memory="4M") as (port, _):
        statuses = Counter(published(port, b"x" * 50_000)[0] for _ in range(200))
        kept = seen(port)
    with nginx(channel, "") as (port, master):
        for number in range(KEPT):
            published(port, b"%d" % number)
        old = worker_of(master.pid)
        master.send_signal(signal.SIGHUP)
        while worker_of(master.pid) == old:
            time.sleep(0.05)  # noqa: ASYNC251 (nothing else runs)
        after = seen(port)
    return {
        "resumes behind the buffer": f"after {RESUMED} comes {next_ones[0]}, without a word",
        "resumes with an unknown id": f"gets {len(unknown)}, without a word",
        "memory full": f"statuses {dict(statuses)}; a reader gets {len(kept)}",
        "configuration read again": f"{len(after)} of {KEPT} are kept",
    }
