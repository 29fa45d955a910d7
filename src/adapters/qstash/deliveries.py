"""Verify that a delivery is from QStash and for this service, and decode it.

`Upstash-Signature` is a JWT that covers the URL as it was published, some minutes, and the hash of
the raw body. All but the hash is checked before a byte of the body is read. The URL is the one that
this service published, not the one that a proxy or a forger's Host header suggests.

The SDK's Receiver needs the body at once, and uses the machine's clock. Its checks are made here
instead, and tests/integration/test_signatures.py compares them with the Receiver's.
"""

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

import jwt
import msgspec

from adapters.qstash.clock import QueueClock
from adapters.qstash.keys import KeysUnknown, SigningKeys
from adapters.qstash.message import OlderMessages, decode
from adapters.request_codec import UnknownVersion
from application.ports import Announcement, Delivery, Guard

CLOCK_TOLERANCE = 5.0
"""Seconds by which a signature may be early or late: the precision to which QStash's clock is
known, and the jitter between its machines."""
ADDRESS_LIMIT = 200
"""Characters of another URL that are told."""
_COUNT = re.compile(r"[0-9]{1,4}")


Fault: TypeAlias = Literal["signature", "url", "body", "expiry", "clock"]


class ForgedDelivery(Exception):
    """Raised for a request whose signature is missing, invalid, expired or for another request.
    `wrong` says which of them it is."""

    def __init__(self, wrong: Fault, reason: str) -> None:
        super().__init__(reason)
        self.wrong: Fault = wrong


class MalformedDelivery(Exception):
    """Raised for a signed request that holds no task of this service. A retry cannot help."""


class UnreadableDelivery(Exception):
    """Raised for a message that another version of this service published. It has to be delivered
    again, after `retry_after` seconds, until it meets an instance that can read it."""

    retry_after = 30.0


@dataclass(frozen=True, slots=True)
class Signed:
    """A valid signature, whose body has not been read yet."""

    body_hash: str
    """SHA-256 in base64url, with or without padding."""

    def check(self, body: bytes | bytearray) -> None:
        """Raise ForgedDelivery unless this is the body that was signed."""
        digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest())
        given = self.body_hash.encode()
        if not hmac.compare_digest(given.rstrip(b"="), digest.rstrip(b"=")):
            raise ForgedDelivery("body", "the body is not the one that was signed")


class _FailureCallback(msgspec.Struct, rename="camel"):
    source_body: str
    source_message_id: str


_failure = msgspec.json.Decoder(_FailureCallback)


class DeliveryVerifier:
    def __init__(
        self,
        keys: SigningKeys,
        clock: QueueClock,
        webhook_url: str,
        failure_url: str,
        older: OlderMessages | None = None,
    ) -> None:
        """`older`: how messages of the older system are run; they are refused without it."""
        self._older = older
        self._keys = keys
        self._clock = clock
        self.webhook_url = webhook_url
        self.failure_url = failure_url

    async def signed_task(self, signature: str | None) -> Signed:
        """Verify the signature of a delivery at the webhook. Raises ForgedDelivery or
        KeysUnknown."""
        return await self._signed(signature, self.webhook_url)

    async def signed_failure(self, signature: str | None) -> Signed:
        """Verify the signature of a failure callback. Raises as `signed_task` does."""
        return await self._signed(signature, self.failure_url)

    def task(
        self, signed: Signed, body: bytes | bytearray, retried: str | None = None
    ) -> Delivery | Guard | Announcement:
        """Decode a delivery. `retried`: its header Upstash-Retried. It is not signed, so no more
        depends on it than what is told of the next attempt. Raises ForgedDelivery if this is not
        the body that was signed, MalformedDelivery if it holds no task of this service, and
        UnreadableDelivery if another version of this service published it."""
        signed.check(body)
        count = int(retried) if retried and _COUNT.fullmatch(retried) else None
        return _delivery(body, self._clock.now(), self._older, count)

    def failure(
        self, signed: Signed, body: bytes | bytearray
    ) -> tuple[Delivery | Guard | Announcement, str]:
        """Decode a failure callback: the delivery that failed, and the id of its message. Raises as
        `task` does."""
        signed.check(body)
        try:
            callback = _failure.decode(body)
            source = base64.b64decode(callback.source_body, validate=True)
        except (msgspec.DecodeError, binascii.Error, ValueError, RecursionError) as error:
            raise MalformedDelivery(f"not a failure callback: {error}") from error
        return _delivery(source, self._clock.now(), self._older), callback.source_message_id

    async def _signed(self, signature: str | None, url: str) -> Signed:
        if not signature:
            raise ForgedDelivery("signature", "the header Upstash-Signature is missing")
        if not self._keys.known and not await self._keys.renew():
            raise KeysUnknown
        try:
            claims = self._claims(signature)
        except ForgedDelivery:
            if not await self._keys.renew():
                raise
            if not self._keys.known:
                raise KeysUnknown from None
            claims = self._claims(signature)
        if claims["sub"] != url:
            raise ForgedDelivery(
                "url",
                f"the signature is for {_address(claims['sub'])}, and expected is {_address(url)}: "
                "is BASE_URL the URL that QStash was given?",
            )
        try:
            self._check_times(claims)
        except ForgedDelivery:
            if not await self._keys.ask():
                raise
            self._check_times(claims)  # the queue's clock has been measured again
        if not isinstance(claims.get("body"), str):
            raise ForgedDelivery("body", "the signature is for no body")
        return Signed(claims["body"])

    def _claims(self, signature: str) -> dict[str, Any]:
        """Raises ForgedDelivery for a token that none of the keys has signed, or that is not of
        QStash's form."""
        for key in self._keys.known:
            try:
                return jwt.decode(
                    signature,
                    key,
                    algorithms=["HS256"],
                    issuer="Upstash",
                    options={
                        "require": ["iss", "sub", "exp", "nbf"],
                        # By the queue's clock, below.
                        "verify_exp": False,
                        "verify_nbf": False,
                        "verify_iat": False,
                    },
                )
            except Exception:  # noqa: S112  (a forger chooses what PyJWT stumbles over)
                continue
        raise ForgedDelivery(
            "signature", "no key of the queue has signed this, or it is not of QStash's form"
        )

    def _check_times(self, claims: dict[str, Any]) -> None:
        """Raise ForgedDelivery unless the token is valid now, by the queue's clock."""
        now = self._clock.now()
        try:
            begins = max(int(claims["nbf"]), int(claims.get("iat", 0)))
            ends = int(claims["exp"])
        except (TypeError, ValueError, OverflowError):
            raise ForgedDelivery("signature", "the signature's times cannot be read") from None
        if begins > now + CLOCK_TOLERANCE:
            raise ForgedDelivery(
                "clock",
                f"the signature begins {begins - now:.0f} s from now: is the clock slow?",
            )
        if ends <= now - CLOCK_TOLERANCE:
            raise ForgedDelivery(
                "expiry",
                f"the signature ended {now - ends:.0f} s ago: the delivery was held up or "
                "repeated, or the clock is fast",
            )


def sign(key: str, url: str, body: bytes, now: int) -> str:
    """Sign a delivery as QStash does, to find out whether a service accepts it."""
    claims = {
        "iss": "Upstash",
        "sub": url,
        "nbf": now,
        "exp": now + 60,
        "body": base64.urlsafe_b64encode(hashlib.sha256(body).digest()).decode(),
    }
    return jwt.encode(claims, key, algorithm="HS256")


def _address(url: object) -> str:
    """A signed URL as a log may show it: without what may be secret in it."""
    try:
        parts = urlsplit(str(url))
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"[:ADDRESS_LIMIT]
    except ValueError:
        return "no URL"


def _delivery(
    body: bytes | bytearray,
    now: float,
    older: OlderMessages | None,
    retried: int | None = None,
) -> Delivery | Guard | Announcement:
    try:
        return decode(body, int(now * 1000), older, retried)
    except UnknownVersion as error:
        raise UnreadableDelivery(str(error)) from error
    except ValueError as error:
        raise MalformedDelivery(str(error)) from error
