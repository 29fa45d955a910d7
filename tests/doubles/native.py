"""A scripted Longtask: accepts every start, and streams the events that it was given.

For clients of what no service writes yet, and of what a real one writes at no chosen moment.
"""

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Event = dict[str, Any]

TASK = "task_1_" + "a" * 24


def status_of(status: str, attempt: int, **more: Any) -> Event:
    return {"type": "status", "data": status, "attempt": attempt, **more}


def content(text: str, **more: Any) -> Event:
    return {"type": "content", "data": text, **more}


def reasoning(text: str) -> Event:
    return {"type": "reasoning", "data": text}


def tool_call(index: int, arguments: str = "", **first: str) -> Event:
    return {"type": "tool_call", "data": {"index": index, **first, "arguments": arguments}}


def item(kind: str, **fields: Any) -> Event:
    return {"type": "item", "data": {"type": kind, **fields}}


def end(text: str, **more: Any) -> Event:
    return {
        "type": "end",
        "data": text,
        "finishReason": "stop",
        "usage": None,
        "model": "m",
        **more,
    }


def frames(events: Sequence[Event], first: int = 1) -> str:
    """Return the frames of events that are numbered from `first`, as one connection has them."""
    written = ['data: {"type":"connected","status":"running","attempt":1}\n\n']
    for number, each in enumerate(events, first):
        data = {"taskId": TASK, "timestamp": 1_000 * number, **each}
        written.append(f"id: e-{number}\ndata: {json.dumps(data)}\n\n")
    return "".join(written)


class NativeService:
    """`connections` are the events of each connection, in order."""

    def __init__(self, *connections: Sequence[Event]) -> None:
        self.connections = list(connections)
        self.started: list[dict[str, Any]] = []
        """The bodies of the starts."""
        self.resumed_after: list[str] = []
        """The id after which each connection went on."""
        self.url = ""

    @contextmanager
    def running(self) -> Iterator["NativeService"]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                service.started.append(json.loads(body))
                self._respond(202, "application/json", json.dumps({"taskId": TASK}))

            def do_GET(self) -> None:
                after = self.headers.get("Last-Event-ID", "")
                service.resumed_after.append(after)
                events = service.connections.pop(0)
                first = int(after.rpartition("-")[2] or 0) + 1
                self._respond(200, "text/event-stream", frames(events, first))

            def _respond(self, status: int, media_type: str, body: str) -> None:
                self.send_response(status)
                self.send_header("Content-Type", media_type)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None: ...

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            self.url = f"http://127.0.0.1:{server.server_port}"
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield self
            server.shutdown()
