"""The tracer, and the W3C Trace Context headers that connect the spans of several processes."""

import asyncio
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import (
    Span,
    SpanKind,
    StatusCode,
    Tracer,
    get_current_span,
    use_span,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_propagator = TraceContextTextMapPropagator()


class Tracing:
    def __init__(self, endpoint: str, version: str) -> None:
        """Spans go to `endpoint` (OTLP over HTTP, without its /v1/traces). All other settings are
        OpenTelemetry's own variables: headers, sampling, OTEL_SERVICE_NAME."""
        ours = Resource({SERVICE_NAME: "longtask", "service.version": version})
        self._provider = TracerProvider(resource=ours.merge(OTELResourceDetector().detect()))
        exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces")
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self.tracer: Tracer = self._provider.get_tracer("longtask", version)

    async def aclose(self) -> None:
        """Send what has not been sent."""
        await asyncio.to_thread(self._provider.shutdown)

    @contextmanager
    def request(self, method: str, path: str, headers: Mapping[str, str]) -> Iterator[Span]:
        """The span of a request, within the trace that its headers name, if any."""
        span = self.tracer.start_span(
            f"{method} {path}",
            _propagator.extract(headers),
            SpanKind.SERVER,
            {"http.request.method": method, "url.path": path},
        )
        with use_span(span, end_on_exit=True):
            yield span

    @staticmethod
    def forwarded() -> dict[str, str]:
        """The headers by which another process continues the current trace."""
        headers: dict[str, str] = {}
        _propagator.inject(headers)
        return headers

    @staticmethod
    def responded(span: Span, status: int | None) -> None:
        span.set_attribute("http.response.status_code", status or 0)
        if status is None or status >= 500:
            span.set_status(StatusCode.ERROR)


def trace_ids(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor that adds the ids of the current span."""
    context = get_current_span().get_span_context()
    if context.is_valid:
        event["trace_id"] = f"{context.trace_id:032x}"
        event["span_id"] = f"{context.span_id:016x}"
    return event
