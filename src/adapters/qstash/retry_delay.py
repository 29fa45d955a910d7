"""QStash's retry-delay expression: the pause before a retry, in milliseconds, as a formula of
`retried`, the number of earlier retries.

Source: QStash's documentation, features/retry (custom retry delay).
"""

import ast
import math
from dataclasses import dataclass
from typing import Self

from simpleeval import DEFAULT_OPERATORS, SimpleEval

MAX_DELAY = 86_400.0
"""Seconds: QStash never waits longer between two deliveries."""
MAX_LENGTH = 256
"""Characters of an expression."""

_FUNCTIONS = {
    "pow": math.pow,
    "sqrt": math.sqrt,
    "abs": abs,
    "exp": math.exp,
    "floor": math.floor,
    "ceil": math.ceil,
    "round": round,
    "min": min,
    "max": max,
}


class MalformedRetryDelay(ValueError):
    """Raised for an expression that QStash would refuse."""


def _times(a: float, b: float) -> float:
    return float(a) * float(b)


_OPERATORS = {
    **{name: each for name, each in DEFAULT_OPERATORS.items() if name is not ast.LShift},
    ast.Mult: _times,
    ast.Pow: math.pow,
}
"""Without whole numbers where these could grow to millions of digits, with which a few operations
take seconds."""


@dataclass(frozen=True, slots=True)
class RetryDelay:
    expression: str
    """As it is sent in the header `Upstash-Retry-Delay`."""

    @classmethod
    def parse(cls, expression: str) -> Self:
        """Check the expression for the first retry. Raises MalformedRetryDelay."""
        if len(expression) > MAX_LENGTH:
            raise MalformedRetryDelay("invalid retry delay: too long")
        delay = cls(expression)
        delay.seconds(0)
        return delay

    def seconds(self, retried: int) -> float:
        """Return the pause after this many earlier retries, 0 to MAX_DELAY. Raises
        MalformedRetryDelay where the expression has no value for them."""
        if "'" in self.expression or '"' in self.expression:
            raise MalformedRetryDelay("invalid retry delay: a text is no number")
        try:
            evaluator = SimpleEval(_OPERATORS, _FUNCTIONS, {"retried": retried})
            milliseconds = float(evaluator.eval(self.expression))
        except OverflowError:
            return MAX_DELAY
        except Exception as error:
            raise MalformedRetryDelay(f"invalid retry delay: {error}") from None
        if math.isnan(milliseconds):
            raise MalformedRetryDelay("invalid retry delay: not a number")
        return min(MAX_DELAY, max(0.0, milliseconds / 1000))

    def __str__(self) -> str:
        return self.expression
