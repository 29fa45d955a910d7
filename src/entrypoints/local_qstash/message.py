"""A QStash message, and how QStash's API shows it."""

import base64
import contextlib
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from adapters.qstash.retry_delay import RetryDelay

DEFAULT_RETRIES = 3


@dataclass(frozen=True, slots=True)
class FlowControl:
    key: str
    parallelism: int | None = None
    rate: int | None = None
    period: float = 1.0


@dataclass(slots=True, kw_only=True)
class QueuedMessage:
    id: str
    url: str
    method: str
    headers: dict[str, list[str]]
    body: bytes
    created_at: int
    not_before: int
    retries: int = DEFAULT_RETRIES
    retry_delay: RetryDelay | None = None
    timeout: float | None = None
    callback: str | None = None
    callback_headers: dict[str, str] = field(default_factory=dict)
    failure_callback: str | None = None
    failure_callback_headers: dict[str, str] = field(default_factory=dict)
    queue: str | None = None
    flow: FlowControl | None = None
    labels: tuple[str, ...] = ()
    schedule_id: str | None = None
    """That of the schedule that published it."""
    url_group: str | None = None
    """The name of the URL group that it was published to."""
    endpoint: str | None = None
    """The name of its destination in that group, if it has one."""
    caller_ip: str | None = None
    deduplication: str | None = None
    redacted: frozenset[str] = frozenset()
    retried: int = 0

    @property
    def label(self) -> str | None:
        """The first one: earlier versions of QStash knew no others."""
        return self.labels[0] if self.labels else None

    def as_json(self) -> dict[str, Any]:
        """As `GET /v2/messages/{id}` shows it."""
        shown: dict[str, Any] = {
            "messageId": self.id,
            "url": self.url,
            "method": self.method,
            "header": self._shown_headers(),
            "maxRetries": self.retries,
            "notBefore": self.not_before,
            "createdAt": self.created_at,
            "callback": self.callback,
            "failureCallback": self.failure_callback,
            "callbackHeader": _as_lists(self.callback_headers),
            "failureCallbackHeader": _as_lists(self.failure_callback_headers),
            "queueName": self.queue,
            "label": self.label,
            "labels": list(self.labels) or None,
            "scheduleId": self.schedule_id,
            "topicName": self.url_group,
            "endpointName": self.endpoint,
            "callerIP": self.caller_ip,
            "callerIp": self.caller_ip,  # as the JavaScript SDK reads it
            "retryDelayExpression": None if self.retry_delay is None else str(self.retry_delay),
            **text_or_base64(
                "body", _redacted(self.body).encode() if "body" in self.redacted else self.body
            ),
        }
        if self.flow is not None:
            shown["flowControlKey"] = self.flow.key
            shown["parallelism"] = self.flow.parallelism
            shown["rate"] = self.flow.rate
            shown["period"] = math.ceil(self.flow.period)
        return {name: value for name, value in shown.items() if value not in (None, {})}

    def _shown_headers(self) -> dict[str, list[str]]:
        return {
            name: values
            if self.redacted.isdisjoint(("header", f"header[{name.lower()}]"))
            else [_redacted(value.encode()) for value in values]
            for name, values in self.headers.items()
        }


def text_or_base64(name: str, data: bytes) -> dict[str, str]:
    """Return `{name: text}`, or `{nameBase64: ...}` for data that is not UTF-8."""
    with contextlib.suppress(UnicodeDecodeError):
        return {name: data.decode()}
    return {f"{name}Base64": base64.b64encode(data).decode()}


def _redacted(data: bytes) -> str:
    return f"REDACTED:{hashlib.sha256(data).hexdigest()}"


def _as_lists(headers: Mapping[str, str]) -> dict[str, list[str]]:
    return {name: [value] for name, value in headers.items()}
