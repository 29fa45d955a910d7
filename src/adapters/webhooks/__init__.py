"""WebhookSender over HTTP: which addresses may be called, how a message is signed, and the call."""

from adapters.webhooks.addresses import is_global
from adapters.webhooks.resolver import LookUp, look_up, look_up_in_thread
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
    "is_global",
    "look_up",
    "look_up_in_thread",
    "new_secret",
    "parse_secret",
    "secret_text",
    "signed_headers",
]
