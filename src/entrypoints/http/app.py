"""The Litestar application: routes, use cases from the container, errors, the API description."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from litestar import Litestar
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.static_files import create_static_files_router
from litestar.types import ASGIApp
from openapi_ui_bundles.swagger_ui import static_path

from entrypoints import __version__
from entrypoints.container import Container, close_connections
from entrypoints.http.event_stream import Frames
from entrypoints.http.health import healthz, metrics_page, readyz
from entrypoints.http.metrics import Metrics
from entrypoints.http.page import page_handlers
from entrypoints.http.problems import problem_details_plugin
from entrypoints.http.qstash import qstash_router
from entrypoints.http.request_log import RequestLog
from entrypoints.http.tasks import TaskController

ASSETS_PATH = "/schema-assets"


def create_app(container: Container) -> ASGIApp:
    settings = container.settings()
    return RequestLog(
        Litestar(
            route_handlers=[
                TaskController,
                qstash_router(settings.development),
                healthz,
                readyz,
                metrics_page,
                *page_handlers(),
                create_static_files_router(
                    ASSETS_PATH, [Path(static_path)], include_in_schema=False
                ),
            ],
            dependencies=_dependencies(container, settings.default_model),
            plugins=[problem_details_plugin()],
            openapi_config=_openapi(),
            lifespan=[_connections(container)],
            logging_config=None,
        )
    )


def _dependencies(container: Container, default_model: str) -> dict[str, Provide]:
    frames, metrics = Frames(), Metrics()
    sources: dict[str, Callable[[], Any]] = {
        "start_task": container.start_task,
        "get_task": container.get_task,
        "follow_task": container.follow_task,
        "cancel_task": container.cancel_task,
        "run_task": container.run_task,
        "settle_undelivered": container.settle_undelivered,
        "deliveries": container.deliveries,
        "tasks": container.tasks,
        "queue": container.queue,
        "clock": container.clock,
        "ids": container.ids,
        "default_model": lambda: default_model,
        "frames": lambda: frames,
        "metrics": lambda: metrics,
    }
    return {name: _provide(source) for name, source in sources.items()}


def _provide(source: Callable[[], Any]) -> Provide:
    def give() -> Any:
        return source()

    return Provide(give, sync_to_thread=False)


def _connections(container: Container) -> Callable[[Litestar], Any]:
    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await close_connections(container)

    return lifespan


def _openapi() -> OpenAPIConfig:
    return OpenAPIConfig(
        title="Longtask",
        version=__version__,
        description="Long LLM tasks behind a queue, followed live over Server-Sent Events.",
        path="/schema",
        render_plugins=[
            SwaggerRenderPlugin(
                js_url=f"{ASSETS_PATH}/swagger-ui-bundle.js",
                css_url=f"{ASSETS_PATH}/swagger-ui.css",
                favicon=f'<link rel="icon" href="{ASSETS_PATH}/favicon-32x32.png">',
                standalone_preset_js_url=f"{ASSETS_PATH}/swagger-ui-standalone-preset.js",
            )
        ],
    )
