"""Metrics for Prometheus, and decorators that measure a TaskLog and a LanguageModel."""

from adapters.prometheus.measured import MeasuredModel, MeasuredSender, MeasuredTaskLog
from adapters.prometheus.metrics import CONTENT_TYPE, Metrics, forget_process

__all__ = [
    "CONTENT_TYPE",
    "MeasuredModel",
    "MeasuredSender",
    "MeasuredTaskLog",
    "Metrics",
    "forget_process",
]
