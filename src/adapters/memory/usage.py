"""UsageLedger in the memory of one process. A method is atomic because it never awaits."""

import time
from collections.abc import Callable, Sequence

from application.ports import Addition, Row, Tokens, UsageLedger
from application.ports.usage import (
    MODELS_LIMIT,
    OTHER,
    is_address,
    kept_form,
    retention_days,
)

DAY = 86_400


_Models = dict[str, tuple[Tokens, int]]
"""By model: its tokens and tasks."""


class MemoryUsageLedger(UsageLedger):
    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """`clock`: gives seconds since 1970."""
        self._clock = clock
        self._swept = 0
        self._days: dict[int, dict[str, _Models]] = {}
        """By day and account."""

    async def add(self, additions: Sequence[Addition]) -> Sequence[int]:
        self._sweep()
        return [self._add(kept_form(each)) for each in additions]

    async def used(self, account: str, day: int) -> int:
        return _total(self._days.get(day, {}).get(account, {}))

    async def rows(self, accounts: Sequence[str] | None, first: int, last: int) -> Sequence[Row]:
        self._sweep()
        return [
            Row(account, day, model, *models[model])
            for day in range(first, last + 1)
            for account, models in sorted(self._days.get(day, {}).items())
            if not is_address(account) and (accounts is None or account in accounts)
            for model in sorted(models)
            if any(models[model])
        ]

    def _add(self, addition: Addition) -> int:
        accounts = self._days.setdefault(addition.day, {})
        models = accounts.setdefault(addition.account, {})
        model = addition.model
        if model not in models and len(models) >= MODELS_LIMIT:
            model = OTHER
        tokens, tasks = models.get(model, (Tokens(), 0))
        models[model] = _not_negative(tokens + addition.tokens), max(0, tasks + addition.tasks)
        return _total(models)

    def _sweep(self) -> None:
        today = int(self._clock()) // DAY
        if today != self._swept:
            self._swept = today
            for day, accounts in list(self._days.items()):
                for account in list(accounts):
                    if day < today - retention_days(account):
                        del accounts[account]
                if not accounts:
                    del self._days[day]


def _total(models: _Models) -> int:
    return sum(tokens.total for tokens, _ in models.values())


def _not_negative(tokens: Tokens) -> Tokens:
    numbers = (tokens.input, tokens.cached, tokens.output, tokens.reasoning)
    return Tokens(*(max(0, each) for each in numbers))
