"""WebhookSender over HTTP: which addresses may be called, how a message is signed, and the call."""

from adapters.webhooks.resolver import LookUp
from adapters.webhooks.sender import HttpWebhookSender
from adapters.webhooks.signing import (
    MalformedSecret,
    new_secret,
    parse_secret,
    secret_text,
    signed_headers,
)

__all__ = [
    "HttpWebhookSender",
    "LookUp",
    "MalformedSecret",
    "new_secret",
    "parse_secret",
    "secret_text",
    "signed_headers",
]
