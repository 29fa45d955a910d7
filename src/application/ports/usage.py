"""The port of the usage ledger: what each account has used, by day and by model.

The ledger outlives the tasks. An account is named by its kind and its name: `key:team-a` is an
owner, `all` the one owner of a service without API keys, and `address:203.0.113.7` a network
address. Of an address only the sum of a day is kept, without models and only for as long as its
limit needs it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

RETENTION_DAYS = 90
"""Days for which what an owner has used in a day is kept at least."""
ADDRESS_RETENTION_DAYS = 2
"""The same for an address."""
MODELS_LIMIT = 200
"""Models that are told apart of an account in a day. What others use counts for `OTHER`."""
OTHER = "other"
MODEL_CHARS = 200
"""Characters of a model's name that are kept."""
LARGEST = 10**12
"""The largest amount of an addition, so that sums stay exact in every store."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Numbers of tokens. Negative ones take back what an estimate had added too much."""

    input: int = 0
    cached: int = 0
    """Of the input, those that the model's server had in its cache."""
    output: int = 0
    reasoning: int = 0
    """Of the output, those that the model spent on reasoning."""

    @property
    def total(self) -> int:
        return self.input + self.output

    def __add__(self, more: "Tokens") -> "Tokens":
        return Tokens(
            self.input + more.input,
            self.cached + more.cached,
            self.output + more.output,
            self.reasoning + more.reasoning,
        )

    def __neg__(self) -> "Tokens":
        return Tokens(-self.input, -self.cached, -self.output, -self.reasoning)

    def __bool__(self) -> bool:
        return self != Tokens()


@dataclass(frozen=True, slots=True)
class Addition:
    """What an account has used since the last addition."""

    account: str
    day: int
    """Of UTC, counted since 1970."""
    model: str
    """As the upstream has named the one that answered, else as the request has."""
    tokens: Tokens
    tasks: int = 0
    """1 with the addition that ends a task."""


@dataclass(frozen=True, slots=True)
class Row:
    """What an account has used of one model in one day. No number is negative."""

    account: str
    day: int
    model: str
    tokens: Tokens
    tasks: int


class UsageLedger(Protocol):
    """Adds up what all instances use. Each method may raise StoreUnavailable."""

    async def add(self, additions: Sequence[Addition]) -> Sequence[int]:
        """Add each; return for each the tokens (input and output) that its account has then used
        in that day. No number falls below 0. If it raises, any of them may have been added."""
        ...

    async def used(self, account: str, day: int) -> int:
        """Return the tokens that an account has used in a day."""
        ...

    async def rows(self, accounts: Sequence[str] | None, first: int, last: int) -> Sequence[Row]:
        """Return what these accounts used from one day to another, both included, in the order of
        days, accounts and models. None: all owners. Addresses have no rows, and neither has
        what came to nothing."""
        ...


def is_address(account: str) -> bool:
    """Whether an account is one of those that have no rows."""
    return account.startswith("address:")


def retention_days(account: str) -> int:
    """Return for how many days the ledger keeps what an account has used in one."""
    return ADDRESS_RETENTION_DAYS if is_address(account) else RETENTION_DAYS


def kept_form(addition: Addition) -> Addition:
    """Return an addition as the stores keep it: its model's name and its numbers are bounded."""
    model = "" if is_address(addition.account) else kept_model(addition.model)
    tokens = addition.tokens
    numbers = (tokens.input, tokens.cached, tokens.output, tokens.reasoning)
    bounded = (max(-LARGEST, min(LARGEST, each)) for each in numbers)
    return Addition(addition.account, addition.day, model, Tokens(*bounded), addition.tasks)


def kept_model(name: str) -> str:
    """Return a model's name as the ledger keeps it."""
    return name[:MODEL_CHARS].encode("utf-8", "replace").decode() or OTHER
