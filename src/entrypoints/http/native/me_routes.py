"""GET /api/me: who the service takes the caller for.

A client checks an API key with it before it keeps the key: the call starts nothing, and needs no
task."""

from math import ceil
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
    left: int | None = None
    """What is left of this day's tokens. Null: the limit is of something else, and the RateLimit
    headers of a start tell."""
    reset: int | None = None
    """Seconds until the next day of UTC begins. Null where `left` is."""


class ShareBody(msgspec.Struct):
    """At least one of `parallelism` and `rate` is set."""

    parallelism: int | None
    """How many of the caller's tasks run at the same time."""
    running: int | None
    """How many run now, over all instances. As many as `parallelism`: what is pending waits for one
    of them to end. Null where `parallelism` is."""
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
        summary="The caller: the owner of its API key, its limits, and what is left of them",
        responses={
            200: ResponseSpec(MeBody, description="The caller.", generate_examples=False),
            **documented(401, 503),
        },
    )
    async def me(self, request: Request[Caller, Any, Any], parts: Parts) -> MeBody:
        caller, quotas = request.user, parts.use_cases.quotas
        tokens = {each.policy: each for each in await quotas.tokens_left(caller)}
        limits = []
        for account in quotas.accounts_of(caller):
            for policy, limit in account.policies():
                left = tokens.get(policy)
                of_today = (left.left, ceil(left.reset)) if left is not None else (None, None)
                limits.append(LimitBody(policy, limit, *of_today))
        share, running = parts.shares.of(caller.owner), await parts.shares.running(caller.owner)
        if share is None:
            return MeBody(caller.owner, limits, None)
        held = ShareBody(share.parallelism, running, share.rate, share.period)
        return MeBody(caller.owner, limits, held)
