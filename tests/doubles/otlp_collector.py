"""A collector that takes spans over HTTP as OpenTelemetry's exporters send them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector:
    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.resources: list[dict[str, str]] = []
        self.raw = b""
        """All that ever came."""

    @contextmanager
    def running(self) -> Iterator[str]:
        """Its address."""
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector._take(body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_address[1]}"
            finally:
                server.shutdown()
                thread.join()

    def _take(self, body: bytes) -> None:
        self.raw += body
        request = ExportTraceServiceRequest.FromString(body)
        for each in request.resource_spans:
            self.resources.append(
                {pair.key: pair.value.string_value for pair in each.resource.attributes}
            )
            for scope in each.scope_spans:
                self.spans.extend(scope.spans)

    def tree(self) -> list[str]:
        """The spans as lines, each indented beneath its parent, in order of their beginnings."""
        lines: list[str] = []

        def add(parent: bytes, depth: int) -> None:
            for span in sorted(self.spans, key=lambda each: each.start_time_unix_nano):
                if span.parent_span_id == parent:
                    lines.append("  " * depth + span.name)
                    add(span.span_id, depth + 1)

        add(b"", 0)
        return lines
