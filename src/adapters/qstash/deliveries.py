"""What QStash brings: whether it is from QStash, for us, and what it says.

`Upstash-Signature` is a JWT that covers the URL as it was published, some minutes, and the hash of
the raw body. All but the hash is judged before a byte of the body is read. The URL is the one we
gave, not the one that a proxy or a forger's Host header suggests.

The SDK's Receiver wants the body at once, and the machine's clock, so the same checks are made here
(tests/integration/test_signatures.py holds them to it).
"""

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import Any

import jwt
import msgspec

from adapters.qstash.clock import QueueClock
from adapters.qstash.keys import KeysUnknown, SigningKeys
from adapters.qstash.message import decode
from adapters.request_codec import UnknownVersion
from application.ports import Delivery

CLOCK_TOLERANCE = 5.0
"""Seconds by which a signature may be early or late: the precision to which QStash's clock is
known, and the jitter between its machines."""


class ForgedDelivery(Exception):
    """Raised for a request whose signature is missing, wrong, expired or for something else."""


class MalformedDelivery(Exception):
    """Raised for a request that is signed but not one of ours. Delivering it again cannot help."""


class UnreadableDelivery(Exception):
    """Raised for a message that another version of this service published. It has to be delivered
    again, after `retry_after` seconds, until it meets an instance that can read it."""

    retry_after = 30.0


@dataclass(frozen=True, slots=True)
class Signed:
    """A signature that holds. Its body is still to be read."""

    body_hash: str
    """SHA-256, base64url; with padding or without."""

    def check(self, body: bytes | bytearray) -> None:
        """Raise ForgedDelivery unless this is the body that was signed."""
        digest = base64.urlsafe_b64encode(hashlib.sha256(body).digest())
        given = self.body_hash.encode()
        if not hmac.compare_digest(given.rstrip(b"="), digest.rstrip(b"=")):
            raise ForgedDelivery("the body is another one")


class _FailureCallback(msgspec.Struct, rename="camel"):
    source_body: str
    source_message_id: str


_failure = msgspec.json.Decoder(_FailureCallback)


class DeliveryReader:
    def __init__(
        self, keys: SigningKeys, clock: QueueClock, webhook_url: str, failure_url: str
    ) -> None:
        self._keys = keys
        self._clock = clock
        self._webhook_url = webhook_url
        self._failure_url = failure_url

    async def signed_task(self, signature: str | None) -> Signed:
        """The signature of a delivery at the webhook. Raises ForgedDelivery or KeysUnknown."""
        return await self._signed(signature, self._webhook_url)

    async def signed_failure(self, signature: str | None) -> Signed:
        """The signature of a failure callback. Raises as `signed_task` does."""
        return await self._signed(signature, self._failure_url)

    def task(self, signed: Signed, body: bytes | bytearray) -> Delivery:
        """What is delivered. Raises ForgedDelivery for another body than the one that was signed,
        MalformedDelivery for one that is none of ours, UnreadableDelivery for one of another
        version of ours."""
        signed.check(body)
        return _delivery(body)

    def failure(self, signed: Signed, body: bytes | bytearray) -> tuple[Delivery, str]:
        """What was delivered in vain, and the message's id. Raises as `task` does."""
        signed.check(body)
        try:
            callback = _failure.decode(body)
            source = base64.b64decode(callback.source_body, validate=True)
        except (msgspec.DecodeError, binascii.Error, ValueError) as error:
            raise MalformedDelivery(f"not a failure callback: {error}") from error
        return _delivery(source), callback.source_message_id

    async def _signed(self, signature: str | None, url: str) -> Signed:
        if not signature:
            raise ForgedDelivery("the signature is missing")
        if not self._keys.known and not await self._keys.renew():
            raise KeysUnknown
        claims = self._claims(signature)
        if claims is None and await self._keys.renew():
            if not self._keys.known:
                raise KeysUnknown
            claims = self._claims(signature)
        if claims is None:
            raise ForgedDelivery("the signature is by no key of the queue's, or no token of its")
        if claims["sub"] != url:
            raise ForgedDelivery("the signature is for another address")
        if (fault := self._wrong_time(claims)) and await self._keys.ask():
            fault = self._wrong_time(claims)  # the queue's clock has been measured anew
        if fault:
            raise ForgedDelivery(fault)
        if not isinstance(claims.get("body"), str):
            raise ForgedDelivery("the signature is for no body")
        return Signed(claims["body"])

    def _claims(self, signature: str) -> dict[str, Any] | None:
        """None if no key of ours made this token, or if its form is not QStash's."""
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
        return None

    def _wrong_time(self, claims: dict[str, Any]) -> str | None:
        """What is wrong with the times of a token."""
        now = self._clock.now()
        try:
            begins = max(int(claims["nbf"]), int(claims.get("iat", 0)))
            ends = int(claims["exp"])
        except (TypeError, ValueError, OverflowError):
            return "the signature's times cannot be read"
        if begins > now + CLOCK_TOLERANCE:
            return f"the signature begins {begins - now:.0f} s from now"
        if ends <= now - CLOCK_TOLERANCE:
            return f"the signature ended {now - ends:.0f} s ago"
        return None


def _delivery(body: bytes | bytearray) -> Delivery:
    try:
        return decode(body)
    except UnknownVersion as error:
        raise UnreadableDelivery(str(error)) from error
    except ValueError as error:
        raise MalformedDelivery(str(error)) from error
