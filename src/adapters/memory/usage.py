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


class MemoryUsageLedger(UsageLedger):
    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """`clock`: gives seconds since 1970."""
        self._clock = clock
        self._swept = 0
        self._used: dict[tuple[str, int], dict[str, tuple[Tokens, int]]] = {}
        """By account and day: by model, its tokens and tasks."""

    async def add(self, additions: Sequence[Addition]) -> Sequence[int]:
        self._sweep()
        return [self._add(kept_form(each)) for each in additions]

    async def used(self, account: str, day: int) -> int:
        return _total(self._used.get((account, day), {}))

    async def rows(self, accounts: Sequence[str] | None, first: int, last: int) -> Sequence[Row]:
        self._sweep()
        found = [
            Row(account, day, model, tokens, tasks)
            for (account, day), models in self._used.items()
            if first <= day <= last and not is_address(account)
            if accounts is None or account in accounts
            for model, (tokens, tasks) in models.items()
            if tokens or tasks
        ]
        return sorted(found, key=lambda row: (row.day, row.account, row.model))

    def _add(self, addition: Addition) -> int:
        models = self._used.setdefault((addition.account, addition.day), {})
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
            over = [each for each in self._used if each[1] < today - retention_days(each[0])]
            for each in over:
                del self._used[each]


def _total(models: dict[str, tuple[Tokens, int]]) -> int:
    return sum(tokens.total for tokens, _ in models.values())


def _not_negative(tokens: Tokens) -> Tokens:
    numbers = (tokens.input, tokens.cached, tokens.output, tokens.reasoning)
    return Tokens(*(max(0, each) for each in numbers))
