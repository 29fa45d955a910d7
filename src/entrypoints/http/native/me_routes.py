"""GET /api/me: who the service takes the caller for.

A client checks an API key with it before it keeps the key: the call starts nothing, and needs no
task."""

from typing import Any

import msgspec
from litestar import Controller, Request, get
from litestar.openapi.datastructures import ResponseSpec

from application.accounts import Caller
from entrypoints.http.parts import Parts
from entrypoints.http.paths import ME_PATH
from entrypoints.http.problems import documented


class LimitBody(msgspec.Struct):
    name: str
    """As in the RateLimit headers, such as `starts-per-key`."""
    limit: int


class ShareBody(msgspec.Struct):
    """At least one of `parallelism` and `rate` is set."""

    parallelism: int | None
    """How many of the caller's tasks run at the same time."""
    rate: int | None
    """How many begin within one period."""
    period: int
    """Seconds."""


class MeBody(msgspec.Struct):
    owner: str | None
    """The name of the API key. Null: the service needs no key, and all callers are one owner."""
    limits: list[LimitBody]
    """Those that the caller's key and its network address have. None: there is no limit."""
    share: ShareBody | None
    """What is more waits in the queue. Null: nothing is held back."""


class MeController(Controller):
    path = ME_PATH
    tags = ("tasks",)
    security = ({"key": []},)

    @get(
        "/",
        operation_id="getMe",
        summary="The caller: the owner of its API key, and its limits",
        responses={
            200: ResponseSpec(MeBody, description="The caller.", generate_examples=False),
            **documented(401),
        },
    )
    async def me(self, request: Request[Caller, Any, Any], parts: Parts) -> MeBody:
        accounts = parts.use_cases.quotas.accounts_of(request.user)
        limits = [LimitBody(*each) for account in accounts for each in account.policies()]
        share = parts.shares.of(request.user.owner)
        held = None if share is None else ShareBody(share.parallelism, share.rate, share.period)
        return MeBody(request.user.owner, limits, held)
