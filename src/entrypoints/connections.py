"""Clients of the services that the settings name, a Redis and a QStash. Making one connects to
nothing yet."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from adapters.qstash import (
    DeliveryVerifier,
    OlderMessages,
    QStashQueue,
    QueueClock,
    QueueCredentials,
    SigningKeys,
    is_development_key,
)
from entrypoints.http.paths import FAILURE_PATH, WEBHOOK_PATH
from entrypoints.settings import Settings

if TYPE_CHECKING:
    from adapters.redis import Connection


def redis_connection(settings: Settings) -> "Connection":
    from adapters.redis import connect  # noqa: PLC0415  (a data file needs no redis-py)

    store = settings.store
    assert store.redis_url is not None  # noqa: S101  (the store is redis)
    return connect(
        store.redis_url,
        connections=store.redis_connections,
        connect_timeout=store.redis_connect_timeout,
        timeout=store.redis_timeout,
    )


def rest_connection(settings: Settings) -> "Connection":
    from adapters.redis import RestConnection  # noqa: PLC0415

    store = settings.store
    url, token = store.upstash_redis_rest_url, store.upstash_redis_rest_token
    assert url is not None  # noqa: S101  (the store is rest)
    assert token is not None  # noqa: S101  (the two go together)
    return RestConnection(
        url,
        token.get_secret_value(),
        connections=store.redis_connections,
        timeout=store.redis_timeout,
    )


def qstash_queue(
    settings: Settings,
    credentials: QueueCredentials,
    url: str,
    base_url: str,
    clock: QueueClock,
    forwarded: Callable[[], dict[str, str]] = dict,
) -> QStashQueue:
    """`url` is that of the QStash, `base_url` that under which it reaches this service."""
    return QStashQueue(
        token=credentials.token,
        url=url,
        webhook_url=base_url + WEBHOOK_PATH,
        failure_url=base_url + FAILURE_PATH,
        retries=settings.queue.qstash_retries,
        retry_delay=str(settings.queue.qstash_retry_delay),
        timeout=settings.queue.qstash_timeout,
        delivery_timeout=settings.queue.delivery_timeout,
        forwarded=forwarded,
        clock=clock,
        max_message_bytes=settings.queue.max_message_bytes,
        redact_bodies=settings.queue.qstash_redact_bodies,
        shares=settings.access.shares,
    )


def make_signing_keys(
    settings: Settings, credentials: QueueCredentials, queue: QStashQueue
) -> SigningKeys:
    """The keys of the settings, or else those that the queue names."""
    given = (credentials.current_key, credentials.next_key)
    refuses = settings.refuses_development_keys
    return SigningKeys(
        queue.signing_keys,
        given if any(given) else None,
        lambda key: refuses and is_development_key(key),
    )


def delivery_verifier(
    settings: Settings, base_url: str, keys: SigningKeys, clock: QueueClock
) -> DeliveryVerifier:
    """Where tasks have owners, only a setting can say who owns those of the older system."""
    owner = settings.queue.older_messages_owner
    refused = settings.access.requires_keys and owner is None
    return DeliveryVerifier(
        keys,
        clock,
        webhook_url=base_url + WEBHOOK_PATH,
        failure_url=base_url + FAILURE_PATH,
        older=None if refused else OlderMessages(owner, settings.model.default_model),
    )
