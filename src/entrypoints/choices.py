"""What the settings choose: the keys of the container's table, and what follows from several of
them."""

from typing import Literal

from application.ports import ORPHAN_TIMEOUT
from domain.request import RequestBounds
from entrypoints.descriptors import max_connections
from entrypoints.http.start_bodies import LARGEST, ROOM
from entrypoints.settings import Settings


def store_of(settings: Settings) -> Literal["memory", "redis", "rest"]:
    """Where tasks are kept."""
    if settings.store.redis_url is not None:
        return "redis"
    return "memory" if settings.store.in_memory else "rest"


def queue_of(settings: Settings) -> Literal["local", "qstash"]:
    """Which QStash delivers the tasks: the one within the service, or Upstash's."""
    return "local" if settings.queue.embedded else "qstash"


def model_of(settings: Settings) -> Literal["demo", "openai"]:
    """Which model answers. "openai" is any server that speaks its protocol."""
    return "demo" if settings.model.demo else "openai"


def traces_of(settings: Settings) -> Literal["off", "otlp"]:
    return "off" if settings.observability.otlp_endpoint is None else "otlp"


def slots_of(settings: Settings) -> Literal["unlimited", "limited"]:
    """Whether any account has a limit of running tasks."""
    limits = settings.access.limits, settings.access.address_limits
    return "unlimited" if all(each.running is None for each in limits) else "limited"


def orphan_timeout(settings: Settings) -> float:
    """Seconds without a heartbeat after which no delivery can come any more."""
    if settings.tasks.orphan_timeout is not None:
        return settings.tasks.orphan_timeout
    delay, retries = settings.queue.qstash_retry_delay, settings.queue.qstash_retries
    pauses = sum(delay.seconds(retried) for retried in range(retries))
    return ORPHAN_TIMEOUT + pauses + (retries + 1) * (settings.queue.delivery_timeout or 0.0)


def start_room(settings: Settings) -> int:
    """Bytes of the requests that are read, checked and queued at once."""
    return max(ROOM, LARGEST * settings.tasks.max_request_bytes)


def request_bounds(settings: Settings) -> RequestBounds:
    """What requests may have."""
    return RequestBounds(
        max_bytes=settings.tasks.max_request_bytes,
        refused_options=settings.model.refused_options,
        http_media=settings.model.allow_http_media,
        max_ttl=settings.tasks.max_ttl,
    )


def held_streams(settings: Settings) -> int:
    """How many ended streams one process holds open: the setting, but at most a quarter of its
    connections, so that enough are left for live ones."""
    return min(settings.http.max_held_streams, max_connections(settings) // 4)
