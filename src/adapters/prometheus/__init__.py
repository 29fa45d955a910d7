"""What an operator watches: figures for Prometheus, and the ports' adapters measured."""

from adapters.prometheus.measured import MeasuredModel, MeasuredTaskLog
from adapters.prometheus.metrics import CONTENT_TYPE, Metrics, forget_process

__all__ = ["CONTENT_TYPE", "MeasuredModel", "MeasuredTaskLog", "Metrics", "forget_process"]
