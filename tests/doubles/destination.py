"""A real local HTTP server that a queue delivers to: it records what comes, and answers as told."""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.waiting import within


@dataclass
class Answer:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"ok"
    gate: threading.Event | None = None
    """Answered only once this is set."""


@dataclass
class Delivered:
    method: str
    path: str
    headers: dict[str, str]
    """By their names in lower case. The values of a repeated one are joined."""
    body: bytes
    at: float


class _QuietServer(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """A queue that hangs up on us (its time-out) is no error of the test."""


class Destination:
    def __init__(self) -> None:
        self.url = ""
        self.answers: deque[Answer] = deque()
        self.delivered: list[Delivered] = []
        self.most_at_once = 0
        self.ahead = 0.0
        """Seconds by which its clock is ahead of this machine's, as its `Date` says."""
        self._now = 0
        self._lock = threading.Lock()

    def at(self, path: str) -> list[Delivered]:
        return [each for each in self.delivered if each.path == path]

    def told(self) -> dict[str, set[bytes]]:
        """The bodies of the webhooks that came, by their ids."""
        found: dict[str, set[bytes]] = {}
        for each in list(self.delivered):
            found.setdefault(each.headers["webhook-id"], set()).add(each.body)
        return found

    @contextmanager
    def running(self) -> Iterator["Destination"]:
        server = _QuietServer(("127.0.0.1", 0), self._handler())
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            for answer in self.answers:
                if answer.gate:
                    answer.gate.set()
            server.shutdown()
            server.server_close()
            thread.join(within(10))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        destination = self

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                with destination._lock:
                    headers = {
                        name.lower(): ", ".join(self.headers.get_all(name) or [])
                        for name in self.headers
                    }
                    destination.delivered.append(
                        Delivered(self.command, self.path, headers, body, time.monotonic())
                    )
                    callback = self.path.startswith("/callback")
                    mine = destination.answers and not callback
                    answer = destination.answers.popleft() if mine else Answer()
                    destination._now += 1
                    destination.most_at_once = max(destination.most_at_once, destination._now)
                if answer.gate is not None:
                    answer.gate.wait(within(20))
                with destination._lock:
                    destination._now -= 1
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def date_time_string(self, timestamp: float | None = None) -> str:
                return super().date_time_string(time.time() + destination.ahead)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _answer  # noqa: N815

            def log_message(self, *_: Any) -> None:
                return

        return Handler
