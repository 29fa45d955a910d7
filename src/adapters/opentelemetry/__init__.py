"""Traces. Imported only where the settings say where to send them.

One trace leads from the request that starts a task through the queue (which carries `traceparent`
with the message) to the delivery, the model's answer and the write that ends the task. A span holds
ids, counts and statuses, never a prompt or an answer.
"""

from adapters.opentelemetry.spans import TracedModel, TracedQueue, TracedTaskLog
from adapters.opentelemetry.tracing import Tracing, trace_ids

__all__ = ["TracedModel", "TracedQueue", "TracedTaskLog", "Tracing", "trace_ids"]
