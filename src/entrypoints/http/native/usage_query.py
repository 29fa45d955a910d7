"""The query of `GET /api/usage`: of which days, and by what. Everything that is wrong with it is
named at once."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import get_args

from litestar.datastructures import MultiDict
from litestar.openapi.spec import OpenAPIFormat, OpenAPIType, Operation, Parameter, Schema

from application.get_usage import By, UsageQuery
from application.ports.usage import RETENTION_DAYS
from domain.errors import Fault
from entrypoints.http.fields import raise_for
from entrypoints.http.native.list_query import query_faults

_NAMES = ("from", "to", "by", "owner")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_EPOCH = date(1970, 1, 1)
_BY: dict[str, By] = {each: each for each in get_args(By)}


@dataclass(frozen=True, slots=True)
class AskedUsage:
    query: UsageQuery
    first: date
    last: date


def read_usage_query(query: MultiDict[str], now: int) -> AskedUsage:
    """Return what is asked for; what is left out is the month of the last day up to today, by
    model. `now`: milliseconds since 1970. Raises a problem (400) that names every parameter at
    fault."""
    faults = query_faults(query, _NAMES)
    given = dict(query)
    today = datetime.fromtimestamp(now / 1_000, UTC).date()
    oldest = today - timedelta(RETENTION_DAYS)
    last = _day("to", given, today, oldest, faults)
    first = _day("from", given, max(oldest, last.replace(day=1)), oldest, faults)
    if not faults and last < first:
        faults.append(Fault("to", "must not be before from"))
    by = _by(given.get("by", "model"), faults)
    if not (owner := given.get("owner", "-")):
        faults.append(Fault("owner", "must be the name of an API key"))
    raise_for(faults)
    days = UsageQuery(
        (first - _EPOCH).days,
        (min(last, today) - _EPOCH).days,
        by,
        owner if "owner" in given else None,
    )
    return AskedUsage(days, first, last)


def day_text(day: int) -> str:
    """Return a day as clients write it, by its number since 1970."""
    return (_EPOCH + timedelta(day)).isoformat()


def _day(
    name: str, given: Mapping[str, str], default: date, oldest: date, faults: list[Fault]
) -> date:
    text = given.get(name)
    if text is None:
        return default
    try:
        day = date.fromisoformat(text) if _DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None:
        faults.append(Fault(name, "must be a day, such as 2026-01-31"))
    elif day < oldest:
        message = f"must not be before {oldest}: usage is kept for {RETENTION_DAYS} days"
        faults.append(Fault(name, message))
    else:
        return day
    return default


def _by(text: str, faults: list[Fault]) -> tuple[By, ...]:
    names = text.split(",")
    if any(name not in _BY for name in names):
        words = ", ".join(_BY)
        faults.append(Fault("by", f"must be one or several of {words}, separated by commas"))
    elif len({*names}) < len(names):
        faults.append(Fault("by", "has a word twice"))
    return tuple(_BY[name] for name in names if name in _BY)


@dataclass
class DescribedUsageQuery(Operation):
    """The operation in the API's description."""

    def __post_init__(self) -> None:
        day = Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.DATE)
        word = Schema(type=OpenAPIType.STRING, enum=list(_BY))
        self.parameters = [
            Parameter(
                "from",
                "query",
                description=(
                    "The first day (UTC), at most 90 days ago. Without it, the first of the month."
                ),
                schema=day,
            ),
            Parameter(
                "to", "query", description="The last day (UTC). Without it, today.", schema=day
            ),
            Parameter(
                "by",
                "query",
                description="What each row is of: one or several, separated by commas.",
                style="form",
                explode=False,
                schema=Schema(type=OpenAPIType.ARRAY, items=word, min_items=1, unique_items=True),
            ),
            Parameter(
                "owner",
                "query",
                description="Of this owner alone: the name of an API key. For operators.",
                schema=Schema(type=OpenAPIType.STRING, min_length=1),
            ),
        ]
