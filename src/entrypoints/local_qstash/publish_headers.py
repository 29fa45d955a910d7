"""Reading a message from the headers of its publish.

Source of the header names and their forms: the official Python SDK and QStash's documentation
(api-reference/messages/publish).
"""

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from adapters.qstash.retry_delay import MalformedRetryDelay, RetryDelay
from entrypoints.local_qstash.bounds import LONGEST_PERIOD
from entrypoints.local_qstash.message import DEFAULT_RETRIES, FlowControl, QueuedMessage
from entrypoints.local_qstash.names import checked_key, checked_name
from entrypoints.local_qstash.refusals import BadMessage
from entrypoints.local_qstash.sendable import CONTROL, Headers, checked_headers
from entrypoints.local_qstash.whole_numbers import whole_number
from entrypoints.local_qstash.workflow_headers import forwarded_of_run

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
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)", re.ASCII)
_REDACTABLE = re.compile(r"(?i:body|headers?(\[[^\[\]]+\])?)")
FLOW_VALUE = "Upstash-Flow-Control-Value"
LONGEST = 1e12
"""Seconds. What is longer would be no time that a file can hold."""
LONGEST_TEXT = 100
"""Characters of a duration or a date: to look through more for units could take minutes. Also those
of a value that a refusal shows."""


def read_message(
    destination: str,
    headers: Headers,
    body: bytes,
    *,
    now: float,
    queue: str | None = None,
    caller_ip: str | None = None,
) -> QueuedMessage:
    """Return the message that a publish with these headers creates. `now` is in seconds since the
    Unix epoch. Raises BadMessage."""
    headers = checked_headers(headers)
    given = {name.lower(): _joined(value) for name, value in headers.items()}
    forwarded: dict[str, list[str]] = {}
    if "content-type" in given:
        forwarded["Content-Type"] = [given["content-type"]]
    for name, value in headers.items():
        if name.lower().startswith("upstash-forward-"):
            values = forwarded.setdefault(name[len("upstash-forward-") :].title(), [])
            values += [value] if isinstance(value, str) else value
    if len(forwarded.get("Host", ())) > 1:
        raise BadMessage("invalid Upstash-Forward-Host: a request has one Host")
    forwarded.update(forwarded_of_run(given))
    return QueuedMessage(
        id=f"msg_{secrets.token_urlsafe(20)}",
        url=http_url(destination, "destination"),
        method=_method(given.get("upstash-method", "POST")),
        headers=forwarded,
        body=body,
        created_at=int(now * 1000),
        not_before=int(_not_before(given, now) * 1000),
        retries=_whole(given.get("upstash-retries"), "Upstash-Retries", DEFAULT_RETRIES),
        retry_delay=_retry_delay(given.get("upstash-retry-delay")),
        timeout=_duration_of(given, "Upstash-Timeout"),
        callback=_url_in(given, "Upstash-Callback"),
        callback_headers=_callback_headers(headers, "upstash-callback-"),
        failure_callback=_url_in(given, "Upstash-Failure-Callback"),
        failure_callback_headers=_callback_headers(headers, "upstash-failure-callback-"),
        queue=None if queue is None else checked_name(queue, "queue name"),
        flow=_flow_control(given),
        labels=_labels(_text(given.get("upstash-label", ""))),
        caller_ip=caller_ip,
        deduplication=_deduplication(given, destination, forwarded, body),
        redacted=_redacted_fields(given.get("upstash-redact-fields", "")),
    )


def duration(text: str, name: str = "duration") -> float:
    """Return the seconds in `10s`, `1m30s` or `500ms`. Raises BadMessage, with this name for it."""
    parts = _DURATION_PART.findall(text[:LONGEST_TEXT])
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise BadMessage(
            f"invalid {name}: {text[:LONGEST_TEXT]!r} is not a duration, such as 1m30s"
        )
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if seconds > LONGEST:
        raise BadMessage(f"invalid {name}: {text!r} is too long")
    return seconds


def _joined(value: str | Sequence[str]) -> str:
    """Several values as one (RFC 9110, section 5.3)."""
    return value if isinstance(value, str) else ", ".join(value)


def _text(value: str) -> str:
    """Return the text of a header, whose bytes were read as Latin-1, but which clients send as
    UTF-8. The JSON of a batch has it as it is."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def _redacted_fields(text: str) -> frozenset[str]:
    """Return `body`, `header` and `header[name]`. The documentation also writes `headers`. Raises
    BadMessage for others: a slip of the pen must not show a secret."""
    fields = [each.strip() for each in text.split(",") if each.strip()]
    for each in fields:
        if not _REDACTABLE.fullmatch(each):
            raise BadMessage(
                f"invalid Upstash-Redact-Fields: {each[:LONGEST_TEXT]!r} is none of body, headers,"
                " header[name]"
            )
    return frozenset(re.sub(r"^headers\b", "header", each.lower()) for each in fields)


def _labels(text: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(each.strip() for each in text.split(",") if each.strip()))


def http_url(url: str, name: str) -> str:
    """Return the URL. Raises BadMessage, with this name for it, if it is not one of HTTP."""
    if CONTROL.search(url) is not None:
        raise BadMessage(f"invalid {name}: {url[:LONGEST_TEXT]!r} has a control character")
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise BadMessage(
            f"invalid {name}: {url[:LONGEST_TEXT]!r} is not an http:// or https:// URL"
        )
    return url


def _url_in(given: Mapping[str, str], name: str) -> str | None:
    url = given.get(name.lower())
    return None if url is None else http_url(url, name)


def _method(method: str) -> str:
    if method.upper() not in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        raise BadMessage(f"invalid Upstash-Method: {method[:LONGEST_TEXT]!r}")
    return method.upper()


def _whole(text: str | None, name: str, default: int) -> int:
    if text is None:
        return default
    number = whole_number(text)
    if number is None:
        raise BadMessage(f"invalid {name}: {text[:LONGEST_TEXT]!r} is not a whole number")
    return number


def _duration_of(given: Mapping[str, str], name: str) -> float | None:
    text = given.get(name.lower())
    return None if text is None else duration(text, name)


def _not_before(given: Mapping[str, str], now: float) -> float:
    delay = _duration_of(given, "Upstash-Delay") or 0.0
    # The absolute time takes precedence, as QStash documents it.
    if "upstash-not-before" in given:
        return float(_whole(given["upstash-not-before"], "Upstash-Not-Before", 0))
    return now + delay


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
        name, _, value = part.partition("=")
        values[name.strip().lower()] = value.strip()
    parallelism, rate = (_limit(values, name) for name in ("parallelism", "rate"))
    if parallelism is None and rate is None:
        raise BadMessage(f"invalid {FLOW_VALUE}: it needs parallelism or rate")
    period = values.get("period", "1s")
    in_seconds = whole_number(period) is not None
    seconds = duration(f"{period}s" if in_seconds else period, f"period of {FLOW_VALUE}")
    if not 0 < seconds <= LONGEST_PERIOD:
        raise BadMessage(
            f"invalid period of {FLOW_VALUE}: {period!r} is not above 0 and at most 7 days"
        )
    return FlowControl(checked_key(_text(key)), parallelism, rate, seconds)


def _limit(values: Mapping[str, str], name: str) -> int | None:
    if name not in values:
        return None
    number = whole_number(values[name])
    if not number:
        raise BadMessage(
            f"invalid {name} of {FLOW_VALUE}: {values[name][:LONGEST_TEXT]!r} is not a whole number"
            " above 0"
        )
    return number


def _deduplication(
    given: Mapping[str, str], destination: str, forwarded: dict[str, list[str]], body: bytes
) -> str | None:
    by_content = given.get("upstash-content-based-deduplication", "false").lower()
    if by_content not in ("true", "false"):
        raise BadMessage("Upstash-Content-Based-Deduplication must be true or false")
    named = given.get("upstash-deduplication-id")
    if named is not None:
        if ":" in named:
            raise BadMessage("a deduplication id may not hold ':'")
        return f"id:{hashlib.sha256(named.encode()).hexdigest()}"
    if by_content == "false":
        return None
    content = hashlib.sha256()
    for part in (destination, repr(sorted(forwarded.items()))):
        content.update(part.encode() + b"\0")
    content.update(body)
    return f"content:{content.hexdigest()}"


def _callback_headers(headers: Headers, prefix: str) -> dict[str, str]:
    """Return the headers of the callback's own message. It must not have a callback of its own,
    which would contain the whole message again."""
    return {
        f"Upstash-{name[len(prefix) :]}": _joined(value)
        for name, value in headers.items()
        if name.lower().startswith(prefix)
        and not name.lower()[len(prefix) :].startswith(("callback", "failure-callback"))
    }
