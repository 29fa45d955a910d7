"""What answers cost, by a table of prices.

All arithmetic is decimal and exact. An amount becomes a binary number only where JSON is written
(`Cost.amount`).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Context, Decimal

from domain.events import Usage
from domain.model_names import matches

PER = 1_000_000
"""Tokens that a price is for."""
MAX_PRICE = Decimal(10**9)
CURRENCY_PATTERN = "[A-Z]{3}"
_EXACT = Context(prec=80)
"""Enough for `MAX_PRICE` with 30 decimals, times any sum of tokens."""


@dataclass(frozen=True, slots=True)
class Price:
    """Of `PER` tokens of one kind. Reasoning tokens are part of the output."""

    input: Decimal
    output: Decimal
    cached: Decimal | None = None
    """Of the input tokens that the upstream had in its cache. None: as the other ones."""

    def of(self, input_tokens: int, cached_tokens: int, output_tokens: int) -> Decimal:
        """Return what these tokens cost. The cached ones are part of the input."""
        cached = min(cached_tokens, input_tokens)
        price = self.input if self.cached is None else self.cached
        total = Decimal(0)
        for each, tokens in (
            (self.input, input_tokens - cached),
            (price, cached),
            (self.output, output_tokens),
        ):
            total = _EXACT.add(total, _EXACT.multiply(each, Decimal(tokens)))
        return _EXACT.divide(total, Decimal(PER))


@dataclass(frozen=True, slots=True)
class Cost:
    amount: Decimal
    currency: str
    estimated: bool
    """Whether the numbers of tokens are estimates."""


@dataclass(frozen=True, slots=True)
class Prices:
    """The prices of models, by patterns of their names, of which the first that matches counts."""

    table: Mapping[str, Price] = field(default_factory=dict)
    currency: str = "USD"
    _found: dict[str, Price | None] = field(default_factory=dict, compare=False, repr=False)

    def __bool__(self) -> bool:
        return bool(self.table)

    def of(self, model: str) -> Price | None:
        """Return the price of a model, None if no pattern matches its name."""
        if model not in self._found:
            if len(self._found) >= 1_000:
                self._found.clear()
            self._found[model] = next(
                (price for pattern, price in self.table.items() if matches(pattern, model)), None
            )
        return self._found[model]

    def cost(self, model: str, usage: Usage | None) -> Cost | None:
        """Return what an answer of this model cost. None: its tokens or its price are not known."""
        price = None if usage is None else self.of(model)
        if price is None or usage is None:
            return None
        amount = price.of(usage.prompt_tokens, usage.cached_tokens or 0, usage.output_tokens)
        return Cost(amount, self.currency, usage.estimated)


NO_PRICES = Prices()


def is_currency(text: str) -> bool:
    """Whether a text has the form of a currency's code, such as `USD`."""
    return re.fullmatch(CURRENCY_PATTERN, text) is not None
