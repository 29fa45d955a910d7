"""The receiver of the webhooks of tasks, while everything is broken."""

import json
import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

from adapters.webhooks import new_secret
from tests.waiting import within


class Receiver:
    """Verifies what comes, and fails at the first call for some tasks."""

    def __init__(self) -> None:
        self.secret = new_secret()
        self.url = ""
        self.told: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
        """The events by their ids, as often as they came."""
        self.faults: list[str] = []

    @contextmanager
    def running(self) -> Iterator["Receiver"]:
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        server.daemon_threads = True
        self.url = f"http://127.0.0.1:{server.server_address[1]}/told"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join(within(10))

    def status_for(self, body: bytes, headers: dict[str, str]) -> int:
        event_id = headers.get("webhook-id", "")
        try:
            event = Webhook(self.secret).verify(body, headers)
        except WebhookVerificationError as error:
            self.faults.append(f"{event_id}: {error}")
            return 400
        if event["id"] != event_id:
            self.faults.append(f"{event_id} is the id of {json.dumps(event)}")
        self.told[event_id].append(event)
        fails = len(self.told[event_id]) == 1 and event["created_at"] % 4 == 0
        return 503 if fails else 204

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                self.send_response(receiver.status_for(body, headers))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def handle(self) -> None:
                try:
                    super().handle()
                except OSError:  # the service was killed in the middle of its call
                    return

            def log_message(self, *_: Any) -> None:
                return

        return Handler
