"""The store on Redis: state that any instance can serve, and that survives each of them."""

from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from adapters.redis.event_feed import RedisEventFeed
from adapters.redis.task_log import RedisTaskLog

__all__ = ["RedisEventFeed", "RedisTaskLog", "open_client"]

CONNECT_TIMEOUT = 5.0
HEALTH_CHECK = 5
"""Seconds of idleness after which a connection is pinged: so long a dead one may go unnoticed."""


def open_client(url: str) -> Redis:
    """A client for redis://, rediss:// and unix:// URLs, that never sends a command twice by
    itself: an append carried out twice would repeat text. Nothing is connected yet."""
    over_network: dict[str, Any] = {} if url.startswith("unix://") else {"socket_keepalive": True}
    client: Redis = Redis.from_url(
        url,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=CONNECT_TIMEOUT,
        socket_timeout=CONNECT_TIMEOUT,
        health_check_interval=HEALTH_CHECK,
        **over_network,
    )
    return client
