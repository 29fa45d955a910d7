"""Whether this process lives, whether it can serve, and its figures."""

import asyncio

import structlog
from litestar import Response, get

from adapters.prometheus import CONTENT_TYPE
from application.ports import (
    QueueRefused,
    QueueUnavailable,
    StoreUnavailable,
    TaskLog,
    TaskQueue,
)
from entrypoints.container import Parts
from entrypoints.http.bodies import HealthBody
from entrypoints.http.origins import ANY_HOST

log = structlog.get_logger(__name__)


@get("/healthz", opt={ANY_HOST: True}, tags=["operation"], summary="Whether the process lives")
async def healthz() -> HealthBody:
    return HealthBody("ok")


@get(
    "/readyz",
    opt={ANY_HOST: True},
    tags=["operation"],
    summary="Whether store and queue can be reached",
)
async def readyz(parts: Parts) -> Response[HealthBody]:
    store, queue = await asyncio.gather(_state(parts.tasks()), _state(parts.queue()))
    checks = {"store": store, "queue": queue}
    if parts.run_task().stopping:
        checks["process"] = "stopping"
    ready = set(checks.values()) == {"ok"}
    body = HealthBody("ready" if ready else "not ready", checks)
    return Response(body, status_code=200 if ready else 503)


async def _state(part: TaskLog | TaskQueue) -> str:
    try:
        await part.check()
    except StoreUnavailable as error:
        log.warning("not ready", error=str(error))
        return error.reason
    except QueueUnavailable as error:
        log.warning("not ready", error=str(error))
        return "unreachable"
    except QueueRefused as error:
        log.error("not ready", error=str(error))
        return "refused"
    return "ok"


@get("/metrics", tags=["operation"], summary="Figures for Prometheus", media_type=CONTENT_TYPE)
async def metrics_page(parts: Parts) -> bytes:
    return parts.metrics().exposition()
