"""What Prometheus reads at /metrics. No label is taken from a request, a task or a person: each has
few values, and this service or its settings define them. Names of models are those that upstreams
answered with, and few of them too (`model_names`).

With several worker processes, each keeps its metrics in files of the directory that
PROMETHEUS_MULTIPROC_DIR names (prometheus_client's own way), and the process that is asked adds
them up.
"""

import os
from dataclasses import asdict
from typing import Literal

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
    multiprocess,
)

from adapters.prometheus.model_names import ModelNames
from application.ports import AttemptsObserver, FeedObserver, Tokens

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"

_SHORT = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_LONG = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800)
_SPEEDS = (1, 5, 10, 20, 30, 50, 75, 100, 150, 250, 500, 1000)


class Metrics(FeedObserver, AttemptsObserver):
    """All metrics of one application, in a registry of its own: two in one process do not mix."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self.starts = self._counter("starts", "Start requests that were accepted (202).")
        self.over_limit = self._counter(
            "over_limit", "Requests that were refused because of a caller's limit.", "policy"
        )
        self.deliveries = self._counter(
            "deliveries",
            "Deliveries and failure callbacks of the queue, by the status of the response.",
            "status",
        )
        self.cancels = self._counter("cancels", "Tasks cancelled by a client.")
        self.models = ModelNames()
        self.tasks = self._counter("tasks", "Tasks that ended, by status.", "status")
        self.tasks_over_budget = self._counter(
            "tasks_over_budget", "Tasks that failed since a budget was used up."
        )
        self.model_tasks = self._counter(
            "model_tasks", "Tasks that ended, by the model that answered.", "model", "status"
        )
        self.model_tokens = self._counter(
            "model_tokens",
            "Tokens of attempts that have ended, however they did: input and output, and of those "
            "the cached and the reasoning ones.",
            "model",
            "kind",
        )
        self.attempts = self._counter("attempts", "Attempts that began.")
        self.attempts_lost = self._counter(
            "attempts_lost", "Attempts that were requeued.", "reason"
        )
        self.attempts_resumed = self._counter(
            "attempts_resumed",
            "Attempts that went on with what earlier ones said: kept upstream, or by prefill.",
            "how",
        )
        self.upstream_asked_again = self._counter(
            "upstream_asked_again",
            "Attempts that asked an upstream for an answer that may have been asked for already.",
        )
        self.tokens_saved = self._counter(
            "tokens_saved", "Tokens, estimated, that resumed attempts did not ask for again."
        )
        self.tokens_paid_twice = self._counter(
            "tokens_paid_twice", "Tokens, estimated, that attempts threw away by beginning anew."
        )
        self.queue_seconds = self._histogram(
            "queue_seconds", "Seconds from the start of a task to its first attempt.", _LONG
        )
        self.append_seconds = self._histogram(
            "append_seconds", "Seconds for an append to an event log.", _SHORT
        )
        self.first_token_seconds = self._histogram(
            "first_token_seconds", "Seconds from a call of the model to its first token.", _LONG
        )
        self.tokens_per_second = self._histogram(
            "tokens_per_second", "Tokens per second of an answer, from its first token on.", _SPEEDS
        )
        self.model_errors = self._counter(
            "model_errors", "Calls of the model that failed, by error code.", "code"
        )
        self.upstream_fallbacks = self._counter(
            "upstream_fallbacks",
            "Calls of a model that went on to the fallback of an upstream, by both of their names.",
            "upstream",
            "fallback",
        )
        self.webhooks = self._counter(
            "webhooks", "Calls of the receivers of webhooks, by what came of them.", "outcome"
        )
        self.webhooks_given_up = self._counter(
            "webhooks_given_up", "Webhooks whose receiver gave no 2xx within 72 hours."
        )
        self.streams = self._gauge("open_streams", "Event streams that are open now.")
        self.held_streams = self._gauge(
            "held_streams", "Streams of EventSources that are held open behind their last event."
        )
        self.resumes = self._counter("stream_resumes", "Streams that were resumed behind an event.")
        self.running = self._gauge("open_deliveries", "Deliveries that are being worked on now.")
        self.delivery_lag_seconds = self._histogram(
            "delivery_lag_seconds",
            "Seconds from the write of an event to its arrival here, by the clocks of both.",
            _SHORT,
        )
        self.missed_events = self._counter(
            "missed_events",
            "Readers that missed events and read the log: slow ones, or a lost connection.",
        )
        self.feed_reconnects = self._counter(
            "feed_reconnects", "Connections for live delivery that were lost."
        )
        self.event_loop_lag_seconds = self._histogram(
            "event_loop_lag_seconds", "Seconds by which a timer of the event loop was late.", _SHORT
        )

    def resumed(self, how: Literal["kept", "prefill"], tokens: int) -> None:
        self.attempts_resumed.labels(how).inc()
        self.tokens_saved.inc(tokens)

    def asked_again(self) -> None:
        self.upstream_asked_again.inc()

    def thrown_away(self, tokens: int) -> None:
        self.tokens_paid_twice.inc(tokens)

    def fell_back(self, upstream: str, fallback: str) -> None:
        self.upstream_fallbacks.labels(upstream, fallback).inc()

    def used(self, tokens: Tokens, model: str, *, answered: bool) -> None:
        label = self.models.label(model, answered=answered)
        for kind, number in asdict(tokens).items():
            # Less than nothing: an attempt that went on has learnt that an estimate was too high.
            self.model_tokens.labels(label, kind).inc(max(0, number))

    def missed(self) -> None:
        self.missed_events.inc()

    def reconnected(self) -> None:
        self.feed_reconnects.inc()

    def delivered(self, lag: float) -> None:
        self.delivery_lag_seconds.observe(max(0.0, lag))

    def exposition(self) -> bytes:
        if DIRECTORY not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"longtask_{name}", meaning, labels, registry=self._registry)

    def _gauge(self, name: str, meaning: str) -> Gauge:
        return Gauge(
            f"longtask_{name}", meaning, registry=self._registry, multiprocess_mode="livesum"
        )

    def _histogram(self, name: str, meaning: str, buckets: tuple[float, ...]) -> Histogram:
        return Histogram(f"longtask_{name}", meaning, registry=self._registry, buckets=buckets)


def forget_process(pid: int, directory: str) -> None:
    """Drop what was open in a process that has ended. Its counters stay."""
    multiprocess.mark_process_dead(pid, directory)  # type: ignore[no-untyped-call]
