"""What the settings choose, by name: the keys of the container's table."""

from typing import Literal

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
    """Whether the tasks that have not ended are limited, for any account."""
    limits = settings.access.limits, settings.access.address_limits
    return "unlimited" if all(each.running is None for each in limits) else "limited"
