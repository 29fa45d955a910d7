"""QStash's HTTP API, v2, for the accounts of a local QStash. Other paths get 404."""

import hmac
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from litestar import Litestar, Request, Response, get
from litestar.di import NamedDependency, Provide
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp

from entrypoints.local_qstash.account import Account, AccountSettings
from entrypoints.local_qstash.bounds import BODY_LIMIT
from entrypoints.local_qstash.middleware import DestinationInQuery, OwnHosts
from entrypoints.local_qstash.refusals import Refused
from entrypoints.local_qstash.routes.dead_letters import DeadLetters
from entrypoints.local_qstash.routes.logs import Logs
from entrypoints.local_qstash.routes.messages import Messages
from entrypoints.local_qstash.routes.publishing import Publishing
from entrypoints.local_qstash.routes.url_groups import UrlGroupRoutes
from entrypoints.local_qstash.routes.workflows import WorkflowRoutes


def create_app(
    accounts: Sequence[AccountSettings], accepts_host: Callable[[str | None], bool]
) -> ASGIApp:
    """A QStash with these accounts, each known by its token. `accepts_host` is given the Host
    header of each request (None if there is not exactly one) and returns whether to accept it."""
    opened: list[Account] = []

    @asynccontextmanager
    async def lifespan(_: Litestar) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for each in accounts:
                account = Account(each)
                stack.push_async_callback(account.aclose)
                account.resume()
                opened.append(account)
            yield
            opened.clear()

    async def require_token(request: Request[Any, Any, Any]) -> None:
        given = request.headers.get("authorization", "").encode()
        for account in opened:
            if hmac.compare_digest(given, f"Bearer {account.token}".encode()):
                request.state.account = account
                return
        raise HTTPException("unauthorized", status_code=401)

    def account_of(request: Request[Any, Any, Any]) -> Account:
        account: Account = request.state.account
        return account

    app = Litestar(
        route_handlers=[
            Publishing,
            Messages,
            DeadLetters,
            Logs,
            UrlGroupRoutes,
            WorkflowRoutes,
            keys,
        ],
        dependencies={"account": Provide(account_of, sync_to_thread=False)},
        before_request=require_token,
        lifespan=[lifespan],
        exception_handlers={HTTPException: _error, Refused: _refused},
        request_max_body_size=BODY_LIMIT,
        openapi_config=None,
        logging_config=None,
    )
    return OwnHosts(DestinationInQuery(app), accepts_host)


@get("/v2/keys")
async def keys(account: NamedDependency[Account]) -> dict[str, str]:
    return {"current": account.current_key, "next": account.next_key}


def _error(_: Request[Any, Any, Any], error: HTTPException) -> Response[dict[str, str]]:
    return Response({"error": error.detail}, status_code=error.status_code)


def _refused(_: Request[Any, Any, Any], error: Refused) -> Response[dict[str, str]]:
    return Response({"error": str(error)}, status_code=error.status)
