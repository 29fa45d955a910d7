"""`longtask doctor`: check the settings against the store, queue, address, model and receiver of
webhooks that they name.

Each check calls the real thing and says what to do about what it finds. Nothing is started or
changed, no secret is shown, and nothing is paid for but a few tokens with LONGTASK_PREFILL or
LONGTASK_OPENAI_API=responses.
"""

from adapters.qstash import QueueClock
from entrypoints.connections import qstash_queue, redis_connection, rest_connection
from entrypoints.doctor.findings import Finding
from entrypoints.doctor.prices import check_prices
from entrypoints.doctor.queue import check_queue
from entrypoints.doctor.service import check_access, check_address
from entrypoints.doctor.shares import check_shares
from entrypoints.doctor.store import check_store
from entrypoints.doctor.upstreams import check_models
from entrypoints.doctor.webhooks import check_receivers, check_webhooks
from entrypoints.host_names import local_url
from entrypoints.http.paths import WEBHOOK_PATH
from entrypoints.lifecycle import close_all
from entrypoints.settings import Settings

__all__ = ["Finding", "examine"]


async def examine(settings: Settings) -> list[Finding]:
    """Return what was found, the faults among it: a dependency that fails raises nothing."""
    service = settings.service
    base_url = service.base_url or local_url(service.host, service.port)
    clock = QueueClock()
    queue = qstash_queue(
        settings, settings.queue.credentials(), settings.queue.qstash_url, base_url, clock
    )
    connect = {"redis": redis_connection, "rest": rest_connection}.get(settings.store.kind)
    redis = None if connect is None else connect(settings)
    checks = (
        check_access(settings),
        check_store(settings, redis),
        check_queue(settings, queue, clock),
        check_shares(settings, queue),
        check_address(settings, queue, clock, base_url, WEBHOOK_PATH),
        check_models(settings.model),
        check_prices(settings),
        check_webhooks(settings),
        check_receivers(settings, base_url),
    )
    try:
        return [finding for check in checks async for finding in check]
    finally:
        await close_all([queue, redis])
