"""GetUsage: what was used from one day to another, and what it cost."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeVar

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
ROWS_AT_ONCE = 300
"""Rows that are worked on before the event loop may do something else."""
T = TypeVar("T")
_OWNER = owner_account("")
_Models = dict[str, tuple[Tokens, int]]
"""By model: tokens and tasks."""


@dataclass(frozen=True, slots=True)
class UsageQuery:
    first: int
    """The first day, of UTC, counted since 1970."""
    last: int
    """The last one, which is included."""
    by: Sequence[By]
    """What each row is to be of: one or several."""
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
        groups: dict[tuple[Part, ...], _Models] = {}
        async for rows in self._read(self._accounts(caller, query.owner), query):
            for row in rows:
                key = tuple(_part(row, each) for each in query.by)
                _add(groups.setdefault(key, {}), row.model, row.tokens, row.tasks)
            if len(groups) > ROWS_LIMIT:
                message = f"gives more than {ROWS_LIMIT} rows: ask for fewer days, or by less"
                raise InvalidRequest([Fault("by", message)])
        ordered = sorted(groups.items(), key=lambda group: [_order(each) for each in group[0]])
        total: _Models = {}
        report: list[UsageRow] = []
        async for some in in_turns(ordered):
            for key, models in some:
                report.append(self._row(dict(zip(query.by, key, strict=True)), models))
                for model, (tokens, tasks) in models.items():
                    _add(total, model, tokens, tasks)
        return UsageReport(
            report,
            self._row({}, total),
            sorted(each for each in total if self._prices and self._prices.of(each) is None),
        )

    def _accounts(self, caller: str | None, wanted: str | None) -> Sequence[str] | None:
        operator = caller in self._operators
        if wanted is None:
            return None if operator else [owner_account(caller)]
        if wanted != caller and not operator:
            raise OperatorsOnly
        return [owner_account(wanted)]

    async def _read(
        self, accounts: Sequence[str] | None, query: UsageQuery
    ) -> AsyncGenerator[Sequence[Row], None]:
        """Yield the rows of one owner, and those of all day by day: they may be hundreds of
        thousands."""
        days = query.last - query.first + 1 if accounts is not None else 1
        for first in range(query.first, query.last + 1, max(1, days)):
            rows = await self._ledger.rows(accounts, first, first + days - 1)
            async for some in in_turns(rows):
                yield some

    def _row(self, key: Mapping[By, Part], models: _Models) -> UsageRow:
        tokens, tasks = Tokens(), 0
        cost = None if models or not self._prices else Decimal(0)
        for model, (used, ended) in models.items():
            tokens += used
            tasks += ended
            if (price := self._prices.of(model)) is not None:
                cost = (cost or Decimal(0)) + price.of(used.input, used.cached, used.output)
        return UsageRow(key, tokens, tasks, cost)


async def in_turns(items: Sequence[T]) -> AsyncGenerator[Sequence[T], None]:
    """Yield all of them, some at a time, and let the event loop do something else in between."""
    for begin in range(0, len(items), ROWS_AT_ONCE):
        yield items[begin : begin + ROWS_AT_ONCE]
        await asyncio.sleep(0)


def _add(models: _Models, model: str, tokens: Tokens, tasks: int) -> None:
    before = models.get(model)
    models[model] = (tokens, tasks) if before is None else (before[0] + tokens, before[1] + tasks)


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
