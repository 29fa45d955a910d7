"""What QStash brings: whether it is from QStash, for us, and what it says.

The signature covers the URL as it was published, and the raw body. The URL is the one we gave, not
the one a proxy or a forger's Host header suggests. Nothing of a body is read before its signature
holds.
"""

import asyncio
import base64
import binascii
import time

import jwt
import msgspec
from qstash import Receiver
from qstash.errors import SignatureError

from adapters.qstash.message import decode
from application.ports import Delivery

CLOCK_TOLERANCE = 5.0
"""Seconds by which QStash's clock may be ahead of ours. A signature that is not valid yet is waited
for: the SDK's own tolerance has no effect (3.4.0 hands it to PyJWT as an option that PyJWT does not
know), and each new delivery would be as early as the one before."""


class ForgedDelivery(Exception):
    """Raised for a request whose signature is missing, wrong, expired or for something else."""


class MalformedDelivery(Exception):
    """Raised for a request that is signed but not one of ours. Delivering it again cannot help."""


class _FailureCallback(msgspec.Struct, rename="camel"):
    source_body: str
    source_message_id: str


_failure = msgspec.json.Decoder(_FailureCallback)


class DeliveryReader:
    def __init__(self, current_key: str, next_key: str, webhook_url: str, failure_url: str) -> None:
        self._receiver = Receiver(current_key, next_key)
        self._webhook_url = webhook_url
        self._failure_url = failure_url

    async def task(self, signature: str | None, body: bytes) -> Delivery:
        """A delivery at the webhook. Raises ForgedDelivery or MalformedDelivery."""
        await self._verify(signature, body, self._webhook_url)
        return _delivery(body)

    async def failure(self, signature: str | None, body: bytes) -> tuple[Delivery, str]:
        """A failure callback: what was delivered in vain, and the message's id. Raises as `task`
        does."""
        await self._verify(signature, body, self._failure_url)
        try:
            callback = _failure.decode(body)
            source = base64.b64decode(callback.source_body, validate=True)
        except (msgspec.DecodeError, binascii.Error, UnicodeDecodeError) as error:
            raise MalformedDelivery(f"not a failure callback: {error}") from error
        return _delivery(source), callback.source_message_id

    async def _verify(self, signature: str | None, body: bytes, url: str) -> None:
        if not signature:
            raise ForgedDelivery("the signature is missing")
        await asyncio.sleep(_seconds_early(signature))
        try:
            self._receiver.verify(signature=signature, body=body.decode(), url=url)
        except UnicodeDecodeError:
            raise ForgedDelivery("the body is not text") from None
        except SignatureError as error:
            raise ForgedDelivery(str(error)) from error
        except Exception as error:  # a claim of another type than the SDK expects
            raise ForgedDelivery(f"unreadable claims: {type(error).__name__}") from error


def _seconds_early(signature: str) -> float:
    """How long until the signature is valid, if that is within the tolerance. Nothing is verified
    here: all that a forger gains is a wait."""
    try:
        claims = jwt.decode(signature, options={"verify_signature": False})
        early = max(float(claims["nbf"]), float(claims.get("iat", 0))) - time.time()
    except (jwt.PyJWTError, KeyError, TypeError, ValueError):
        return 0.0
    return early if 0 < early <= CLOCK_TOLERANCE else 0.0


def _delivery(body: bytes) -> Delivery:
    try:
        message = decode(body)
    except ValueError as error:
        raise MalformedDelivery(str(error)) from error
    return Delivery(
        message.task_id,
        message.task_request(),
        message.created_at,
        max_attempts=message.max_retries + 1,
        owner=message.owner,
    )
