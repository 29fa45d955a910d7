"""How long a message waits: QStash's back-off, what a destination asks for, and a wait by the wall
clock.

Source of the rules: QStash's documentation, features/retry.
"""

import asyncio
import contextlib
import math
import time
from email.utils import parsedate_to_datetime

from adapters.qstash.retry_delay import MAX_DELAY, MalformedRetryDelay
from entrypoints.local_qstash.delivery_response import DeliveryResponse
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.publish_headers import LONGEST_TEXT, duration
from entrypoints.local_qstash.refusals import BadMessage

LOOK = 30.0
"""Seconds after which a wait looks at the wall clock again: that may have been set, and while a
machine sleeps, the clock of the event loop stands still."""
_RETRY_HEADERS = (
    "retry-after",
    "x-ratelimit-reset",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
)


def backoff(retry: int) -> float:
    """Return the seconds before retry number `retry`, counted from 1: min(86400, e^(2.5 n))."""
    return MAX_DELAY if retry > 4 else min(MAX_DELAY, math.exp(2.5 * retry))


def pause_before_retry(message: QueuedMessage, response: DeliveryResponse, now: float) -> float:
    """Return the seconds until the next delivery: what the destination asks for if that is within a
    day (beyond it, the back-off), else the message's own expression if it has a value for this
    retry, else the back-off."""
    for name in _RETRY_HEADERS:
        for value in response.headers.get(name, []):
            asked = _asked_pause(value, now)
            if asked is not None:
                return asked if asked <= MAX_DELAY else backoff(message.retried + 1)
    if message.retry_delay is not None:
        with contextlib.suppress(MalformedRetryDelay):
            return message.retry_delay.seconds(message.retried)
    return backoff(message.retried + 1)


def again_at(message: QueuedMessage, response: DeliveryResponse) -> int:
    """Return when to deliver a message again, in milliseconds since the Unix epoch."""
    now = time.time()
    return int((now + pause_before_retry(message, response, now)) * 1000)


async def until(not_before: int) -> None:
    """Wait until that many milliseconds since the Unix epoch, but no longer than it seems now: a
    wall clock that is set back delays no message."""
    left = not_before / 1000 - time.time()
    latest = time.monotonic() + left
    while left > 0:
        await asyncio.sleep(min(left, LOOK))
        left = min(not_before / 1000 - time.time(), latest - time.monotonic())


def _asked_pause(value: str, now: float) -> float | None:
    if len(value) > LONGEST_TEXT:
        return None
    with contextlib.suppress(ValueError):
        seconds = float(value)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    with contextlib.suppress(BadMessage):
        return duration(value)
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    return None
