"""Whether this process is alive, whether it can serve, and its metrics."""

import msgspec
from litestar import Response, get

from adapters.prometheus import CONTENT_TYPE
from entrypoints.http.origins import ANY_HOST
from entrypoints.http.parts import Parts


class HealthBody(msgspec.Struct):
    status: str
    checks: dict[str, str] = {}


@get(
    "/healthz",
    opt={ANY_HOST: True},
    tags=["operation"],
    operation_id="getHealth",
    summary="Whether the process is alive",
)
async def healthz() -> HealthBody:
    return HealthBody("ok")


@get(
    "/readyz",
    opt={ANY_HOST: True},
    tags=["operation"],
    operation_id="getReadiness",
    summary="Whether store and queue can be reached",
)
async def readyz(parts: Parts) -> Response[HealthBody]:
    checks = await parts.readiness.checks()
    if parts.use_cases.run_task.stopping:
        checks["process"] = "stopping"
    ready = set(checks.values()) == {"ok"}
    checks |= parts.readiness.warnings()
    body = HealthBody("ready" if ready else "not ready", checks)
    return Response(body, status_code=200 if ready else 503)


@get(
    "/metrics",
    tags=["operation"],
    operation_id="getMetrics",
    summary="Metrics for Prometheus",
    media_type=CONTENT_TYPE,
)
async def metrics_page(parts: Parts) -> bytes:
    return parts.metrics.exposition()
