"""QStash's HTTP API, v2, for the accounts of a local QStash. Other paths get 404."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import structlog
from litestar import Litestar, Request, Response, Router
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp

from entrypoints.local_qstash.account import Account, AccountSettings
from entrypoints.local_qstash.accounts import Accounts, Later, bearer_of
from entrypoints.local_qstash.bounds import BODY_LIMIT
from entrypoints.local_qstash.middleware import (
    DestinationInQuery,
    NamesInPath,
    OwnHosts,
    TokenInQuery,
    decode_names,
)
from entrypoints.local_qstash.refusals import Refused
from entrypoints.local_qstash.routes.dead_letters import DeadLetters
from entrypoints.local_qstash.routes.flow_control import FlowControlRoutes
from entrypoints.local_qstash.routes.keys import Keys
from entrypoints.local_qstash.routes.logs import Logs
from entrypoints.local_qstash.routes.messages import Messages
from entrypoints.local_qstash.routes.page import PageContent, page_handlers
from entrypoints.local_qstash.routes.publishing import Publishing
from entrypoints.local_qstash.routes.queues import QueueRoutes
from entrypoints.local_qstash.routes.schedules import ScheduleRoutes
from entrypoints.local_qstash.routes.url_groups import UrlGroupRoutes
from entrypoints.local_qstash.routes.workflows import WorkflowRoutes

log = structlog.get_logger(__name__)


def create_app(
    accounts: Sequence[AccountSettings],
    accepts_host: Callable[[str | None], bool],
    later: Later | None = None,
    users: Mapping[str, str] | None = None,
) -> ASGIApp:
    """A QStash with these accounts, each known by its token. `accepts_host` is given the Host
    header of each request (None if there is not exactly one) and returns whether to accept it.
    `later`: accounts that are opened once they are used. `users`: names and tokens that are
    public. If they are given, there is a page at the root, which shows what these accounts hold."""
    opened: list[Accounts] = []

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with aclosing(Accounts(accounts, later or {})) as all_accounts:
            opened.append(all_accounts)
            yield
            opened.clear()

    async def require_token(request: Request[Any, Any, Any]) -> None:
        account = opened[0].of(bearer_of(request.headers.get("authorization", "")))
        if account is None:
            raise HTTPException("unauthorized", status_code=401)
        request.state.account = account
        decode_names(request)

    def account_of(request: Request[Any, Any, Any]) -> Account:
        account: Account = request.state.account
        return account

    routes = [
        Publishing,
        Messages,
        DeadLetters,
        Logs,
        QueueRoutes,
        FlowControlRoutes,
        UrlGroupRoutes,
        ScheduleRoutes,
        WorkflowRoutes,
        Keys,
    ]
    api = Router(
        "/",
        route_handlers=[*routes, *([] if users is None else [PageContent])],
        dependencies={"account": Provide(account_of, sync_to_thread=False)},
        before_request=require_token,
    )
    app = Litestar(
        route_handlers=[api, *([] if users is None else page_handlers(users))],
        lifespan=[lifespan],
        exception_handlers={HTTPException: _error, Refused: _refused, Exception: _failed},
        request_max_body_size=BODY_LIMIT,
        openapi_config=None,
        logging_config=None,
    )
    return OwnHosts(TokenInQuery(DestinationInQuery(NamesInPath(app))), accepts_host)


def _error(_: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, str]]:
    return Response({"error": error.detail}, status_code=error.status_code)


def _refused(_: Request[Any, Any, Any], error: Refused) -> Response[dict[str, str]]:
    return Response({"error": str(error)}, status_code=error.status)


def _failed(_: Request[Any, Any, Any], error: Exception) -> Response[dict[str, str]]:
    log.error("request failed", exc_info=error)
    return Response({"error": "the server failed unexpectedly; its log says why"}, status_code=500)
