"""Whether this process lives, whether it can serve, and its figures."""

from litestar import Response, get

from adapters.prometheus import CONTENT_TYPE
from entrypoints.http.bodies import HealthBody
from entrypoints.http.origins import ANY_HOST
from entrypoints.http.parts import Parts


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
    checks = await parts.readiness.checks()
    if parts.use_cases.run_task.stopping:
        checks["process"] = "stopping"
    ready = set(checks.values()) == {"ok"}
    checks |= parts.readiness.warnings()
    body = HealthBody("ready" if ready else "not ready", checks)
    return Response(body, status_code=200 if ready else 503)


@get("/metrics", tags=["operation"], summary="Figures for Prometheus", media_type=CONTENT_TYPE)
async def metrics_page(parts: Parts) -> bytes:
    return parts.metrics.exposition()
