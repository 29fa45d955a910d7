"""What Prometheus reads at /metrics. No label is taken from a request, a task or a person."""

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    disable_created_metrics,
    generate_latest,
)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """A registry of its own per application, so that two in one process do not mix."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self.starts = Counter(
            "longtask_starts", "Start requests that were answered 202.", registry=self._registry
        )
        self.deliveries = Counter(
            "longtask_deliveries",
            "Deliveries of the queue, by the answer's status.",
            ["status"],
            registry=self._registry,
        )
        self.cancels = Counter(
            "longtask_cancels", "Tasks cancelled by a client.", registry=self._registry
        )
        self.streams = Gauge(
            "longtask_open_streams", "Event streams open now.", registry=self._registry
        )
        self.running = Gauge(
            "longtask_open_deliveries", "Deliveries being worked on now.", registry=self._registry
        )

    def exposition(self) -> bytes:
        return generate_latest(self._registry)
