"""The message by which a dead letter is tried again.

Source: the description of QStash's API, /v2/dlq/retry: it has the body and the headers of the one
that was given up, unless the headers of the call say otherwise.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.publish_headers import read_message

_FIELDS = {
    "upstash-method": "method",
    "upstash-retries": "retries",
    "upstash-retry-delay": "retry_delay",
    "upstash-timeout": "timeout",
    "upstash-callback": "callback",
    "upstash-failure-callback": "failure_callback",
    "upstash-flow-control-key": "flow",
    "upstash-label": "labels",
    "upstash-redact-fields": "redacted",
}
_GROUPS = {
    "upstash-forward-": "headers",
    "upstash-callback-": "callback_headers",
    "upstash-failure-callback-": "failure_callback_headers",
}
"""Prefixes of headers, and the field that has them. What is given is added to it."""


def message_again(message: QueuedMessage, headers: Mapping[str, Any], now: float) -> QueuedMessage:
    """Return a new message like this one, for a call with these headers. `now` is in seconds since
    the Unix epoch. Raises BadMessage."""
    given = {name: value for name, value in headers.items() if name.lower() != "content-type"}
    named = [name.lower() for name in given]
    read = read_message(message.url, given, b"", now=now)
    changed: dict[str, Any] = {
        field: getattr(read, field) for name, field in _FIELDS.items() if name in named
    }
    for prefix, field in _GROUPS.items():
        if any(name.startswith(prefix) for name in named):
            changed[field] = {**getattr(message, field), **getattr(read, field)}
    return replace(
        message,
        id=read.id,
        created_at=read.created_at,
        not_before=read.not_before,
        retried=0,
        deduplication=None,
        **changed,
    )
