"""The Litestar application: routes, the parts that they work with, errors, the API description."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from litestar import Litestar, Router
from litestar.connection import ASGIConnection
from litestar.datastructures import State
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import SwaggerRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme, Server
from litestar.types import ASGIApp
from openapi_ui_bundles.swagger_ui import static_path

from entrypoints import __version__
from entrypoints.http.access import NEEDS_KEY
from entrypoints.http.ai_sdk.routes import UiChatController
from entrypoints.http.cors import ReadableByAll, named_origins
from entrypoints.http.faults import problem_details_plugin
from entrypoints.http.head_requests import HeadRequests
from entrypoints.http.health import healthz, metrics_page, readyz
from entrypoints.http.native.description import TAGS, describe
from entrypoints.http.native.list_routes import TaskListController
from entrypoints.http.native.me_routes import MeController
from entrypoints.http.native.routes import TaskController
from entrypoints.http.native.start_routes import StartController
from entrypoints.http.native.usage_routes import UsageController
from entrypoints.http.openai.chat_routes import ChatController
from entrypoints.http.openai.errors import PATH as OPENAI_PATH
from entrypoints.http.openai.models import ModelController
from entrypoints.http.openai.response_routes import ResponseController
from entrypoints.http.page import page_handlers
from entrypoints.http.parts import HttpParts
from entrypoints.http.qstash import qstash_router
from entrypoints.http.request_log import RequestLog
from entrypoints.http.request_spans import RequestSpans
from entrypoints.http.security_headers import SecurityHeaders
from entrypoints.http.static_files import static_files

ASSETS_PATH = "/schema-assets"


def create_app(
    parts: HttpParts, running: Callable[[], AbstractAsyncContextManager[None]]
) -> ASGIApp:
    """`running` is entered when the application starts, and left when it stops."""

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with running():
            yield

    async def admit(
        connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler
    ) -> None:
        # One guard for both: for each, Litestar copies the handler.
        parts.origins.check(connection, handler)
        if handler.opt.get(NEEDS_KEY):
            parts.access.identify(connection, handler)

    app = Litestar(
        route_handlers=[
            Router(
                "/",
                route_handlers=[
                    StartController,
                    TaskListController,
                    TaskController,
                    MeController,
                    UsageController,
                    UiChatController,
                ],
                opt={NEEDS_KEY: True},
                request_max_body_size=parts.request_bounds.max_bytes,
            ),
            Router(
                OPENAI_PATH,
                route_handlers=[ResponseController, ChatController, ModelController],
                opt={NEEDS_KEY: True},
                request_max_body_size=parts.request_bounds.max_bytes,
            ),
            qstash_router(parts.development),
            healthz,
            readyz,
            metrics_page,
            *page_handlers(parts.prefix),
            static_files(ASSETS_PATH, Path(static_path)),
        ],
        guards=[admit],
        state=State({"start_bodies": parts.start_bodies, "request_bounds": parts.request_bounds}),
        dependencies={"parts": Provide(lambda: parts, sync_to_thread=False)},
        plugins=[problem_details_plugin(parts.request_counts)],
        openapi_config=_openapi(parts.prefix),
        cors_config=named_origins(parts.cors_origins),
        lifespan=[lifespan],
        logging_config=None,
        debug=False,
    )
    describe(app.openapi_schema, parts.request_bounds)
    readable: ASGIApp = ReadableByAll(app) if parts.readable_by_all else app
    secured = SecurityHeaders(HeadRequests(readable))
    logged = RequestLog(secured, parts.request_counts.responded)
    return logged if parts.tracing is None else RequestSpans(logged, parts.tracing)


def _openapi(prefix: str) -> OpenAPIConfig:
    assets = prefix + ASSETS_PATH
    return OpenAPIConfig(
        title="Longtask",
        version=__version__,
        description="Long LLM tasks behind a queue, followed live over Server-Sent Events.",
        path="/schema",
        servers=[Server(prefix or "/")],
        tags=TAGS,
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
                js_url=f"{assets}/swagger-ui-bundle.js",
                css_url=f"{assets}/swagger-ui.css",
                favicon=f'<link rel="icon" href="{assets}/favicon-32x32.png">',
                standalone_preset_js_url=f"{assets}/swagger-ui-standalone-preset.js",
            )
        ],
    )
