"""What is counted of requests. No handler counts by itself."""

from contextlib import AbstractContextManager
from enum import Enum

from litestar.datastructures import Headers
from litestar.types import HTTPScope

from adapters.prometheus import Metrics
from entrypoints.http.checks import is_check
from entrypoints.http.litestar_internals import handler_options

COUNTED_AS = "counted_as"
"""Mark (in a handler's `opt`) of a route whose responses are counted."""


class Counted(Enum):
    DELIVERY = "delivery"
    """By the status of the response."""
    START = "start"
    """Once accepted (202 on the native face, 200 on the others)."""
    CANCEL = "cancel"
    """The same."""


class RequestCounts:
    """Counts, for the metrics, what becomes of requests."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def responded(self, scope: HTTPScope, status: int) -> None:
        """A response begins with this status."""
        match handler_options(scope).get(COUNTED_AS):
            case Counted.DELIVERY if not is_check(Headers.from_scope(scope), status):
                self._metrics.deliveries.labels(str(status)).inc()
            case Counted.START if status in (200, 202):
                self._metrics.starts.inc()
            case Counted.CANCEL if status in (200, 202):
                self._metrics.cancels.inc()

    def over_limit(self, policy: str) -> None:
        """A request was refused for a caller's limit."""
        self._metrics.over_limit.labels(policy).inc()

    def open_delivery(self) -> AbstractContextManager[object]:
        """To be entered while a delivery is being worked on."""
        return self._metrics.running.track_inprogress()

    def stream_opened(self, *, resumed: bool) -> None:
        self._metrics.streams.inc()
        if resumed:
            self._metrics.resumes.inc()

    def stream_closed(self) -> None:
        self._metrics.streams.dec()

    def stream_held(self) -> None:
        """A stream is held open behind its last event."""
        self._metrics.held_streams.inc()

    def held_stream_ended(self) -> None:
        self._metrics.held_streams.dec()
