"""Flow control: how many tasks may run at the same time, and how many may begin in a period.

An owner has a share, which the settings give it. A request may name a key of its caller, with
limits of its own: all tasks with that key count together.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from domain.errors import Fault

AMOUNT_LIMIT = 1_000_000
"""Of tasks at the same time, and of tasks in a period."""
PERIOD_LIMIT = 7 * 86_400
"""Seconds of a period. QStash takes no longer one."""
KEY_LIMIT = 64
KEY_PATTERN = rf"[A-Za-z0-9._-]{{1,{KEY_LIMIT}}}"
"""QStash refuses other characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Limits of tasks that count together. At least one is set."""

    parallelism: int | None = None
    """Tasks that run at the same time."""
    rate: int | None = None
    """Tasks that begin within one period."""
    period: int = 1
    """Seconds."""

    def faults(self) -> Iterator[Fault]:
        """Yield what is out of bounds, with the names of these fields."""
        for name, value in (("parallelism", self.parallelism), ("rate", self.rate)):
            if value is not None and not 1 <= value <= AMOUNT_LIMIT:
                yield Fault(name, f"must be from 1 to {AMOUNT_LIMIT}")
        if not 1 <= self.period <= PERIOD_LIMIT:
            yield Fault("period", f"must be from 1 to {PERIOD_LIMIT} seconds")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowControl(Share):
    """What a request asks for: the limits of the tasks of its owner that name the same key. Those
    of the newest request count."""

    key: str

    def faults(self) -> Iterator[Fault]:
        """Yield what is out of bounds, with the names of the fields in a request."""
        if not re.fullmatch(KEY_PATTERN, self.key):
            characters = f"1 to {KEY_LIMIT} letters, digits, '.', '_' or '-'"
            yield Fault("flow_control.key", f"must be {characters}")
        if self.parallelism is None and self.rate is None:
            yield Fault("flow_control", "needs a parallelism or a rate")
        for fault in Share.faults(self):
            yield Fault(f"flow_control.{fault.field}", fault.message)

    def to_fields(self) -> dict[str, Any]:
        """Return the fields by name, without those that have their default value."""
        given = {each.name: (getattr(self, each.name), each.default) for each in fields(self)}
        return {name: value for name, (value, default) in given.items() if value != default}


@dataclass(frozen=True, slots=True)
class Shares:
    """The share of each owner."""

    of_each: Share | None = None
    """That of every owner who is not named. None: no limit."""
    named: Mapping[str, Share] = field(default_factory=dict)

    def of(self, owner: str | None) -> Share | None:
        """Return the share of an owner (None: the only one, where there are no API keys), or None
        if it has no limit."""
        return self.of_each if owner is None else self.named.get(owner, self.of_each)

    def all(self) -> Iterator[tuple[str, Share]]:
        """Yield each share by the name of its owner, `*` for that of every other one."""
        yield from self.named.items()
        if self.of_each is not None:
            yield "*", self.of_each


NO_SHARES = Shares()
