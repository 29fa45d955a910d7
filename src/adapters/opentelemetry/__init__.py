"""Traces, for a service that is told where to send them: imported only then.

One trace leads from the request that starts a task through the queue (which carries `traceparent`
with the message) to the delivery, the model's answer and the writing of its end. A span tells of
ids, counts and statuses, never of a prompt or an answer.
"""

from adapters.opentelemetry.spans import TracedModel, TracedQueue, TracedTaskLog
from adapters.opentelemetry.tracing import Tracing, trace_ids

__all__ = ["TracedModel", "TracedQueue", "TracedTaskLog", "Tracing", "trace_ids"]
