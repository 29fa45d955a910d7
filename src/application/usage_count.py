"""UsageCount: what one attempt uses of the model, as the ledger is told of it.

While the answer streams its tokens are estimates, in the day in which they came, and of the model
that was asked for. The end corrects all of that. What an earlier attempt has counted of an answer
that an upstream keeps is not counted again.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import NoReturn

from application.accounts import Account
from application.errors import BudgetExceeded
from application.ports import Tokens
from domain.events import Usage


class UsageCount:
    def __init__(
        self,
        accounts: Sequence[str],
        limited: Sequence[Account],
        model: str,
        budget: int | None,
    ) -> None:
        """`accounts`: names of those that it is counted for. `limited`: those of them that have a
        limit of tokens. `budget`: the most tokens of all attempts together."""
        self.accounts = accounts
        self.limited = limited
        self.model = model
        self.before = 0
        """Tokens that earlier attempts have used of the budget."""
        self._budget = budget
        self._added: dict[int, Tokens] = {}
        self._exceeded: BudgetExceeded | None = None
        self._cut = asyncio.Event()

    def check(self, tokens: int) -> None:
        """Raise BudgetExceeded if so many tokens, of this attempt, are more than the request
        allows."""
        if self._budget is not None and self.before + tokens > self._budget:
            raise BudgetExceeded(f"The task has used the {self._budget} tokens of its budget.")

    def cut(self, exceeded: BudgetExceeded) -> None:
        """End the attempt by this exception, unless it has ended."""
        self._exceeded = exceeded
        self._cut.set()

    async def watch(self) -> NoReturn:
        """Raise BudgetExceeded once the attempt is cut."""
        await self._cut.wait()
        assert self._exceeded is not None  # noqa: S101
        raise self._exceeded

    def expect(self, day: int, tokens: Tokens) -> None:
        """Take these tokens, which the attempt is about to use, as counted on this day."""
        self._added[day] = tokens

    def news(self, used: Tokens, day: int) -> Tokens:
        """Return what was used since the last call, all of it on this day. `used`: what the attempt
        itself has used so far. Cuts the attempt if that is more than its request allows."""
        try:
            self.check(used.total)
        except BudgetExceeded as exceeded:
            self.cut(exceeded)
        new = used + -_sum(self._added)
        self._added[day] = self._added.get(day, Tokens()) + new
        return new

    def corrections(
        self, used: Tokens, model: str, counted: Tokens, day: int
    ) -> Iterator[tuple[int, str, Tokens]]:
        """Yield what is to be added, by day and model, so that the attempt is counted with what it
        has used in all, for this model. `counted`: what earlier attempts have counted of the same
        answer, for the model that was asked for."""
        left = used + -_sum(self._added)
        days = sorted({*self._added, day}, reverse=True)
        for each in days:
            added = self._added.get(each, Tokens())
            change = left if each == days[-1] else _at_least(left, -added)
            left += -change
            if model == self.model:
                yield each, model, change
            else:
                moved = added + (counted if each == day else Tokens())
                yield each, self.model, -moved
                yield each, model, moved + change


def tokens_of(usage: Usage) -> Tokens:
    """Return a usage as the ledger counts it."""
    return Tokens(
        usage.prompt_tokens,
        usage.cached_tokens or 0,
        usage.output_tokens,
        usage.reasoning_tokens or 0,
    )


def _sum(added: Mapping[int, Tokens]) -> Tokens:
    return sum(added.values(), Tokens())


def _at_least(tokens: Tokens, least: Tokens) -> Tokens:
    return Tokens(
        max(tokens.input, least.input),
        max(tokens.cached, least.cached),
        max(tokens.output, least.output),
        max(tokens.reasoning, least.reasoning),
    )
