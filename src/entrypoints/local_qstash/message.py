"""A QStash message: read from the headers of a publish, and shown as QStash's API shows it.

Source of the header names and their forms: the official Python SDK and QStash's documentation
(api-reference/messages/publish).
"""

import base64
import contextlib
import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from adapters.qstash.retry_delay import MalformedRetryDelay, RetryDelay
from entrypoints.local_qstash.refusals import BadMessage

DEFAULT_RETRIES = 3

_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3_600.0,
    "d": 86_400.0,
}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)")
LONGEST = 1e12
"""Seconds. What is longer would be no time that a file can hold."""


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
    label: str | None = None
    caller_ip: str | None = None
    deduplication: str | None = None
    redacted: frozenset[str] = frozenset()
    retried: int = 0

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
            "callerIP": self.caller_ip,
            "retryDelayExpression": None if self.retry_delay is None else str(self.retry_delay),
            **text_or_base64(
                "body", _redacted(self.body).encode() if "body" in self.redacted else self.body
            ),
        }
        if self.flow is not None:
            shown["flowControlKey"] = self.flow.key
            shown["parallelism"] = self.flow.parallelism
            shown["rate"] = self.flow.rate
            shown["period"] = None if self.flow.rate is None else int(self.flow.period)
        return {name: value for name, value in shown.items() if value not in (None, {})}

    def _shown_headers(self) -> dict[str, list[str]]:
        return {
            name: values
            if self.redacted.isdisjoint(("header", f"header[{name.lower()}]"))
            else [_redacted(value.encode()) for value in values]
            for name, values in self.headers.items()
        }


def read_message(
    destination: str,
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: float,
    queue: str | None = None,
    caller_ip: str | None = None,
) -> QueuedMessage:
    """Return the message that a publish with these headers creates. `now` is in seconds since the
    Unix epoch. Raises BadMessage."""
    given = {name.lower(): value for name, value in headers.items()}
    forwarded: dict[str, list[str]] = {}
    if "content-type" in given:
        forwarded["Content-Type"] = [given["content-type"]]
    for name, value in headers.items():
        if name.lower().startswith("upstash-forward-"):
            forwarded[name[len("upstash-forward-") :].title()] = [value]
    callback = _http_url(given.get("upstash-callback"), "Upstash-Callback")
    failure = _http_url(given.get("upstash-failure-callback"), "Upstash-Failure-Callback")
    return QueuedMessage(
        id=f"msg_{secrets.token_urlsafe(20)}",
        url=_destination(destination),
        method=_method(given.get("upstash-method", "POST")),
        headers=forwarded,
        body=body,
        created_at=int(now * 1000),
        not_before=int(_not_before(given, now) * 1000),
        retries=_whole(given.get("upstash-retries"), "Upstash-Retries", DEFAULT_RETRIES),
        retry_delay=_retry_delay(given.get("upstash-retry-delay")),
        timeout=_duration_of(given, "upstash-timeout"),
        callback=callback,
        callback_headers=_callback_headers(headers, "upstash-callback-"),
        failure_callback=failure,
        failure_callback_headers=_callback_headers(headers, "upstash-failure-callback-"),
        queue=queue,
        flow=_flow_control(given),
        label=given.get("upstash-label"),
        caller_ip=caller_ip,
        deduplication=_deduplication(given, destination, forwarded, body),
        redacted=_redacted_fields(given.get("upstash-redact-fields", "")),
    )


def duration(text: str) -> float:
    """Return the seconds in `10s`, `1m30s` or `500ms`. Raises BadMessage."""
    parts = _DURATION_PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise BadMessage(f"invalid duration: {text!r}")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if seconds > LONGEST:
        raise BadMessage(f"invalid duration: {text!r} is too long")
    return seconds


def text_or_base64(name: str, data: bytes) -> dict[str, str]:
    """Return `{name: text}`, or `{nameBase64: ...}` for data that is not UTF-8."""
    with contextlib.suppress(UnicodeDecodeError):
        return {name: data.decode()}
    return {f"{name}Base64": base64.b64encode(data).decode()}


def _redacted_fields(text: str) -> frozenset[str]:
    """Return `body`, `header` and `header[name]`. The documentation also writes `headers`."""
    fields = (each.strip().lower() for each in text.split(",") if each)
    return frozenset(re.sub(r"^headers\b", "header", each) for each in fields)


def _redacted(data: bytes) -> str:
    return f"REDACTED:{hashlib.sha256(data).hexdigest()}"


def _as_lists(headers: Mapping[str, str]) -> dict[str, list[str]]:
    return {name: [value] for name, value in headers.items()}


def _destination(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise BadMessage("the destination must be a URL: the local QStash has no URL groups")
    checked = _http_url(url, "destination")
    assert checked is not None  # noqa: S101  (a URL was given)
    return checked


def _http_url(url: str | None, name: str) -> str | None:
    if url is None:
        return None
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise BadMessage(f"invalid {name}: {url!r} is not an http:// or https:// URL")
    return url


def _method(method: str) -> str:
    if method.upper() not in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        raise BadMessage(f"invalid Upstash-Method: {method!r}")
    return method.upper()


def _whole(text: str | None, name: str, default: int) -> int:
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and len(text) <= 15):
        raise BadMessage(f"invalid {name}: {text!r} is not a whole number")
    return int(text)


def _duration_of(given: Mapping[str, str], name: str) -> float | None:
    return duration(given[name]) if name in given else None


def _not_before(given: Mapping[str, str], now: float) -> float:
    # The absolute time takes precedence, as QStash documents it.
    if "upstash-not-before" in given:
        return float(_whole(given["upstash-not-before"], "Upstash-Not-Before", 0))
    return now + (_duration_of(given, "upstash-delay") or 0.0)


def _retry_delay(text: str | None) -> RetryDelay | None:
    try:
        return None if text is None else RetryDelay.parse(text)
    except MalformedRetryDelay as error:
        raise BadMessage(str(error)) from None


def _flow_control(given: Mapping[str, str]) -> FlowControl | None:
    key = given.get("upstash-flow-control-key")
    if key is None:
        return None
    values: dict[str, str] = {}
    for part in given.get("upstash-flow-control-value", "").split(","):
        name, _, value = part.strip().partition("=")
        values[name] = value
    parallelism, rate = (
        _whole(values[name], name, 1) if name in values else None
        for name in ("parallelism", "rate")
    )
    if (parallelism is None and rate is None) or 0 in (parallelism, rate):
        raise BadMessage("flow control needs parallelism or rate, above 0")
    period = values.get("period", "1s")
    seconds = duration(f"{period}s" if period.isdecimal() else period)
    return FlowControl(key, parallelism, rate, seconds)


def _deduplication(
    given: Mapping[str, str], destination: str, forwarded: dict[str, list[str]], body: bytes
) -> str | None:
    named = given.get("upstash-deduplication-id")
    if named is not None:
        if ":" in named:
            raise BadMessage("a deduplication id may not hold ':'")
        return f"id:{hashlib.sha256(named.encode()).hexdigest()}"
    if given.get("upstash-content-based-deduplication", "").lower() != "true":
        return None
    content = hashlib.sha256()
    for part in (destination, repr(sorted(forwarded.items()))):
        content.update(part.encode() + b"\0")
    content.update(body)
    return f"content:{content.hexdigest()}"


def _callback_headers(headers: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Return the headers of the callback's own message. It must not have a callback of its own,
    which would contain the whole message again."""
    return {
        f"Upstash-{name[len(prefix) :]}": value
        for name, value in headers.items()
        if name.lower().startswith(prefix)
        and not name.lower()[len(prefix) :].startswith(("callback", "failure-callback"))
    }
