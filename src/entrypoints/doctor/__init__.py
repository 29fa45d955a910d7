"""`longtask doctor`: check the settings against the store, queue, address and model that they name.

Each check calls the real thing and says what to do about what it finds. Nothing is started, changed
or paid for, and no secret is shown.
"""

from typing import cast

from adapters.qstash import QStashQueue
from entrypoints.container import WEBHOOK_PATH, Container, close_connections
from entrypoints.doctor.findings import Finding
from entrypoints.doctor.model import check_model
from entrypoints.doctor.queue import check_queue
from entrypoints.doctor.service import check_access, check_address
from entrypoints.doctor.store import check_store
from entrypoints.settings import Settings

__all__ = ["Finding", "examine"]


async def examine(settings: Settings) -> list[Finding]:
    """Return what was found, the faults among it: a dependency that fails raises nothing."""
    service = settings.service
    base_url = service.base_url or f"http://{service.host}:{service.port}"
    container = Container(
        settings=settings,
        base_url=base_url,
        qstash_url=settings.queue.qstash_url,
        queue_credentials=settings.queue.credentials(),
    )
    checks = (
        check_access(settings),
        check_store(container.redis(), container.tasks()),
        check_queue(
            settings,
            cast(QStashQueue, container.queue()),  # or its traced wrapper
            container.queue_clock(),
        ),
        check_address(settings, base_url, WEBHOOK_PATH),
        check_model(settings.model),
    )
    try:
        return [finding for check in checks async for finding in check]
    finally:
        await close_connections(container)
