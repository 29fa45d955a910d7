"""When and how messages are delivered: slots, signatures, retries, callbacks, the dead letters.

Each message is one asyncio task from its publish to its end. Sources of the rules: QStash's
documentation, features/retry, callbacks, dlq, deduplication, flowcontrol, queues; howto/signature.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import math
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import jwt
import structlog

from entrypoints.local_qstash.message import (
    MAX_DELAY,
    BadMessage,
    FlowControl,
    QueuedMessage,
    duration,
    evaluate_delay,
    read_message,
    text_or_base64,
)

log = structlog.get_logger(__name__)

DEFAULT_TIMEOUT = 7_200.0
"""Seconds for one delivery; `Upstash-Timeout` can only shorten it."""
DEDUPLICATION_WINDOW = 600.0
SIGNATURE_LIFE = 300
NON_RETRYABLE_STATUS = 489
_RETRY_HEADERS = (
    "retry-after",
    "x-ratelimit-reset",
    "x-ratelimit-reset-requests",
    "x-ratelimit-reset-tokens",
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back from one delivery. Status 0: nothing did."""

    status: int
    headers: Mapping[str, list[str]]
    body: bytes

    @property
    def delivered(self) -> bool:
        return 200 <= self.status < 300

    @property
    def final(self) -> bool:
        """Whether the destination forbids further retries."""
        marks = self.headers.get("upstash-nonretryable-error", [])
        return self.status == NON_RETRYABLE_STATUS and "true" in marks


@dataclass(frozen=True, slots=True)
class DeadLetter:
    id: str
    message: QueuedMessage
    outcome: Outcome
    at: int

    def as_json(self) -> dict[str, Any]:
        return {
            **self.message.as_json(),
            "dlqId": self.id,
            "responseStatus": self.outcome.status,
            "responseHeader": dict(self.outcome.headers),
            **text_or_base64("responseBody", self.outcome.body),
        }


def backoff(retry: int) -> float:
    """Seconds before retry number `retry`, from 1: min(86400, e^(2.5 n))."""
    return MAX_DELAY if retry > 4 else min(MAX_DELAY, math.exp(2.5 * retry))


def pause_before_retry(message: QueuedMessage, outcome: Outcome, now: float) -> float:
    """Seconds until the next delivery: what the destination asks for, if that is within a day;
    else the message's own expression; else the back-off."""
    for name in _RETRY_HEADERS:
        for value in outcome.headers.get(name, []):
            asked = _asked_pause(value, now)
            if asked is not None:
                return asked if asked <= MAX_DELAY else backoff(message.retried + 1)
    if message.retry_delay is not None:
        return evaluate_delay(message.retry_delay, message.retried)
    return backoff(message.retried + 1)


def _asked_pause(value: str, now: float) -> float | None:
    with contextlib.suppress(ValueError):
        seconds = float(value)
        return max(0.0, seconds) if math.isfinite(seconds) else None
    with contextlib.suppress(BadMessage):
        return duration(value)
    with contextlib.suppress(ValueError, TypeError):
        return max(0.0, parsedate_to_datetime(value).timestamp() - now)
    return None


def sign(key: str, url: str, body: bytes, now: int) -> str:
    """The JWT that vouches for one delivery (howto/signature)."""
    claims = {
        "iss": "Upstash",
        "sub": url,
        "iat": now,
        "nbf": now,
        "exp": now + SIGNATURE_LIFE,
        "jti": f"jwt_{secrets.token_urlsafe(16)}",
        "body": base64.urlsafe_b64encode(hashlib.sha256(body).digest()).decode(),
    }
    return jwt.encode(claims, key, algorithm="HS256")


class _Slots:
    """At most `limit` holders at once, in order of arrival; a newer message may change the limit.
    A rate, where there is one, bounds how many may begin within one period."""

    def __init__(self) -> None:
        self._limit: int | None = None
        self._held = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._period_began = 0.0
        self._begun = 0

    @asynccontextmanager
    async def hold(self, limit: int | None, rate: int | None, period: float) -> AsyncIterator[None]:
        self._limit = limit
        self._admit()
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._admit()
        try:
            await turn
            if rate is not None:
                await self._keep_rate(rate, period)
            yield
        finally:
            if turn.done() and not turn.cancelled():
                self._held -= 1
            else:
                with contextlib.suppress(ValueError):
                    self._waiting.remove(turn)
            self._admit()

    def _admit(self) -> None:
        while self._waiting and (self._limit is None or self._held < self._limit):
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                self._held += 1

    async def _keep_rate(self, rate: int, period: float) -> None:
        while True:
            now = time.monotonic()
            if now - self._period_began >= period:
                self._period_began, self._begun = now, 0
            if self._begun < rate:
                self._begun += 1
                return
            await asyncio.sleep(self._period_began + period - now)


class Deliveries:
    """All messages that are held, and the dead letters."""

    def __init__(self, signing_key: str) -> None:
        self._signing_key = signing_key
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(None, connect=5.0), limits=httpx.Limits(max_connections=None)
        )
        self._messages: dict[str, QueuedMessage] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._in_flight: set[str] = set()
        self._recent: dict[str, tuple[float, str]] = {}
        self._slots: dict[str, _Slots] = {}
        self._dead: dict[str, DeadLetter] = {}

    async def aclose(self) -> None:
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._client.aclose()

    def publish(self, message: QueuedMessage) -> tuple[str, bool]:
        """Take a message; answer its id, and whether an earlier one stands for it."""
        if message.deduplication is not None:
            now = time.monotonic()
            self._forget_old(now)
            recent = self._recent.get(message.deduplication)
            if recent is not None:
                return recent[1], True
            self._recent[message.deduplication] = (now + DEDUPLICATION_WINDOW, message.id)
        self._messages[message.id] = message
        task = asyncio.create_task(self._carry(message))
        self._tasks[message.id] = task
        task.add_done_callback(lambda _: self._tasks.pop(message.id, None))
        return message.id, False

    def message(self, message_id: str) -> QueuedMessage | None:
        return self._messages.get(message_id)

    def cancel(self, message_ids: Iterable[str] | None) -> int:
        """Deliver these no more (None: all); answer how many there were. A delivery on its way
        runs to its end, without a retry."""
        wanted = list(self._messages) if message_ids is None else list(message_ids)
        cancelled = [each for each in wanted if self._messages.pop(each, None) is not None]
        for message_id in cancelled:
            if message_id not in self._in_flight:
                self._tasks[message_id].cancel()
        return len(cancelled)

    def dead_letters(self) -> list[DeadLetter]:
        """Newest first."""
        return sorted(self._dead.values(), key=lambda each: each.at, reverse=True)

    def dead_letter(self, dlq_id: str) -> DeadLetter | None:
        return self._dead.get(dlq_id)

    def delete_dead_letters(self, dlq_ids: Iterable[str]) -> int:
        return sum(self._dead.pop(each, None) is not None for each in dlq_ids)

    async def _carry(self, message: QueuedMessage) -> None:
        """One message from its publish to its end."""
        await asyncio.sleep(max(0.0, message.not_before / 1000 - time.time()))
        try:
            if message.queue is None:
                await self._attempts(message)
            else:
                # A queue is in order: the next waits for this one's retries too.
                async with self._slot(f"queue:{message.queue}").hold(1, None, 1.0):
                    await self._attempts(message)
        except asyncio.CancelledError:
            raise
        except Exception:
            log.exception("delivery broke", message_id=message.id)
        finally:
            self._messages.pop(message.id, None)

    async def _attempts(self, message: QueuedMessage) -> None:
        while message.id in self._messages:
            outcome = await self._attempt(message)
            self._tell(message, outcome, message.callback, message.callback_headers)
            if outcome.delivered:
                return
            if message.id not in self._messages:
                return  # cancelled on its way
            if outcome.final or message.retried >= message.retries:
                self._bury(message, outcome)
                return
            pause = pause_before_retry(message, outcome, time.time())
            message.retried += 1
            message.not_before = int((time.time() + pause) * 1000)
            await asyncio.sleep(pause)

    async def _attempt(self, message: QueuedMessage) -> Outcome:
        if message.flow is None:
            return await self._send(message)
        flow: FlowControl = message.flow
        slots = self._slot(f"flow:{flow.key}")
        async with slots.hold(flow.parallelism, flow.rate, flow.period):
            return await self._send(message)

    async def _send(self, message: QueuedMessage) -> Outcome:
        headers = [(name, value) for name, values in message.headers.items() for value in values]
        headers += [
            ("Upstash-Message-Id", message.id),
            ("Upstash-Retried", str(message.retried)),
            (
                "Upstash-Signature",
                sign(self._signing_key, message.url, message.body, int(time.time())),
            ),
        ]
        limit = min(DEFAULT_TIMEOUT, message.timeout or DEFAULT_TIMEOUT)
        self._in_flight.add(message.id)
        try:
            async with asyncio.timeout(limit):
                response = await self._client.request(
                    message.method, message.url, content=message.body, headers=headers
                )
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            log.warning("no answer", message_id=message.id, error=type(error).__name__)
            return Outcome(0, {}, f"no answer: {type(error).__name__}".encode())
        finally:
            self._in_flight.discard(message.id)
        received: dict[str, list[str]] = {}
        for name, value in response.headers.multi_items():
            received.setdefault(name, []).append(value)
        return Outcome(response.status_code, received, response.content)

    def _bury(self, message: QueuedMessage, outcome: Outcome) -> None:
        letter = DeadLetter(
            f"{int(time.time() * 1000)}-{secrets.token_hex(4)}",
            message,
            outcome,
            int(time.time() * 1000),
        )
        self._dead[letter.id] = letter
        log.warning("message failed", message_id=message.id, status=outcome.status)
        headers = message.failure_callback_headers
        self._tell(message, outcome, message.failure_callback, headers, dlqId=letter.id)

    def _tell(
        self,
        message: QueuedMessage,
        outcome: Outcome,
        url: str | None,
        headers: Mapping[str, str],
        **more: str,
    ) -> None:
        """Publish a callback: a message of its own, with the retries of its source unless its
        headers say otherwise."""
        if url is None:
            return
        body = {
            "status": outcome.status,
            "header": dict(outcome.headers),
            "body": base64.b64encode(outcome.body).decode(),
            "retried": message.retried,
            "maxRetries": message.retries,
            "sourceMessageId": message.id,
            "url": message.url,
            "method": message.method,
            "sourceHeader": message.headers,
            "sourceBody": base64.b64encode(message.body).decode(),
            "notBefore": message.not_before,
            "createdAt": message.created_at,
            "callerIP": message.caller_ip or "",
            **more,
        }
        inherited = {"Upstash-Retries": str(message.retries), "Content-Type": "application/json"}
        if message.retry_delay is not None:
            inherited["Upstash-Retry-Delay"] = message.retry_delay
        try:
            callback = read_message(
                url, {**inherited, **headers}, json.dumps(body).encode(), now=time.time()
            )
        except BadMessage as error:
            log.error("callback not published", message_id=message.id, error=str(error))
            return
        self.publish(callback)

    def _slot(self, name: str) -> _Slots:
        return self._slots.setdefault(name, _Slots())

    def _forget_old(self, now: float) -> None:
        # Insertion order is the order of expiry, since the window is the same for all.
        while self._recent:
            oldest = next(iter(self._recent))
            if self._recent[oldest][0] > now:
                return
            del self._recent[oldest]
