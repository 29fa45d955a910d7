"""What the settings choose: the keys of the container's table, and what follows from several of
them."""

from typing import Literal

from application.attempt import AttemptBounds
from application.ports import ORPHAN_TIMEOUT
from application.reap import QUEUEING_LIMIT
from application.webhooks import WebhookRules
from domain.flow_control import NO_SHARES
from domain.request import RequestBounds
from entrypoints.descriptors import max_connections
from entrypoints.http.origins import Origins
from entrypoints.http.request_defaults import RequestDefaults
from entrypoints.http.start_bodies import LARGEST, ROOM
from entrypoints.settings import Settings
from entrypoints.valid_keys import ValidKeys


def queue_of(settings: Settings) -> Literal["local", "qstash"]:
    """Which QStash delivers the tasks: the one within the service, or Upstash's."""
    return "local" if settings.queue.embedded else "qstash"


def traces_of(settings: Settings) -> Literal["off", "otlp"]:
    return "off" if settings.observability.otlp_endpoint is None else "otlp"


def slots_of(settings: Settings) -> Literal["unlimited", "limited"]:
    """Whether any account has a limit of running tasks."""
    access = settings.access
    limits = access.limits, access.address_limits, *access.limits_of_owners.values()
    return "unlimited" if all(each.running is None for each in limits) else "limited"


def orphan_timeout(settings: Settings) -> float:
    """Seconds without a heartbeat after which no delivery can come any more."""
    if settings.tasks.orphan_timeout is not None:
        return settings.tasks.orphan_timeout
    delay, retries = settings.queue.qstash_retry_delay, settings.queue.qstash_retries
    pauses = sum(delay.seconds(retried) for retried in range(retries))
    if settings.queue.embedded and not (settings.store.shared and settings.data_file is None):
        # The queue loses nothing that the store keeps, and tasks wait in it for their turn.
        pauses += QUEUEING_LIMIT
    elif settings.access.shares != NO_SHARES:
        pauses += QUEUEING_LIMIT  # what is more than a share waits in the queue, without a sign
    return ORPHAN_TIMEOUT + pauses + (retries + 1) * (settings.queue.delivery_timeout or 0.0)


def queue_holds_shares(settings: Settings) -> bool:
    """Whether all instances have one queue. Inside the service each has one of its own."""
    return not (settings.queue.embedded and settings.store.shared)


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
        max_delay=settings.tasks.max_delay,
        http_webhooks=settings.webhooks.private_webhooks,
        prefill=settings.model.continues_by_prefill,
        hosted_tools=settings.model.keeps_answers,
    )


def webhook_rules(settings: Settings) -> WebhookRules:
    return WebhookRules(settings.webhooks.webhook_secrets, settings.webhooks.webhook_url)


def request_defaults(settings: Settings) -> RequestDefaults:
    """What requests are given that do not name it."""
    return RequestDefaults(
        model=settings.model.default_model,
        max_tokens=settings.model.default_max_tokens,
        temperature=settings.model.default_temperature,
    )


def attempt_bounds(settings: Settings) -> AttemptBounds:
    """What attempts may take."""
    return AttemptBounds(
        lease=settings.tasks.lease,
        read_timeout=settings.model.model_read_timeout,
        attempt_timeout=settings.tasks.attempt_timeout,
        max_output_chars=settings.tasks.max_output_chars,
        grace=settings.service.grace,
    )


def valid_keys(settings: Settings) -> ValidKeys:
    """The API keys, as the settings were read."""
    access = settings.access
    return ValidKeys(access.api_keys, access.api_keys_file, plain_allowed=settings.development)


def origins(settings: Settings) -> Origins:
    """Which pages of browsers may call."""
    hosts = None if settings.access.requires_keys else settings.host_names
    return Origins(
        hosts=hosts, base_url=settings.service.base_url, allowed=settings.access.named_origins
    )


def held_streams(settings: Settings) -> int:
    """How many ended streams one process holds open: the setting, but at most a quarter of its
    connections, so that enough are left for live ones."""
    return min(settings.http.max_held_streams, max_connections(settings) // 4)


def max_watchers(settings: Settings) -> int:
    """How many watches of an owner's tasks one process holds open: at most a quarter of its
    connections, so that enough are left for the streams of tasks."""
    return min(settings.http.max_streams, max(1, max_connections(settings) // 4))
