"""The Litestar application: routes, use cases from the container, errors, the API description."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from litestar import Litestar, Router
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ASGIApp
from openapi_ui_bundles.swagger_ui import static_path

from application.admission import STREAM_TTL
from application.cancellation import end_tasks
from entrypoints import __version__
from entrypoints.container import Container, close_connections
from entrypoints.http.bodies import describe_bounds
from entrypoints.http.health import healthz, metrics_page, readyz
from entrypoints.http.page import page_handlers, static_files
from entrypoints.http.problems import problem_details_plugin
from entrypoints.http.qstash import qstash_router
from entrypoints.http.request_log import RequestLog
from entrypoints.http.tasks import TaskController

LAG_PAUSE = 0.25
"""Seconds between two looks at how late the event loop is."""
ASSETS_PATH = "/schema-assets"


def create_app(container: Container) -> ASGIApp:
    settings, access = container.settings(), container.access()
    app = Litestar(
        route_handlers=[
            Router("/", route_handlers=[TaskController], guards=[access.guard]),
            qstash_router(settings.development, access),
            healthz,
            readyz,
            metrics_page,
            *page_handlers(),
            static_files(ASSETS_PATH, Path(static_path)),
        ],
        guards=[container.origins().guard],
        state=State({"start_bodies": container.start_bodies()}),
        dependencies={"parts": Provide(lambda: container, sync_to_thread=False)},
        plugins=[problem_details_plugin(container.metrics())],
        openapi_config=_openapi(),
        cors_config=_cors(list(settings.access.cors_origins)),
        lifespan=[_connections(container), _side_work(container)],
        logging_config=None,
        debug=False,
    )
    describe_bounds(app.openapi_schema.components.schemas or {})
    return RequestLog(app, container.tracing())


def _connections(container: Container) -> Callable[[Litestar], Any]:
    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        container.run_task()  # loads the model's client: not while the first task waits for it
        try:
            yield
        finally:
            await close_connections(container)

    return lifespan


def _side_work(container: Container) -> Callable[[Litestar], Any]:
    async def hold_places() -> None:
        while True:
            await asyncio.sleep(STREAM_TTL / 3)
            await container.admission().keep_streams()

    async def measure_lag() -> None:
        clock, lag = asyncio.get_running_loop().time, container.metrics().event_loop_lag_seconds
        while True:
            due = clock() + LAG_PAUSE
            await asyncio.sleep(LAG_PAUSE)
            lag.observe(clock() - due)

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        work = (hold_places, measure_lag, container.signing_keys().learn)
        working = [asyncio.create_task(each()) for each in work]
        try:
            yield
        finally:
            await end_tasks(working)

    return lifespan


def _cors(origins: list[str]) -> CORSConfig | None:
    if not origins:
        return None
    return CORSConfig(
        allow_origins=origins,
        allow_methods=["GET", "POST"],
        allow_headers=["Authorization", "Content-Type", "Idempotency-Key", "Last-Event-ID"],
        expose_headers=["Location", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-Id"],
    )


def _openapi() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Longtask",
        version=__version__,
        description="Long LLM tasks behind a queue, followed live over Server-Sent Events.",
        path="/schema",
        components=Components(
            security_schemes={
                "key": SecurityScheme(
                    type="http", scheme="bearer", description="An API key, where they are needed."
                ),
                "link": SecurityScheme(
                    type="apiKey",
                    name="token",
                    security_scheme_in="query",
                    description="Comes with a task's streamUrl.",
                ),
            }
        ),
        render_plugins=[
            SwaggerRenderPlugin(
                js_url=f"{ASSETS_PATH}/swagger-ui-bundle.js",
                css_url=f"{ASSETS_PATH}/swagger-ui.css",
                favicon=f'<link rel="icon" href="{ASSETS_PATH}/favicon-32x32.png">',
                standalone_preset_js_url=f"{ASSETS_PATH}/swagger-ui-standalone-preset.js",
            )
        ],
    )
