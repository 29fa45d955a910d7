"""/api/usage: what the caller has used, and for operators what all have."""

from typing import Any

import msgspec
from litestar import Controller, Request, Response, get
from litestar.openapi.datastructures import ResponseSpec
from msgspec import UNSET, UnsetType

from application.accounts import Caller
from application.get_usage import UsageRow, in_turns
from entrypoints.http.head_requests import headers_only, is_head
from entrypoints.http.native.usage_query import (
    DescribedUsageQuery,
    day_text,
    read_usage_query,
)
from entrypoints.http.origins import NAMES_REPEATED
from entrypoints.http.parts import REACHED_BY_NO_OTHER, Parts
from entrypoints.http.paths import USAGE_PATH
from entrypoints.http.problems import documented, problem


class UsedBody(msgspec.Struct, rename="camel", kw_only=True):
    """What was used. A row has those of `day`, `owner` and `model` that it is of."""

    day: str | UnsetType = UNSET
    """Of UTC."""
    owner: str | UnsetType | None = UNSET
    """The name of an API key. Null: it was used without one."""
    model: str | UnsetType = UNSET
    """The one that answered, or the one asked for where none did."""
    tasks: int
    """Those that have ended."""
    input_tokens: int
    cached_tokens: int
    """Of the input tokens, those that the model's server had in its cache."""
    output_tokens: int
    reasoning_tokens: int
    """Of the output tokens, those that the model spent on reasoning."""
    total_tokens: int
    cost: float | UnsetType = UNSET
    """Of those models that have a price. Left out: none has."""


class UsageReportBody(msgspec.Struct, rename={"first": "from", "last": "to"}, kw_only=True):
    first: str
    last: str
    currency: str | UnsetType = UNSET
    """Of every cost. Left out: the service has no prices."""
    rows: list[UsedBody]
    total: UsedBody
    unpriced: list[str] | UnsetType = UNSET
    """The models among them that have no price. Left out: the service has no prices."""


class UsageController(Controller):
    path = USAGE_PATH
    tags = ("usage",)
    security = ({"key": []},)

    @get(
        "/",
        opt={NAMES_REPEATED: True},
        operation_class=DescribedUsageQuery,
        operation_id="getUsage",
        summary="What the caller has used, and what it cost",
        description=(
            "Counted by days of UTC and kept for 90 days, also where its tasks are deleted. "
            "Operators (LONGTASK_OPERATORS) see what all owners have used."
        ),
        responses={
            200: ResponseSpec(UsageReportBody, description="The usage.", generate_examples=False),
            **documented(401, 403, 503),
        },
    )
    async def usage(self, request: Request[Caller, Any, Any], parts: Parts) -> Response[Any]:
        if not parts.trusts_callers:
            raise problem(
                403,
                "usage-closed",
                "Without API keys, every caller could see the usage of all. So it is shown only "
                f"while {REACHED_BY_NO_OTHER}: set LONGTASK_API_KEYS, or "
                "LONGTASK_TRUST_ALL_CALLERS=true.",
            )
        asked = read_usage_query(request.query_params, parts.clock.now())
        if is_head(request.scope):
            return headers_only("application/json")
        report = await parts.use_cases.get_usage(request.user.owner, asked.query)
        priced = bool(parts.prices)
        body = UsageReportBody(
            first=asked.first.isoformat(),
            last=asked.last.isoformat(),
            currency=parts.prices.currency if priced else UNSET,
            rows=[_used(each) async for some in in_turns(report.rows) for each in some],
            total=_used(report.total),
            unpriced=list(report.unpriced) if priced else UNSET,
        )
        return Response(body)


def _used(row: UsageRow) -> UsedBody:
    tokens = row.tokens
    body = UsedBody(
        tasks=row.tasks,
        input_tokens=tokens.input,
        cached_tokens=tokens.cached,
        output_tokens=tokens.output,
        reasoning_tokens=tokens.reasoning,
        total_tokens=tokens.total,
        cost=UNSET if row.cost is None else float(row.cost),
    )
    for name, part in row.key.items():
        setattr(body, name, day_text(part) if isinstance(part, int) else part)
    return body
