"""Secrets and signatures of Standard Webhooks (https://www.standardwebhooks.com), version v1: an
HMAC with SHA-256 of `id.timestamp.body`, as the webhooks of OpenAI have it too.

The official library signs with one secret and takes a naive time; what there is to it stands in
five lines here, and the tests have the official libraries verify it.
"""

import base64
import binascii
import hmac
import secrets as random
from collections.abc import Sequence

from application.ports import WebhookMessage, WebhookSecret

_PREFIX = "whsec_"
"""Lets a scanner for leaked secrets find them."""
SHORTEST, LONGEST = 24, 64
"""Bytes of a secret, as the specification bounds them."""


class MalformedSecret(ValueError):
    """Raised with what is wrong with the text of a secret, without repeating any of it."""


def new_secret() -> str:
    """Make a secret and return its text, `whsec_` and base64."""
    return secret_text(WebhookSecret(random.token_bytes(32)))


def secret_text(secret: WebhookSecret) -> str:
    """The text that `parse_secret` reads as this secret."""
    return _PREFIX + base64.b64encode(secret.key).decode()


def parse_secret(text: str) -> WebhookSecret:
    """Read `whsec_` and base64, with or without the padding at its end. Raises MalformedSecret."""
    encoded = text.removeprefix(_PREFIX)
    if encoded == text:
        raise MalformedSecret(f"must begin with {_PREFIX}")
    encoded = encoded.rstrip("=")
    try:
        key = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise MalformedSecret(f"must be base64 after {_PREFIX}") from None
    if not SHORTEST <= len(key) <= LONGEST:
        raise MalformedSecret(f"must hold {SHORTEST} to {LONGEST} bytes in base64")
    return WebhookSecret(key)


def signed_headers(message: WebhookMessage, secrets: Sequence[WebhookSecret]) -> dict[str, str]:
    """The headers by which a receiver verifies a message: a signature for each secret, so that it
    verifies with any of them while one replaces another."""
    signed = f"{message.id}.{message.timestamp}.".encode() + message.body
    digests = [hmac.digest(secret.key, signed, "sha256") for secret in secrets]
    return {
        "webhook-id": message.id,
        "webhook-timestamp": str(message.timestamp),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(each).decode()}" for each in digests),
    }
