"""Upstash QStash, through its official SDK: publishing to it, and checking what it delivers."""

from adapters.qstash.clock import OFF, QueueClock
from adapters.qstash.credentials import (
    DEVELOPMENT,
    DEVELOPMENT_USERS,
    QueueCredentials,
    is_development_key,
    is_development_token,
)
from adapters.qstash.deliveries import (
    DeliveryVerifier,
    ForgedDelivery,
    MalformedDelivery,
    UnreadableDelivery,
    sign,
)
from adapters.qstash.keys import KeysUnknown, SigningKeys
from adapters.qstash.message import MESSAGE_LIMIT, OlderMessages
from adapters.qstash.queue import QStashQueue
from adapters.qstash.retry_delay import MalformedRetryDelay, RetryDelay

__all__ = [
    "DEVELOPMENT",
    "DEVELOPMENT_USERS",
    "MESSAGE_LIMIT",
    "OFF",
    "DeliveryVerifier",
    "ForgedDelivery",
    "KeysUnknown",
    "MalformedDelivery",
    "MalformedRetryDelay",
    "OlderMessages",
    "QStashQueue",
    "QueueClock",
    "QueueCredentials",
    "RetryDelay",
    "SigningKeys",
    "UnreadableDelivery",
    "is_development_key",
    "is_development_token",
    "sign",
]
