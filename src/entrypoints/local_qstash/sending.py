"""One delivery: a signed request to the destination, and its response.

Source: QStash's documentation, howto/signature.
"""

import asyncio
import base64
import hashlib
import secrets
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from itertools import cycle
from typing import Any

import httpx
import jwt
import structlog

from entrypoints.local_qstash.delivery_response import DeliveryResponse, Reading, read_response
from entrypoints.local_qstash.message import QueuedMessage
from entrypoints.local_qstash.no_response import no_response
from entrypoints.local_qstash.sendable import may_be_forwarded

log = structlog.get_logger(__name__)

DEFAULT_TIMEOUT = 7_200.0
"""Seconds for one delivery; `Upstash-Timeout` can only shorten it."""
SIGNATURE_LIFE = 300
CLIENTS = 16
"""Deliveries take turns with so many clients. A client looks through all of its connections each
time that one is needed or returned: a single one took 9 ms for each of 300 that ended together."""
CONNECTING = 64
"""Deliveries that wait for a connection at the same time. More could fill the list from which a
busy destination takes its connections: then they and its other clients would time out."""

_NOTHING = httpx.ByteStream(b"")


def sign(key: str, url: str, body: bytes, now: int) -> str:
    """Return the JWT that signs one delivery."""
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


class Sender:
    def __init__(self, signing_key: str, address_of: Callable[[str], str]) -> None:
        """`address_of` returns where a message for a URL is delivered. The key may be replaced at
        any time."""
        self.signing_key = signing_key
        self._address_of = address_of
        context = httpx.create_ssl_context()
        self._clients = [
            httpx.AsyncClient(
                headers={"Accept-Encoding": "identity", "User-Agent": "Upstash-QStash"},
                timeout=httpx.Timeout(None, connect=5.0),
                limits=httpx.Limits(max_connections=None),
                verify=context,
            )
            for _ in range(CLIENTS)
        ]
        self._in_turn = cycle(self._clients)
        self._connecting = asyncio.Semaphore(CONNECTING)
        self._reading = Reading()

    async def aclose(self) -> None:
        for client in self._clients:
            await client.aclose()

    async def send(self, message: QueuedMessage) -> DeliveryResponse:
        """Deliver the message once. A destination that cannot be called is a response of status
        0."""
        limit = min(DEFAULT_TIMEOUT, message.timeout or DEFAULT_TIMEOUT)
        url = self._address_of(message.url)
        turn = AsyncExitStack()

        async def trace(event: str, _: Any) -> None:
            if event == "http11.send_request_headers.started":
                await turn.aclose()  # it has a connection

        try:
            async with turn:
                await turn.enter_async_context(self._connecting)
                async with (
                    asyncio.timeout(limit),
                    next(self._in_turn).stream(
                        message.method,
                        url,
                        content=message.body,
                        headers=self._headers(message, url),
                        extensions={"trace": trace},
                    ) as response,
                ):
                    read = await read_response(response, self._reading)
                response.stream = _NOTHING  # refers to the response: so both are freed, and `body`
                return read
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            log.warning("no response", message_id=message.id, error=type(error).__name__)
            return no_response(error, limit)
        except Exception as error:  # such as a header that no request can have
            log.exception("delivery failed unexpectedly", message_id=message.id)
            return no_response(error, limit)

    def _headers(self, message: QueuedMessage, url: str) -> list[tuple[bytes, bytes]]:
        forwarded = [
            (name, value)
            for name, values in message.headers.items()
            for value in values
            if may_be_forwarded(name)
        ]
        signature = sign(self.signing_key, url, message.body, int(time.time()))
        origin = {
            "Upstash-Caller-Ip": message.caller_ip,
            "Upstash-Schedule-Id": message.schedule_id,
            "Upstash-Topic-Name": message.url_group,
        }
        headers = [
            *forwarded,
            ("Upstash-Message-Id", message.id),
            ("Upstash-Retried", str(message.retried)),
            ("Upstash-Signature", signature),
            *((name, value) for name, value in origin.items() if value is not None),
        ]
        return [(_as_sent(name), _as_sent(value)) for name, value in headers]


def _as_sent(text: str) -> bytes:
    """Return the bytes of a part of a header. Those of a request were read as Latin-1; the JSON of
    a batch may have other characters."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()
