"""GetUsage: what was used from one day to another, and what it cost."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from application.accounts import owner_account
from application.errors import OperatorsOnly
from application.ports import Row, Tokens, UsageLedger
from domain.errors import Fault, InvalidRequest
from domain.prices import Prices

By = Literal["day", "owner", "model"]
Part = int | str | None
"""What a row is of: a day, an owner or a model. The one owner of a service without API keys is
None."""
ROWS_LIMIT = 10_000
"""Rows of one report."""
_OWNER = owner_account("")


@dataclass(frozen=True, slots=True)
class UsageQuery:
    first: int
    """The first day, of UTC, counted since 1970."""
    last: int
    """The last one, which is included."""
    by: Sequence[By]
    """What each row is to be of. Nothing: the total alone."""
    owner: str | None = None
    """None: of the caller, and for an operator of all."""


@dataclass(frozen=True, slots=True)
class UsageRow:
    key: Mapping[By, Part]
    """What it is of."""
    tokens: Tokens
    tasks: int
    cost: Decimal | None
    """Of those models that have a price. None: none has."""


@dataclass(frozen=True, slots=True)
class UsageReport:
    rows: Sequence[UsageRow]
    """In the order of their keys."""
    total: UsageRow
    unpriced: Sequence[str]
    """The models that were used and have no price, if others may have one."""


class GetUsage:
    def __init__(self, ledger: UsageLedger, prices: Prices, operators: Collection[str]) -> None:
        """`operators`: the owners that see the usage of all."""
        self._ledger = ledger
        self._prices = prices
        self._operators = operators

    async def __call__(self, caller: str | None, query: UsageQuery) -> UsageReport:
        """Return what an owner may see. Raises OperatorsOnly, InvalidRequest if there are more than
        `ROWS_LIMIT` rows, or StoreUnavailable."""
        accounts = self._accounts(caller, query.owner)
        found = await self._ledger.rows(accounts, query.first, query.last)
        groups: dict[tuple[Part, ...], list[Row]] = {}
        for row in found:
            groups.setdefault(tuple(_part(row, each) for each in query.by), []).append(row)
        if len(groups) > ROWS_LIMIT:
            message = f"gives more than {ROWS_LIMIT} rows: ask for fewer days, or for less in a row"
            raise InvalidRequest([Fault("by", message)])
        rows = [self._row(dict(zip(query.by, key, strict=True)), of) for key, of in groups.items()]
        total = self._row({}, found)
        rows.sort(key=lambda row: [_order(row.key[each]) for each in query.by])
        models = {row.model for row in found} if self._prices else ()
        unpriced = sorted(model for model in models if self._prices.of(model) is None)
        return UsageReport(rows if query.by else (), total, unpriced)

    def _accounts(self, caller: str | None, wanted: str | None) -> Sequence[str] | None:
        operator = caller in self._operators
        if wanted is None:
            return None if operator else [owner_account(caller)]
        if wanted != caller and not operator:
            raise OperatorsOnly
        return [owner_account(wanted)]

    def _row(self, key: Mapping[By, Part], rows: Sequence[Row]) -> UsageRow:
        tokens, tasks = Tokens(), 0
        cost = None if rows or not self._prices else Decimal(0)
        for row in rows:
            tokens += row.tokens
            tasks += row.tasks
            price = self._prices.of(row.model)
            if price is not None:
                each = price.of(row.tokens.input, row.tokens.cached, row.tokens.output)
                cost = each if cost is None else cost + each
        return UsageRow(key, tokens, tasks, cost)


def _part(row: Row, by: By) -> Part:
    match by:
        case "day":
            return row.day
        case "owner":
            return row.account.removeprefix(_OWNER) if row.account.startswith(_OWNER) else None
        case "model":
            return row.model


def _order(part: Part) -> tuple[bool, int | str]:
    return part is not None, "" if part is None else part
