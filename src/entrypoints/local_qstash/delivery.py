"""Delivering messages: slots, signatures, retries, callbacks and dead letters.

Each message has one asyncio task from its publish to its end. Sources of the rules: QStash's
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
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from email.utils import parsedate_to_datetime

import httpx
import jwt
import structlog

from adapters.database import Database
from adapters.qstash.retry_delay import MAX_DELAY
from entrypoints.local_qstash.bounds import (
    DEAD_AGE,
    HELD_BYTES,
    MESSAGE_LIMIT,
    REMEMBERED,
    size_of,
)
from entrypoints.local_qstash.dead_letters import DeadLetters
from entrypoints.local_qstash.delivery_response import DeliveryResponse, read_response
from entrypoints.local_qstash.message import (
    FlowControl,
    QueuedMessage,
    duration,
    read_message,
)
from entrypoints.local_qstash.refusals import BadMessage, MessageTooLarge, QueueFull, Refused
from entrypoints.local_qstash.slots import Slots

log = structlog.get_logger(__name__)

DEFAULT_TIMEOUT = 7_200.0
"""Seconds for one delivery; `Upstash-Timeout` can only shorten it."""
DEDUPLICATION_WINDOW = 600.0
SIGNATURE_LIFE = 300
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
    day (beyond it, the back-off), else the message's own expression, else the back-off."""
    for name in _RETRY_HEADERS:
        for value in response.headers.get(name, []):
            asked = _asked_pause(value, now)
            if asked is not None:
                return asked if asked <= MAX_DELAY else backoff(message.retried + 1)
    if message.retry_delay is not None:
        return message.retry_delay.seconds(message.retried)
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
    """Return the JWT that signs one delivery (howto/signature)."""
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


class Deliveries:
    """The messages that are not yet delivered, and the dead letters."""

    def __init__(
        self,
        signing_key: str,
        message_limit: int = MESSAGE_LIMIT,
        database: Database | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """`message_limit`: bytes of a message's body. Must be called while an event loop runs."""
        self._signing_key = signing_key
        self._message_limit = message_limit
        self._client = httpx.AsyncClient(
            headers={"Accept-Encoding": "identity"},
            timeout=httpx.Timeout(None, connect=5.0),
            limits=httpx.Limits(max_connections=None),
        )
        self._messages: dict[str, QueuedMessage] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._in_flight: set[str] = set()
        self._recent: OrderedDict[str, tuple[float, str]] = OrderedDict()
        self._slots = Slots()
        self._held = 0
        self.dead_letters = DeadLetters()
        self._sweeping = asyncio.create_task(self._sweep())

    async def aclose(self) -> None:
        self._sweeping.cancel()
        for task in list(self._tasks.values()):
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        await self._client.aclose()

    def publish(self, message: QueuedMessage, bounded: bool = True) -> tuple[str, bool]:
        """Accept a message. Returns its id and False, or the id of an earlier message and True if
        this one is a duplicate. Raises MessageTooLarge or QueueFull if it is `bounded` and its body
        is too long or there is no room for it."""
        if bounded and len(message.body) > self._message_limit:
            raise MessageTooLarge
        name, now, size = message.deduplication, time.monotonic(), size_of(message)
        self._forget_old(now)
        if name is not None and (recent := self._recent.get(name)) is not None:
            return recent[1], True
        if bounded and self._held + size > HELD_BYTES:
            raise QueueFull
        if name is not None:
            self._recent[name] = (now + DEDUPLICATION_WINDOW, message.id)
        self._messages[message.id] = message
        self._held += size
        task = asyncio.create_task(self._carry(message))
        self._tasks[message.id] = task
        task.add_done_callback(lambda _: self._ended(message.id, size))
        return message.id, False

    def _ended(self, message_id: str, size: int) -> None:
        self._messages.pop(message_id, None)
        self._tasks.pop(message_id, None)
        self._held -= size

    def message(self, message_id: str) -> QueuedMessage | None:
        return self._messages.get(message_id)

    def cancel(self, message_ids: Iterable[str] | None) -> int:
        """Cancel these messages (None: all); return how many of them there were. A delivery in
        progress is completed, but not retried."""
        wanted = list(self._messages) if message_ids is None else list(message_ids)
        cancelled = [each for each in wanted if self._messages.pop(each, None) is not None]
        for message_id in cancelled:
            if message_id not in self._in_flight:
                self._tasks[message_id].cancel()
        return len(cancelled)

    async def _carry(self, message: QueuedMessage) -> None:
        """Carry one message from its publish to its end."""
        try:
            await asyncio.sleep(max(0.0, message.not_before / 1000 - time.time()))
            if message.queue is None:
                await self._attempts(message)
            else:
                # A queue delivers in order: the next message also waits for this one's retries.
                async with self._slots.hold(f"queue:{message.queue}", 1):
                    await self._attempts(message)
        except Exception:
            log.exception("delivery failed unexpectedly", message_id=message.id)

    async def _attempts(self, message: QueuedMessage) -> None:
        while message.id in self._messages:
            response = await self._attempt(message)
            self._publish_callback(message, response, message.callback, message.callback_headers)
            if response.delivered:
                return
            if message.id not in self._messages:
                return  # cancelled during the delivery
            if response.final or message.retried >= message.retries:
                self._add_dead_letter(message, response)
                return
            pause = pause_before_retry(message, response, time.time())
            message.retried += 1
            message.not_before = int((time.time() + pause) * 1000)
            await asyncio.sleep(pause)

    async def _attempt(self, message: QueuedMessage) -> DeliveryResponse:
        if message.flow is None:
            return await self._send(message)
        flow: FlowControl = message.flow
        name = f"flow:{flow.key}"
        async with self._slots.hold(name, flow.parallelism, flow.rate, flow.period):
            return await self._send(message)

    async def _send(self, message: QueuedMessage) -> DeliveryResponse:
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
            async with (
                asyncio.timeout(limit),
                self._client.stream(
                    message.method, message.url, content=message.body, headers=headers
                ) as response,
            ):
                return await read_response(response)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            log.warning("no response", message_id=message.id, error=type(error).__name__)
            return DeliveryResponse(0, {}, f"no response: {type(error).__name__}".encode())
        finally:
            self._in_flight.discard(message.id)

    def _add_dead_letter(self, message: QueuedMessage, response: DeliveryResponse) -> None:
        letter = self.dead_letters.add(message, response)
        log.warning("message given up", message_id=message.id, status=response.status)
        headers = message.failure_callback_headers
        self._publish_callback(
            message, response, message.failure_callback, headers, dlqId=letter.id
        )

    def _publish_callback(
        self,
        message: QueuedMessage,
        response: DeliveryResponse,
        url: str | None,
        headers: Mapping[str, str],
        **more: str,
    ) -> None:
        """Publish a callback, as a message of its own. It has the retries of its source unless its
        headers say otherwise."""
        if url is None:
            return
        body = {
            "status": response.status,
            "header": dict(response.headers),
            "body": base64.b64encode(response.body).decode(),
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
            inherited["Upstash-Retry-Delay"] = str(message.retry_delay)
        try:
            callback = read_message(
                url, {**inherited, **headers}, json.dumps(body).encode(), now=time.time()
            )
            # A failure callback replaces its message, so it is never refused.
            self.publish(callback, bounded="dlqId" not in more)
        except Refused as error:
            log.error("callback not published", message_id=message.id, error=str(error))

    async def _sweep(self) -> None:
        """Drop what is old although nothing new arrives."""
        while True:
            await asyncio.sleep(DEAD_AGE / 24)
            self.dead_letters.drop_old()
            self._forget_old(time.monotonic())

    def _forget_old(self, now: float) -> None:
        # They expire in the order of insertion, since all have the same window.
        while self._recent:
            oldest = next(iter(self._recent))
            if self._recent[oldest][0] > now and len(self._recent) < REMEMBERED:
                return
            del self._recent[oldest]
